/* Bulk jobs between a fake client and fake engines: each item is decided once,
 * whatever engines do. */
#include "bridge/schedulers/bulk.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/engines.h"
#include "bridge/schedulers/abort.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/wire/json.h"
#include "tests/bridge/fake_hub.h"
#include "tests/bridge/wire/message.h"

enum { MOST = 64 };

/* A request of `items` items in units of `unit`, each a byte in the data. */
static struct ipmpi_request *
make_request(struct fake_hub *fake, const char *msg_id, const char *metadata,
             const char *content, const uint64_t *table, size_t n)
{
    static const struct ipmpi_limits limits = IPMPI_LIMITS_DEFAULT;
    char header[256], data[MOST] = {0};
    const struct test_message message = {NULL,     header,  NULL,
                                         metadata, content, 0};
    struct ipmpi_frames frames = {0};
    struct ipmpi_request *request;

    snprintf(header, sizeof(header),
             "{\"msg_id\":\"%s\",\"msg_type\":\"ipmpi_bulk_request\","
             "\"session\":\"s\"}",
             msg_id);
    make_message(&message, fake->key, &frames);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, table, n * sizeof(*table)), 0);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, data, sizeof(data)), 0);
    add_text(&frames, "function");
    CHECK_EQ(ipmpi_request_open(&frames, fake->key, NULL, &limits, &request),
             0);
    return request;
}

static void submit(struct fake_hub *fake, const char *msg_id, unsigned items,
                   unsigned unit, const char *metadata)
{
    uint64_t table[MOST + 1];
    char content[128];
    const size_t n = items / unit + (items % unit > 0);
    struct ipmpi_request *request;

    for (size_t i = 0; i <= n; i++)
        table[i] = i;
    snprintf(content, sizeof(content),
             "{\"items\":%u,\"unit\":%u,\"chunk\":0,\"call\":{}}", items, unit);
    request = make_request(fake, msg_id, metadata, content, table, n + 1);
    ipmpi_balanced_submit(&fake->hub, request, true);
    ipmpi_request_release(&request);
}

/* An engine reports items [first, end) of the piece that it has: `failed`, if
 * it is one of them, has failed. */
static void report(struct fake_hub *fake, const char *piece,
                   enum ipmpi_msg_type type, int first, int end, int failed)
{
    struct ipmpi_job *job = ipmpi_job_by_id(&fake->hub.ledger, piece);
    struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                  .type = (uint16_t)type};
    struct ipmpi_frames frames = {0};
    char errors[128] = "", content[256];

    CHECK(job != NULL && job->engine != NULL);
    if (failed >= 0)
        snprintf(errors, sizeof(errors), "[%d,%d,{\"ename\":\"Boom\"}]", failed,
                 failed + 1);
    snprintf(content, sizeof(content),
             "{\"status\":\"%d..%d\",\"first\":%d,\"end\":%d,"
             "\"spent\":%d,\"errors\":[%s]}",
             first, end, first, end, end - first, errors);
    head.ref = job->ref;
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    add_text(&frames, "signature");
    add_text(&frames, "{\"msg_type\":\"ipmpi_bulk_reply\"}");
    add_text(&frames, "{\"msg_id\":\"m\"}");
    add_text(&frames, "{}");
    add_text(&frames, content);
    ipmpi_engines_receive(&fake->hub, job->engine->rank, &frames);
    ipmpi_frames_clear(&frames);
}

static void done(struct fake_hub *fake, const char *piece, int first, int end)
{
    report(fake, piece, IPMPI_MSG_REPLY, first, end, -1);
}

static void items_go_to_whoever_is_free(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    fake_engine(fake);
    submit(fake, "m", 3, 1, NULL);
    CHECK(fake_where(fake, "m_1") != fake_where(fake, "m_2"));
    CHECK_EQ(fake_where(fake, "m_3"), -1);
    done(fake, "m_2", 1, 2);
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 1..2");
    done(fake, "m_1", 0, 1);
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 0..1");
    CHECK_STR(fake_answer(fake), "");
    done(fake, "m_3", 2, 3);
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 2..3");
    CHECK_STR(fake_answer(fake), "iopub status m ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m ok");
    CHECK(fake->hub.ledger.by_ref == NULL);
    fake_hub_close(fake);
}

static void no_items_at_all(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    submit(fake, "m", 0, 1, NULL);
    CHECK_STR(fake_answer(fake), "iopub status m ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m ok");
    fake_hub_close(fake);
}

static void parts_come_before_the_end_and_the_rest_comes_back(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    submit(fake, "m", 40, 8, NULL);
    done(fake, "m_1", 0, 1); /* a second for an item: one at a time */
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 0..1");
    report(fake, "m_2", IPMPI_MSG_PART, 1, 1, -1); /* nothing new */
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 1..1");
    CHECK_EQ(fake_where(fake, "m_2"), 0);
    done(fake, "m_2", 1, 1); /* handed back undone */
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 1..1");
    for (int i = 1; i < 40; i++) {
        char piece[16];

        snprintf(piece, sizeof(piece), "m_%d", i + 2);
        done(fake, piece, i, i + 1);
        CHECK(strncmp(fake_answer(fake), "task", 4) == 0);
    }
    CHECK_STR(fake_answer(fake), "iopub status m ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m ok");
    fake_hub_close(fake);
}

static void a_failed_item_is_tried_elsewhere(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    int first;

    (void)state;
    fake_engine(fake);
    submit(fake, "m", 1, 1, "{\"retries\":2}");
    first = fake_where(fake, "m_1");
    report(fake, "m_1", IPMPI_MSG_REPLY, 0, 1, 0);
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 0..1");
    CHECK_EQ(fake_where(fake, "m_2"), first); /* there is no other */
    fake_engine(fake);
    report(fake, "m_2", IPMPI_MSG_REPLY, 0, 1, 0);
    CHECK(fake_where(fake, "m_3") != first);
    report(fake, "m_3", IPMPI_MSG_REPLY, 0, 1, 0); /* for good */
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 0..1");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 0..1");
    CHECK_STR(fake_answer(fake), "iopub status m ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m RuntimeError");
    fake_hub_close(fake);
}

static void an_engine_that_dies_loses_what_it_had_begun(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    uint64_t ref;

    (void)state;
    fake_engine(fake);
    submit(fake, "m", 1, 1, NULL);
    ref = fake_ref(fake, "m_1");
    fake_engine_killed(fake, 0, 1, &ref); /* begun, but no item of it */
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "");
    fake_engine(fake);
    CHECK_EQ(fake_where(fake, "m_2"), 1);
    fake_engine_dies(fake, 1); /* nobody knows how far */
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m ok");
    CHECK_STR(fake_answer(fake), "iopub status m ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m RuntimeError");
    fake_hub_close(fake);
}

static void an_abort_takes_back_what_has_not_begun(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);

    (void)state;
    submit(fake, "m", 10, 1, NULL);
    while (fake_told(fake, NULL, NULL) != 0)
        ;
    ipmpi_abort(&fake->hub, engine, "m");
    ipmpi_abort(&fake->hub, engine, "m"); /* from another engine's address */
    CHECK_EQ(fake_told(fake, NULL, NULL), IPMPI_MSG_ABORT);
    CHECK_EQ(fake_told(fake, NULL, NULL), IPMPI_MSG_CANCEL);
    done(fake, "m_1", 0, 1);
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 0..1");
    CHECK_STR(fake_answer(fake), "iopub status m ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m aborted");
    CHECK(fake->hub.ledger.by_ref == NULL);
    fake_hub_close(fake);
}

static void tasks_have_their_turn(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    submit(fake, "m", 10, 1, NULL);
    fake_task(fake, "a", NULL);
    fake_task(fake, "b", NULL);
    CHECK_EQ(fake_where(fake, "m_1"), 0);
    CHECK_EQ(fake_where(fake, "a"), -1);
    done(fake, "m_1", 0, 1);
    CHECK_EQ(fake_where(fake, "a"), 0);
    CHECK_EQ(fake_where(fake, "m_2"), -1);
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "m_2"), 0); /* nor do tasks keep it out */
    CHECK_EQ(fake_where(fake, "b"), -1);
    done(fake, "m_2", 1, 2);
    CHECK_EQ(fake_where(fake, "b"), 0);
    ipmpi_abort(&fake->hub, NULL, "m");
    fake_reply(fake, "b", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void bulk_jobs_take_turns(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    submit(fake, "m", 10, 1, NULL);
    submit(fake, "n", 10, 1, NULL);
    done(fake, "m_1", 0, 1); /* n is new in the row */
    CHECK_EQ(fake_where(fake, "m_2"), 0);
    CHECK_EQ(fake_where(fake, "n_1"), -1);
    done(fake, "m_2", 1, 2);
    CHECK_EQ(fake_where(fake, "n_1"), 0);
    CHECK_EQ(fake_where(fake, "m_3"), -1);
    ipmpi_abort(&fake->hub, NULL, "m");
    ipmpi_abort(&fake->hub, NULL, "n");
    done(fake, "n_1", 0, 1);
    fake_hub_close(fake);
}

static void items_for_a_dead_target_are_impossible(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);
    char metadata[128];

    (void)state;
    fake_engine(fake);
    snprintf(metadata, sizeof(metadata), "{\"targets\":[\"%s\"],\"retries\":1}",
             engine->uuid);
    submit(fake, "m", 2, 1, metadata);
    CHECK_EQ(fake_where(fake, "m_1"), 0);
    CHECK_EQ(fake_where(fake, "m_2"), -1);
    fake_engine_dies(fake, 0);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m ok"); /* the 2nd */
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m ok"); /* the 1st */
    CHECK_STR(fake_answer(fake), "iopub status m ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m RuntimeError");
    fake_hub_close(fake);
}

static void nonsense_is_refused(void **state)
{
    static const struct {
        const char *content;
        uint64_t table[3];
        size_t n;
    } rows[] = {
        {"{}", {0, 1, 2}, 3},
        {"{\"items\":-1,\"unit\":1,\"chunk\":0}", {0, 1, 2}, 3},
        {"{\"items\":2,\"unit\":0,\"chunk\":0}", {0, 1, 2}, 3},
        {"{\"items\":2,\"unit\":1,\"chunk\":2}", {0, 1, 2}, 3},
        {"{\"items\":2,\"unit\":1,\"chunk\":0}", {0, 1, 2}, 2},
        {"{\"items\":2,\"unit\":1,\"chunk\":0}", {2, 1, 0}, 3},
        {"{\"items\":2,\"unit\":1,\"chunk\":0}", {0, 1, MOST + 1}, 3},
        {"{\"items\":9223372036854775807,\"unit\":1,\"chunk\":0}", {0}, 1},
        {"{\"items\":1,\"unit\":9223372036854775807,\"chunk\":0}", {0}, 1},
    };
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct ipmpi_request *request = make_request(
            fake, "m", NULL, rows[r].content, rows[r].table, rows[r].n);

        ipmpi_balanced_submit(&fake->hub, request, true);
        ipmpi_request_release(&request);
        CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m ValueError");
    }
    fake_hub_close(fake);
}

static void false_reports_decide_nothing(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    submit(fake, "m", 2, 1, NULL);
    report(fake, "m_1", IPMPI_MSG_PART, 1, 2, -1); /* not its item */
    CHECK_STR(fake_answer(fake), "");
    report(fake, "m_1", IPMPI_MSG_PART, 0, 2, -1); /* nor these */
    CHECK_STR(fake_answer(fake), "");
    report(fake, "m_1", IPMPI_MSG_PART, 0, 1, 1); /* an error elsewhere */
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 0..1");
    done(fake, "m_1", 1, 1);
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m 1..1");
    fake_reply(fake, "m_2", IPMPI_STATUS_ERROR); /* no report at all */
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m ok");
    CHECK_STR(fake_answer(fake), "iopub status m ");
    CHECK_STR(fake_answer(fake), "task ipmpi_bulk_reply m RuntimeError");
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_go_to_whoever_is_free),
        cmocka_unit_test(no_items_at_all),
        cmocka_unit_test(parts_come_before_the_end_and_the_rest_comes_back),
        cmocka_unit_test(a_failed_item_is_tried_elsewhere),
        cmocka_unit_test(an_engine_that_dies_loses_what_it_had_begun),
        cmocka_unit_test(an_abort_takes_back_what_has_not_begun),
        cmocka_unit_test(tasks_have_their_turn),
        cmocka_unit_test(bulk_jobs_take_turns),
        cmocka_unit_test(items_for_a_dead_target_are_impossible),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(false_reports_decide_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

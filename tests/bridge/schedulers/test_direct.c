/* Direct work, broadcasts and control requests between a fake client and fake
 * engines: compat 5, 7, 8, 10.5. */
#include "bridge/schedulers/direct.h"

#include <stdio.h>

#include "bridge/engines.h"
#include "bridge/farewells.h"
#include "bridge/schedulers/broadcast.h"
#include "bridge/schedulers/control.h"
#include "tests/bridge/fake_hub.h"

static void direct(struct fake_hub *fake, const char *type, const char *id,
                   const struct ipmpi_engine *engine)
{
    struct ipmpi_request *request =
        fake_request(fake, type, id, engine->uuid, NULL, NULL);

    ipmpi_direct_submit(&fake->hub, request);
    ipmpi_request_release(&request);
}

static void control(struct fake_hub *fake, const char *type, const char *ident,
                    const char *content)
{
    char id[32];
    struct ipmpi_request *request;

    snprintf(id, sizeof(id), "control-%d", ++fake->nrequests);
    request = fake_request(fake, type, id, ident, NULL, content);
    ipmpi_control_submit(&fake->hub, request);
    ipmpi_request_release(&request);
}

static void in_order_two_ahead(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);
    uint64_t first, second, third;

    (void)state;
    direct(fake, "apply_request", "a", engine);
    direct(fake, "execute_request", "b", engine);
    direct(fake, "apply_request", "c", engine);
    CHECK_EQ(fake_told(fake, NULL, &first), IPMPI_MSG_WORK);
    CHECK_EQ(fake_told(fake, NULL, &second), IPMPI_MSG_WORK);
    CHECK_EQ(fake_told(fake, NULL, &third), 0);
    CHECK_EQ(engine->nmux, 3);
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "mux apply_reply a ok");
    CHECK_EQ(fake_told(fake, NULL, &third), IPMPI_MSG_WORK);
    CHECK(first < second && second < third);
    fake_reply(fake, "b", IPMPI_STATUS_OK);
    fake_reply(fake, "c", IPMPI_STATUS_OK);
    CHECK_EQ(engine->nmux, 0);
    CHECK_EQ(engine->ncompleted, 3);
    fake_hub_close(fake);
}

static void a_failed_cell_aborts_queued_cells_only(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);
    struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_REPLY,
        .kind = IPMPI_STATUS_ERROR,
        .flags = IPMPI_REPLY_ABORT_QUEUED,
    };
    struct ipmpi_frames frames = {0};

    (void)state;
    direct(fake, "execute_request", "a", engine);
    direct(fake, "apply_request", "b", engine); /* sent ahead */
    direct(fake, "execute_request", "c", engine);
    direct(fake, "apply_request", "d", engine);
    head.ref = ipmpi_job_by_id(&fake->hub.ledger, "a")->ref;
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    ipmpi_engines_receive(&fake->hub, engine->rank, &frames);
    ipmpi_frames_clear(&frames);
    CHECK_STR(fake_answer(fake), "mux execute_reply c aborted");
    CHECK_STR(fake_answer(fake), "");
    CHECK_EQ(engine->naborts, 1);
    fake_reply(fake, "b", IPMPI_STATUS_OK);
    fake_reply(fake, "d", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void a_dead_engine_is_told_once(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);
    int64_t due_us;
    char uuid[64];
    struct ipmpi_request *request;

    (void)state;
    snprintf(uuid, sizeof(uuid), "%s", engine->uuid);
    direct(fake, "apply_request", "a", engine);
    fake_engine_dies(fake, 0);
    CHECK_STR(fake_answer(fake), "mux apply_reply a EngineError");
    due_us = ipmpi_farewells_deadline_us(&fake->hub);
    fake->now_us = due_us - 1; /* the reply has time to arrive */
    ipmpi_farewells_turn(&fake->hub);
    CHECK_STR(fake_answer(fake), "");
    fake->now_us = due_us;
    ipmpi_farewells_turn(&fake->hub);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "");
    CHECK(ipmpi_farewells_deadline_us(&fake->hub) == INT64_MAX);
    request = fake_request(fake, "apply_request", "b", uuid, NULL, NULL);
    ipmpi_direct_submit(&fake->hub, request);
    ipmpi_request_release(&request);
    CHECK_STR(fake_answer(fake), "mux apply_reply b EngineError");
    fake_hub_close(fake);
}

static void a_second_answer_is_dropped(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);
    struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                  .type = IPMPI_MSG_REPLY};
    struct ipmpi_frames frames = {0};

    (void)state;
    direct(fake, "apply_request", "a", engine);
    head.ref = ipmpi_job_by_id(&fake->hub.ledger, "a")->ref;
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "mux apply_reply a ok");
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    ipmpi_engines_receive(&fake->hub, engine->rank, &frames);
    ipmpi_frames_clear(&frames);
    CHECK_STR(fake_answer(fake), "");
    fake_hub_close(fake);
}

static void broadcast(struct fake_hub *fake, const char *id, const char *how,
                      const struct ipmpi_engine *one,
                      const struct ipmpi_engine *two)
{
    char metadata[512];
    struct ipmpi_request *request;

    snprintf(metadata, sizeof(metadata),
             "{\"targets\":[[\"%s\",%d],[\"%s\",%d]],\"is_broadcast\":true,"
             "\"%s\":true}",
             one->uuid, one->id, two->uuid, two->id, how);
    request = fake_request(fake, "apply_request", id, NULL, metadata, NULL);
    ipmpi_broadcast_submit(&fake->hub, request);
    ipmpi_request_release(&request);
}

static void reply_share(struct fake_hub *fake, const char *id,
                        const struct ipmpi_engine *engine,
                        enum ipmpi_status status)
{
    char share[128];

    snprintf(share, sizeof(share), "%s_%s", id, engine->uuid);
    fake_reply(fake, share, status);
}

static void a_broadcast_answers_for_each_target(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *one = fake_engine(fake), *two = fake_engine(fake);
    char want[128];

    (void)state;
    broadcast(fake, "a", "plain", one, two);
    reply_share(fake, "a", two, IPMPI_STATUS_OK);
    snprintf(want, sizeof(want), "broadcast apply_reply a_%s ok", two->uuid);
    CHECK_STR(fake_answer(fake), want);
    reply_share(fake, "a", one, IPMPI_STATUS_OK);
    snprintf(want, sizeof(want), "broadcast apply_reply a_%s ok", one->uuid);
    CHECK_STR(fake_answer(fake), want);
    CHECK_STR(fake_answer(fake), "");
    fake_hub_close(fake);
}

static void coalescing_answers_once(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *one = fake_engine(fake), *two = fake_engine(fake);

    (void)state;
    broadcast(fake, "a", "is_coalescing", one, two);
    reply_share(fake, "a", two, IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "");
    reply_share(fake, "a", one, IPMPI_STATUS_OK);
    CHECK_EQ(fake->to_clients->frames.n, 1 + 1 + 5 + 2); /* both results */
    CHECK_STR(fake_answer(fake), "broadcast apply_reply a ok");
    CHECK_STR(fake_answer(fake), "iopub status a "); /* all are idle */
    broadcast(fake, "b", "is_coalescing", one, two);
    reply_share(fake, "b", one, IPMPI_STATUS_ERROR);
    reply_share(fake, "b", two, IPMPI_STATUS_OK); /* the last one is fine */
    CHECK_EQ(fake->to_clients->frames.n, 1 + 1 + 5);
    CHECK_STR(fake_answer(fake), "broadcast apply_reply b Boom");
    CHECK_STR(fake_answer(fake), "iopub status b ");
    broadcast(fake, "c", "is_coalescing", one, two);
    reply_share(fake, "c", one, IPMPI_STATUS_OK);
    fake_engine_dies(fake, two->id);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), ""); /* it can no longer complete */
    fake_hub_close(fake);
}

/* Whoever waits in a collective hears at once that it cannot succeed; what
 * waits here fails here. */
static void a_failed_collective_fails_on_all(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *one = fake_engine(fake), *two = fake_engine(fake);
    uint64_t ref, told;
    char want[128];
    int rank;

    (void)state;
    broadcast(fake, "a", "ipmpi_collective", one, two);
    CHECK_EQ(fake_told(fake, &rank, &ref), IPMPI_MSG_WORK);
    CHECK_EQ(rank, one->rank);
    CHECK_EQ(fake_told(fake, NULL, NULL), IPMPI_MSG_WORK);
    reply_share(fake, "a", two, IPMPI_STATUS_ERROR);
    CHECK_EQ(fake_told(fake, &rank, &told), IPMPI_MSG_CANCEL);
    CHECK_EQ(rank, one->rank);
    CHECK(told == ref);
    snprintf(want, sizeof(want), "broadcast apply_reply a_%s Boom", two->uuid);
    CHECK_STR(fake_answer(fake), want);
    reply_share(fake, "a", one, IPMPI_STATUS_ERROR); /* the second of them */
    CHECK_EQ(fake_told(fake, NULL, NULL), 0);
    fake_answer(fake);

    /* Past the window of engine one; engine two dies. */
    direct(fake, "apply_request", "x", one);
    direct(fake, "apply_request", "y", one);
    broadcast(fake, "b", "ipmpi_collective", one, two);
    fake_engine_dies(fake, two->id);
    snprintf(want, sizeof(want), "broadcast apply_reply b_%s CollectiveError",
             one->uuid);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), want);
    fake_reply(fake, "x", IPMPI_STATUS_OK);
    fake_reply(fake, "y", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void control_is_answered_by_rank_0(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);
    int rank;

    (void)state;
    control(fake, "signal_request", engine->uuid, "{\"sig\":\"SIGUSR1\"}");
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_SIGNAL);
    CHECK_STR(fake_answer(fake), "control signal_reply control-1 ok");
    control(fake, "signal_request", engine->uuid, "{\"sig\":\"SIGNONE\"}");
    CHECK_STR(fake_answer(fake),
              "control signal_reply control-2 AttributeError");
    control(fake, "signal_request", engine->uuid, "{\"sig\":0}");
    CHECK_STR(fake_answer(fake), "control signal_reply control-3 ok");
    CHECK_EQ(fake_told(fake, &rank, NULL), 0);
    control(fake, "abort_request", engine->uuid, "{}");
    CHECK_STR(fake_answer(fake), "control abort_reply control-4 ok");
    control(fake, "clear_request", engine->uuid, "{}");
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_CONTROL);
    fake_reply(fake, "control-5", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "control apply_reply control-5 ok");
    control(fake, "clear_request", "nobody", "{}");
    CHECK_STR(fake_answer(fake), "control control_reply control-6 EngineError");
    control(fake, "shutdown_request", engine->uuid, "{\"restart\":false}");
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_SHUTDOWN);
    CHECK_STR(fake_answer(fake), "control shutdown_reply control-7 ok");
    direct(fake, "apply_request", "late", engine);
    CHECK_STR(fake_answer(fake), "mux apply_reply late EngineError");
    fake_hub_close(fake);
}

static void control_overtakes_work(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);

    (void)state;
    for (int i = 0; i < 5; i++) {
        char id[16];

        snprintf(id, sizeof(id), "w%d", i);
        direct(fake, "apply_request", id, engine);
    }
    while (fake_told(fake, NULL, NULL) != 0)
        continue;
    control(fake, "clear_request", engine->uuid, "{}");
    CHECK_EQ(fake_told(fake, NULL, NULL), IPMPI_MSG_CONTROL);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_two_ahead),
        cmocka_unit_test(a_failed_cell_aborts_queued_cells_only),
        cmocka_unit_test(a_dead_engine_is_told_once),
        cmocka_unit_test(a_second_answer_is_dropped),
        cmocka_unit_test(a_broadcast_answers_for_each_target),
        cmocka_unit_test(coalescing_answers_once),
        cmocka_unit_test(a_failed_collective_fails_on_all),
        cmocka_unit_test(control_is_answered_by_rank_0),
        cmocka_unit_test(control_overtakes_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A controller drives engines through everything that protocol.h has, and
 * checks every byte that a client would see. The engines are driven_engine.c
 * or, with Python, driven_engine.py: the same orders, the same answers. */
#include <signal.h>
#include <stdio.h>

#include "tests/runtime/engine/controller.h"
#include "tests/runtime/engine/requests.h"
#include "tests/runtime/engine/transcript.h"

/* busy first, then output, then the reply, idle last; one reply. */
static void check_order(const struct transcript *t)
{
    CHECK_EQ(t->busy, 0);
    CHECK_EQ(t->nreplies, 1);
    CHECK(t->last_stream < t->reply);
    CHECK(t->published < t->reply);
    CHECK_EQ(t->idle, t->n - 1);
    CHECK(t->reply < t->idle);
}

static void each_request_is_answered(void **state)
{
    static const struct {
        enum ipmpi_work_kind kind;
        const char *request, *order, *reply, *content, *metadata;
        enum ipmpi_status status;
    } rows[] = {
        {IPMPI_WORK_APPLY, "apply_request", "ok", "apply_reply",
         "{\"status\":\"ok\"}", "\"status\":\"ok\"", IPMPI_STATUS_OK},
        {IPMPI_WORK_EXECUTE, "execute_request", "ok", "execute_reply",
         "{\"status\":\"ok\"}", "\"dependencies_met\":true", IPMPI_STATUS_OK},
        {IPMPI_WORK_APPLY, "apply_request", "unmet", "apply_reply",
         "{\"status\":\"error\"}",
         "\"dependencies_met\":false,\"engine_info\":{\"engine_uuid\":"
         "\"uuid-0\",\"engine_id\":0},\"label\":null",
         IPMPI_STATUS_UNMET},
        {IPMPI_WORK_OTHER, "complete_request", "ok", "complete_reply",
         "{\"status\":\"ok\"}", "\"engine\":\"uuid-0\"", IPMPI_STATUS_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct transcript t;

        controller_await(
            controller_work(0, rows[i].kind, rows[i].request, rows[i].order),
            &t);
        check_order(&t);
        CHECK_STR(t.type, rows[i].reply);
        CHECK_STR(t.content, rows[i].content);
        CHECK(strstr(t.metadata, rows[i].metadata) != NULL);
        CHECK(strstr(t.metadata, "\"started\":\"20") != NULL);
        CHECK(strstr(t.metadata, ",\"label\":null,\"is_broadcast\":false}") !=
              NULL);
        CHECK_EQ(t.head.kind, rows[i].status);
        CHECK(t.head.started_us > 0);
        CHECK(t.head.completed_us >= t.head.started_us);
        transcript_clear(&t);
    }
}

static void what_has_no_reply_gets_idle(void **state)
{
    struct transcript t;

    (void)state;
    controller_await(controller_work(0, IPMPI_WORK_COMM, "comm_msg", ""), &t);
    CHECK_EQ(t.n, 2);
    CHECK_EQ(t.idle, 1);
    CHECK_EQ(t.nreplies, 0);
    transcript_clear(&t);
    controller_await(
        controller_work(0, IPMPI_WORK_OTHER, "strange_request", "unknown"), &t);
    CHECK_EQ(t.nreplies, 1);
    CHECK_STR(t.type, "");
    CHECK_EQ(t.idle, 2);
    transcript_clear(&t);
}

static void output_comes_whole_and_before_the_reply(void **state)
{
    static const struct {
        const char *order, *out, *err;
    } rows[] = {
        {"print", "h\xc3\xa9llo\n", "oops\n"},
        {"printf", "from C", NULL},        /* in C's own buffer */
        {"child", "from a child\n", NULL}, /* through the descriptor */
        {"mixed", "1\n2\n3\n", NULL},      /* print, child, print */
        {"halves", "\xe2\x82\xac", NULL},  /* flushed inside a letter */
        {"pieces", "\xe2\x82\xac", NULL},  /* by bytes, through fd 1 */
        {"broken", "a\xef\xbf\xbd", NULL}, /* no UTF-8 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct transcript t;

        controller_await(controller_work(0, IPMPI_WORK_EXECUTE,
                                         "execute_request", rows[i].order),
                         &t);
        check_order(&t);
        CHECK(t.text[0] != NULL);
        CHECK_STR(t.text[0], rows[i].out);
        CHECK_EQ(t.text[1] != NULL, rows[i].err != NULL);
        if (rows[i].err != NULL)
            CHECK_STR(t.text[1], rows[i].err);
        transcript_clear(&t);
    }
}

static void output_belongs_to_its_request(void **state)
{
    uint64_t refs[40];
    struct transcript t;

    (void)state;
    for (int i = 0; i < 40; i++)
        refs[i] = controller_work(0, IPMPI_WORK_EXECUTE, "execute_request",
                                  i % 2 ? "printf" : "print");
    for (int i = 0; i < 40; i++) {
        controller_await(refs[i], &t);
        check_order(&t);
        CHECK_STR(t.text[0], i % 2 ? "from C" : "h\xc3\xa9llo\n");
        transcript_clear(&t);
    }
}

static void a_flood_arrives_whole(void **state)
{
    struct transcript t;
    size_t wrong = 0;

    (void)state;
    controller_await(
        controller_work(0, IPMPI_WORK_EXECUTE, "execute_request", "flood"), &t);
    check_order(&t);
    CHECK_EQ(t.text_len[0], (size_t)20 << 20);
    for (size_t i = 0; i < t.text_len[0]; i += 2)
        wrong += memcmp(t.text[0] + i, "\xc3\xa9", 2) != 0;
    CHECK_EQ(wrong, 0);
    transcript_clear(&t);
}

static void buffers_go_there_and_back(void **state)
{
    static const size_t len[] = {0, 10, 100 << 10, 5 << 20, 65536, 65535};
    struct transcript t;

    (void)state;
    controller_await(controller_work_buffers(0, "echo", len, 6), &t);
    check_order(&t);
    CHECK_EQ(t.nbuffers, 6);
    CHECK_EQ(t.buffer_bytes, 10 + (100 << 10) + (5 << 20) + 65536 + 65535);
    transcript_clear(&t);
}

static void publications_follow_the_output_before_them(void **state)
{
    struct transcript t;

    (void)state;
    controller_await(
        controller_work(0, IPMPI_WORK_EXECUTE, "execute_request", "publish"),
        &t);
    check_order(&t);
    CHECK_EQ(t.last_stream, 1);
    CHECK_EQ(t.published, 2);
    CHECK_STR(t.publication, "{\"data\":{}}");
    CHECK_STR(t.text[0], "before\n");
    transcript_clear(&t);
}

static void an_abort_reaches_only_what_waits(void **state)
{
    static const char *const status[] = {"ok", "aborted", "ok", "aborted"};
    uint64_t refs[4], abort_refs[4];
    struct transcript t;

    (void)state;
    refs[0] = controller_work(0, IPMPI_WORK_APPLY, "apply_request", "hold");
    for (int i = 1; i < 4; i++)
        refs[i] = controller_work(0, IPMPI_WORK_APPLY, "apply_request", "ok");
    abort_refs[0] = refs[3];
    abort_refs[1] = UINT64_MAX;
    abort_refs[2] = refs[0];
    abort_refs[3] = refs[1];
    controller_await_busy(refs[0]); /* or it would be aborted, too */
    controller_abort(0, abort_refs, 4);
    controller_signal(0, SIGUSR1);
    for (int i = 0; i < 4; i++) {
        controller_await(refs[i], &t);
        CHECK_EQ(t.nreplies, 1);
        CHECK(strstr(t.content, status[i]) != NULL);
        CHECK(strstr(t.metadata, status[i]) != NULL);
        CHECK_STR(t.type, "apply_reply");
        CHECK_EQ(t.busy, i == 1 || i == 3 ? -1 : 0);
        transcript_clear(&t);
    }
}

static void an_error_aborts_the_executes_behind_it(void **state)
{
    uint64_t hold, failing, executes[2], apply;
    struct transcript t;

    (void)state;
    hold = controller_work(0, IPMPI_WORK_APPLY, "apply_request", "hold");
    failing = controller_work(0, IPMPI_WORK_EXECUTE, "execute_request", "fail");
    for (int i = 0; i < 2; i++)
        executes[i] =
            controller_work(0, IPMPI_WORK_EXECUTE, "execute_request", "ok");
    apply = controller_work(0, IPMPI_WORK_APPLY, "apply_request", "ok");
    controller_signal(0, SIGUSR1);
    controller_await(hold, &t);
    transcript_clear(&t);
    controller_await(failing, &t);
    check_order(&t);
    CHECK_EQ(t.head.kind, IPMPI_STATUS_ERROR);
    CHECK_EQ(t.head.flags, IPMPI_REPLY_ABORT_QUEUED);
    CHECK(strstr(t.metadata, "\"engine_info\"") != NULL);
    transcript_clear(&t);
    for (int i = 0; i < 2; i++) {
        controller_await(executes[i], &t);
        CHECK_EQ(t.head.kind, IPMPI_STATUS_ABORTED);
        CHECK_STR(t.content, "{\"status\":\"aborted\"}");
        transcript_clear(&t);
    }
    controller_await(apply, &t);
    CHECK_EQ(t.head.kind, IPMPI_STATUS_OK);
    transcript_clear(&t);
}

static void an_error_aborts_the_executes_under_way(void **state)
{
    uint64_t late, next;
    struct transcript t;

    (void)state;
    controller_await(
        controller_work(0, IPMPI_WORK_EXECUTE, "execute_request", "fail"), &t);
    transcript_clear(&t);
    late = controller_late_cell(0, "ok");
    next = controller_work(0, IPMPI_WORK_EXECUTE, "execute_request", "ok");
    controller_await(late, &t);
    CHECK_EQ(t.head.kind, IPMPI_STATUS_ABORTED);
    transcript_clear(&t);
    controller_await(next, &t);
    CHECK_EQ(t.head.kind, IPMPI_STATUS_OK);
    transcript_clear(&t);
}

static void controls_are_served_while_work_runs(void **state)
{
    uint64_t hold, control;
    struct transcript t;

    (void)state;
    hold = controller_work(0, IPMPI_WORK_APPLY, "apply_request", "hold");
    controller_await_busy(hold);
    control = controller_control(0, "clear_request");
    controller_await(control, &t);
    CHECK_STR(t.type, "clear_reply");
    CHECK_EQ(t.head.type, IPMPI_MSG_CONTROL_REPLY);
    CHECK_EQ(t.head.ref, control);
    CHECK(!controller_is_done(hold));
    transcript_clear(&t);
    controller_signal(0, SIGUSR1);
    controller_await(hold, &t);
    transcript_clear(&t);
}

static void nonsense_is_dropped(void **state)
{
    static const struct ipmpi_msg_head rows[] = {
        {.version = IPMPI_PROTOCOL_VERSION, .type = IPMPI_MSG_WORK, .ref = 1},
        {.version = IPMPI_PROTOCOL_VERSION, .type = IPMPI_MSG_ABORT},
        {.version = IPMPI_PROTOCOL_VERSION, .type = IPMPI_MSG_WELCOME},
        {.version = IPMPI_PROTOCOL_VERSION, .type = IPMPI_MSG_READY},
        {.version = IPMPI_PROTOCOL_VERSION, .type = 60000},
        {.version = 999, .type = IPMPI_MSG_BYE},
        {.version = IPMPI_PROTOCOL_VERSION,
         .type = IPMPI_MSG_SIGNAL,
         .detail = 100000},
    };
    struct transcript t;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        controller_raw(0, &rows[i], sizeof(rows[i]), 0);
    controller_raw(0, &rows[0], 5, 4);
    controller_signal(0, 0);
    controller_await(
        controller_work(0, IPMPI_WORK_APPLY, "apply_request", "ok"), &t);
    check_order(&t);
    transcript_clear(&t);
}

static void all_engines_serve(void **state)
{
    struct transcript t;

    (void)state;
    for (int i = 0; i < controller_engines(); i++) {
        char uuid[32];

        controller_await(
            controller_work(i, IPMPI_WORK_APPLY, "apply_request", "print"), &t);
        check_order(&t);
        snprintf(uuid, sizeof(uuid), "\"engine\":\"uuid-%d\"", i);
        CHECK(strstr(t.metadata, uuid) != NULL);
        transcript_clear(&t);
    }
}

/* Last: engine 0 is gone then. The others are told by BYE alone. */
static void a_shutdown_is_followed_by_leaving(void **state)
{
    (void)state;
    controller_tell(0, IPMPI_MSG_SHUTDOWN);
    CHECK_EQ(controller_await_type(0, IPMPI_MSG_LEAVING).flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_is_answered),
        cmocka_unit_test(what_has_no_reply_gets_idle),
        cmocka_unit_test(output_comes_whole_and_before_the_reply),
        cmocka_unit_test(output_belongs_to_its_request),
        cmocka_unit_test(a_flood_arrives_whole),
        cmocka_unit_test(buffers_go_there_and_back),
        cmocka_unit_test(publications_follow_the_output_before_them),
        cmocka_unit_test(an_abort_reaches_only_what_waits),
        cmocka_unit_test(an_error_aborts_the_executes_behind_it),
        cmocka_unit_test(an_error_aborts_the_executes_under_way),
        cmocka_unit_test(controls_are_served_while_work_runs),
        cmocka_unit_test(nonsense_is_dropped),
        cmocka_unit_test(all_engines_serve),
        cmocka_unit_test(a_shutdown_is_followed_by_leaving),
    };
    return cmocka_run_group_tests(tests, controller_open, controller_close);
}

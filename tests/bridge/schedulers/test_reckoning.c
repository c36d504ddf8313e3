/* What an engine that died had begun, and what becomes of it. */
#include "bridge/schedulers/reckoning.h"

#include <string.h>

#include "bridge/schedulers/abort.h"
#include "tests/bridge/fake_hub.h"

/* One engine that has tasks a and b; c waits on rank 0. */
static struct fake_hub *open_busy(void)
{
    struct fake_hub *fake = fake_hub_open(3);

    fake_engine(fake);
    fake_task(fake, "a", NULL);
    fake_task(fake, "b", NULL);
    fake_task(fake, "c", NULL);
    CHECK_EQ(fake_where(fake, "b"), 0);
    return fake;
}

/* The next answers are these and no others. */
static void expect(struct fake_hub *fake, const char *first, const char *second)
{
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), first);
    if (first[0] != '\0')
        CHECK_STR(fake_answer(fake), second);
    CHECK_STR(fake_answer(fake), "");
}

static void what_has_not_begun_goes_elsewhere(void **state)
{
    struct fake_hub *fake = open_busy();
    const uint64_t begun[] = {fake_ref(fake, "a")};

    (void)state;
    fake_engine_killed(fake, 0, 1, begun);
    expect(fake, "task apply_reply a EngineError", "");
    fake_engine(fake);
    CHECK_EQ(fake_where(fake, "b"), 1);
    CHECK_EQ(fake_where(fake, "c"), 1);
    fake_hub_close(fake);
}

static void nothing_has_begun(void **state)
{
    struct fake_hub *fake = open_busy();

    (void)state;
    fake_engine_killed(fake, 0, 0, NULL);
    expect(fake, "", "");
    fake_engine(fake);
    CHECK_EQ(fake_where(fake, "a"), 1);
    CHECK_EQ(fake_where(fake, "b"), 1);
    fake_hub_close(fake);
}

static void what_has_ended_has_begun(void **state)
{
    struct fake_hub *fake = open_busy();
    const uint64_t begun[] = {fake_ref(fake, "a") | IPMPI_BEGUN_ENDED,
                              fake_ref(fake, "b")};

    (void)state;
    fake_engine_killed(fake, 0, 2, begun);
    expect(fake, "task apply_reply a EngineError",
           "task apply_reply b EngineError");
    fake_hub_close(fake);
}

static void without_a_notice_the_oldest_has_begun(void **state)
{
    struct fake_hub *fake = open_busy();

    (void)state;
    fake_engine_dies(fake, 0);
    expect(fake, "task apply_reply a EngineError", "");
    fake_hub_close(fake);
}

/* Far more than a notice can name was begun before a; b is not named. */
static void a_long_life(bool oldest_is_decided)
{
    enum { N = IPMPI_BEGUN_CAP + 7 };
    struct fake_hub *fake = open_busy();
    uint64_t begun[N];

    for (int i = 0; i < N; i++)
        begun[i] = UINT64_C(1000000) + (uint64_t)i;
    begun[oldest_is_decided ? N - 1 : N - IPMPI_BEGUN_CAP] =
        fake_ref(fake, "a");
    fake_engine_killed(fake, 0, N, begun);
    expect(fake, "task apply_reply a EngineError",
           oldest_is_decided ? "" : "task apply_reply b EngineError");
    fake_hub_close(fake);
}

static void the_oldest_named_is_decided_so_nothing_is_missing(void **state)
{
    (void)state;
    a_long_life(true);
}

static void the_oldest_named_is_undecided_so_others_may_be(void **state)
{
    (void)state;
    a_long_life(false);
}

/* Engine 1 dies with the abort's answer; the task must not run on engine 0. */
static void what_was_aborted_does_not_come_back(void **state)
{
    struct fake_hub *fake = fake_hub_open(2);
    struct ipmpi_engine *engine;
    uint64_t begun[1];

    (void)state;
    engine = fake_engine(fake);
    fake_task(fake, "a", NULL);
    fake_task(fake, "b", NULL);
    begun[0] = fake_ref(fake, "a");
    ipmpi_abort(&fake->hub, engine, "b");
    fake_engine(fake);
    fake_engine_killed(fake, 0, 1, begun);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task apply_reply a EngineError");
    CHECK_STR(fake_answer(fake), "task apply_reply b aborted");
    fake_hub_close(fake);
}

static void the_report_names_everything(void **state)
{
    struct ipmpi_engine engine = {.id = 2, .rank = 3, .pid = 4711};
    struct ipmpi_job job = {.msg_id = "x_1"};
    char text[512];

    (void)state;
    strcpy(engine.uuid, "u");
    strcpy(engine.host, "node7");
    strcpy(engine.end, "was killed by signal 9 (Killed)");
    ipmpi_reckoning_describe(&job, &engine, IPMPI_BEGUN, text, sizeof(text));
    CHECK_STR(text, "Engine b'u' died while running task 'x_1': engine 2 (rank "
                    "3 on node7, pid 4711) was killed by signal 9 (Killed)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_not_begun_goes_elsewhere),
        cmocka_unit_test(nothing_has_begun),
        cmocka_unit_test(what_has_ended_has_begun),
        cmocka_unit_test(without_a_notice_the_oldest_has_begun),
        cmocka_unit_test(the_oldest_named_is_decided_so_nothing_is_missing),
        cmocka_unit_test(the_oldest_named_is_undecided_so_others_may_be),
        cmocka_unit_test(what_was_aborted_does_not_come_back),
        cmocka_unit_test(the_report_names_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

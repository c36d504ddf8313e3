/* The balanced scheduler between a fake client and fake engines: compat 6, and
 * the promise that each task is decided exactly once. */
#include "bridge/schedulers/balanced.h"

#include <stdio.h>

#include "bridge/schedulers/abort.h"
#include "tests/bridge/fake_hub.h"

static void tasks_wait_for_engines(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_task(fake, "a", NULL);
    fake_task(fake, "b", NULL);
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 2);
    CHECK_STR(fake_answer(fake), "");
    fake_engine(fake);
    CHECK_EQ(fake_where(fake, "a"), 0);
    CHECK_EQ(fake_where(fake, "b"), -1); /* hwm 1 */
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "task apply_reply a ok");
    CHECK_EQ(fake_where(fake, "b"), 0);
    fake_reply(fake, "b", IPMPI_STATUS_ERROR);
    CHECK_STR(fake_answer(fake), "task apply_reply b Boom");
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 0);
    fake_hub_close(fake);
}

static void the_newest_engine_first_then_the_least_recent(void **state)
{
    struct fake_hub *fake = fake_hub_open(0);

    (void)state;
    for (int i = 0; i < 3; i++)
        fake_engine(fake);
    fake_task(fake, "a", NULL);
    fake_task(fake, "b", NULL);
    fake_task(fake, "c", NULL);
    CHECK_EQ(fake_where(fake, "a"), 2);
    CHECK_EQ(fake_where(fake, "b"), 1);
    CHECK_EQ(fake_where(fake, "c"), 0);
    fake_reply(fake, "b", IPMPI_STATUS_OK);
    fake_task(fake, "d", NULL);
    CHECK_EQ(fake_where(fake, "d"), 1); /* the least loaded */
    fake_task(fake, "e", NULL);
    CHECK_EQ(fake_where(fake, "e"), 2); /* all equal: the least recent */
    fake_hub_close(fake);
}

static void retries_go_elsewhere(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    fake_engine(fake);
    fake_task(fake, "a", "{\"retries\":1}");
    CHECK_EQ(fake_where(fake, "a"), 1);
    fake_reply(fake, "a", IPMPI_STATUS_ERROR);
    CHECK_STR(fake_answer(fake), ""); /* not relayed */
    CHECK_EQ(fake_where(fake, "a"), 0);
    fake_reply(fake, "a", IPMPI_STATUS_ERROR);
    CHECK_STR(fake_answer(fake), "task apply_reply a Boom");
    fake_hub_close(fake);
}

static void an_unmet_dependency_costs_no_retry(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *one = fake_engine(fake), *two = fake_engine(fake);
    char metadata[256];

    (void)state;
    snprintf(metadata, sizeof(metadata), "{\"targets\":[\"%s\",\"%s\"]}",
             one->uuid, two->uuid);
    fake_task(fake, "a", metadata);
    fake_reply(fake, "a", IPMPI_STATUS_UNMET);
    CHECK_STR(fake_answer(fake), "");
    fake_reply(fake, "a", IPMPI_STATUS_UNMET);
    CHECK_STR(fake_answer(fake), "task apply_reply a ImpossibleDependency");
    fake_hub_close(fake);
}

static void after_waits_and_fails_in_cascade(void **state)
{
    enum { CHAIN = 20000 }; /* deeper than a stack would bear */
    struct fake_hub *fake = fake_hub_open(1);
    char id[32], metadata[64];

    (void)state;
    fake_engine(fake);
    fake_task(fake, "t0", NULL);
    for (int i = 1; i <= CHAIN; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        snprintf(metadata, sizeof(metadata), "{\"after\":[\"t%d\"]}", i - 1);
        fake_task(fake, id, metadata);
    }
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "task apply_reply t0 ok");
    CHECK_EQ(fake_where(fake, "t1"), 0);
    fake_reply(fake, "t1", IPMPI_STATUS_ERROR);
    CHECK_STR(fake_answer(fake), "task apply_reply t1 Boom");
    for (int i = 2; i <= CHAIN; i++) {
        char want[64];

        snprintf(want, sizeof(want),
                 "task apply_reply t%d ImpossibleDependency", i);
        CHECK_STR(fake_answer(fake), want);
    }
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 0);
    fake_hub_close(fake);
}

static void invalid_dependencies_fail_at_once(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_task(fake, "a", "{\"after\":[\"never\"]}");
    CHECK_STR(fake_answer(fake), "task apply_reply a InvalidDependency");
    fake_task(fake, "b", "{\"follow\":[\"b\"]}");
    CHECK_STR(fake_answer(fake), "task apply_reply b InvalidDependency");
    fake_task(fake, "c", "{\"after\":7}");
    CHECK_STR(fake_answer(fake), "task apply_reply c ValueError");
    fake_hub_close(fake);
}

static void follow_goes_where_it_ran(void **state)
{
    struct fake_hub *fake = fake_hub_open(0);

    (void)state;
    fake_engine(fake);
    fake_engine(fake);
    fake_task(fake, "a", NULL);
    CHECK_EQ(fake_where(fake, "a"), 1);
    fake_task(fake, "b", "{\"follow\":[\"a\"],\"after\":[\"a\"]}");
    CHECK_EQ(fake_where(fake, "b"), -1);
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "b"), 1);
    fake_reply(fake, "b", IPMPI_STATUS_OK);
    fake_answer(fake);
    fake_answer(fake);
    fake_engine_dies(fake, 1);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    fake_task(fake, "c", "{\"follow\":[\"a\"]}");
    CHECK_STR(fake_answer(fake), "task apply_reply c ImpossibleDependency");
    fake_hub_close(fake);
}

static void a_timeout_counts_in_the_queue_only(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    fake_task(fake, "a", "{\"timeout\":1.0}");
    fake_task(fake, "b", "{\"timeout\":2.0}");
    fake_task(fake, "c", "{\"timeout\":1.0}");
    CHECK_EQ(ipmpi_balanced_deadline_us(&fake->hub), 1000 + 1000000);
    fake->now_us += 1000000;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK_STR(fake_answer(fake), "task apply_reply c TaskTimeout");
    CHECK_STR(fake_answer(fake), ""); /* a runs, b has time left */
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_EQ(ipmpi_balanced_deadline_us(&fake->hub), INT64_MAX);
    fake_hub_close(fake);
}

/* a runs, b is at the engine but has not begun, c waits for an engine. */
static void a_dead_engines_tasks(void **state)
{
    struct fake_hub *fake = fake_hub_open(2);

    (void)state;
    fake_engine(fake);
    fake_task(fake, "a", NULL);
    fake_task(fake, "b", NULL);
    fake_task(fake, "c", NULL);
    fake_engine_dies(fake, 0);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task apply_reply a EngineError");
    CHECK_STR(fake_answer(fake), "");
    fake_engine(fake);
    CHECK_EQ(fake_where(fake, "b"), 1);
    CHECK_EQ(fake_where(fake, "c"), 1);
    fake_hub_close(fake);
}

/* When the cluster ends nobody waits for ever: not for what waits for an
 * engine, nor for another task, nor for a second try. */
static void what_is_left_is_given_up(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    fake_task(fake, "a", "{\"retries\":1}");
    fake_task(fake, "b", NULL);
    fake_task(fake, "c", "{\"after\":[\"b\"]}");
    fake_engine_dies(fake, 0);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "");
    while (ipmpi_balanced_give_up(&fake->hub, "the cluster has ended"))
        ;
    CHECK_STR(fake_answer(fake), "task apply_reply a EngineError");
    CHECK_STR(fake_answer(fake), "task apply_reply b EngineError");
    CHECK_STR(fake_answer(fake), "task apply_reply c ImpossibleDependency");
    CHECK_STR(fake_answer(fake), "");
    fake_hub_close(fake);
}

static void a_dead_engines_task_with_retries(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);

    (void)state;
    fake_engine(fake);
    fake_engine(fake);
    fake_task(fake, "a", "{\"retries\":1}");
    CHECK_EQ(fake_where(fake, "a"), 1);
    fake_engine_dies(fake, 1);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_EQ(fake_where(fake, "a"), 0);
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "task apply_reply a ok");
    fake_hub_close(fake);
}

static void tasks_for_the_dead_are_impossible(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *target = fake_engine(fake);
    char metadata[128];

    (void)state;
    fake_engine(fake);
    snprintf(metadata, sizeof(metadata), "{\"targets\":[\"%s\"]}",
             target->uuid);
    fake_task(fake, "a", metadata);
    fake_task(fake, "b", metadata);
    CHECK_EQ(fake_where(fake, "a"), 0);
    fake_engine_dies(fake, 0);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task apply_reply b ImpossibleDependency");
    CHECK_STR(fake_answer(fake), "task apply_reply a EngineError");
    CHECK_STR(fake_answer(fake), "");
    fake_hub_close(fake);
}

static void aborts_answer_once(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_engine *engine = fake_engine(fake);
    uint64_t ref, aborted;
    int rank;

    (void)state;
    fake_task(fake, "a", "{\"retries\":5}");
    fake_task(fake, "b", NULL);
    CHECK_EQ(fake_told(fake, &rank, &ref), IPMPI_MSG_WORK);
    ipmpi_abort(&fake->hub, engine, "b");
    CHECK_STR(fake_answer(fake), "task apply_reply b aborted");
    ipmpi_abort(&fake->hub, engine, "a"); /* it is at the engine */
    CHECK_EQ(fake_told(fake, &rank, &aborted), IPMPI_MSG_ABORT);
    fake_reply(fake, "a", IPMPI_STATUS_ABORTED);
    CHECK_STR(fake_answer(fake), "task apply_reply a aborted");
    ipmpi_abort(&fake->hub, engine, "c"); /* not here yet */
    fake_task(fake, "c", NULL);
    CHECK_STR(fake_answer(fake), "task apply_reply c aborted");
    CHECK_STR(fake_answer(fake), "");
    CHECK_EQ(engine->ntasks, 0);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_wait_for_engines),
        cmocka_unit_test(the_newest_engine_first_then_the_least_recent),
        cmocka_unit_test(retries_go_elsewhere),
        cmocka_unit_test(an_unmet_dependency_costs_no_retry),
        cmocka_unit_test(after_waits_and_fails_in_cascade),
        cmocka_unit_test(invalid_dependencies_fail_at_once),
        cmocka_unit_test(follow_goes_where_it_ran),
        cmocka_unit_test(a_timeout_counts_in_the_queue_only),
        cmocka_unit_test(a_dead_engines_tasks),
        cmocka_unit_test(what_is_left_is_given_up),
        cmocka_unit_test(a_dead_engines_task_with_retries),
        cmocka_unit_test(tasks_for_the_dead_are_impossible),
        cmocka_unit_test(aborts_answer_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tasks sent ahead of need: which, when, and what becomes of them. */
#include "bridge/schedulers/ahead.h"

#include "bridge/schedulers/balanced.h"
#include "tests/bridge/schedulers/thieving.h"

static void ahead_only_when_none_is_free(void **state)
{
    struct fake_hub *fake = open_hub(2, 2, 9);

    (void)state;
    CHECK_EQ(fake_where(fake, "t0"), 1); /* as ever: the newest, .. */
    CHECK_EQ(fake_where(fake, "t1"), 0); /* .. then the least recent */
    CHECK_EQ(tasks_of(fake, 0), 3);
    CHECK_EQ(tasks_of(fake, 1), 3);
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 3);
    CHECK_EQ(fake->hub.sharing.nahead, 4);
    CHECK_EQ(fake_where(fake, "t6"), -1);
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "t6"), 1); /* takes the place */
    CHECK_EQ(tasks_of(fake, 1), 3);
    CHECK_EQ(fake->hub.sharing.nahead, 4);
    fake_hub_close(fake);
}

static void without_prefetch_nothing_goes_ahead(void **state)
{
    struct fake_hub *fake = open_hub(1, 0, 3);

    (void)state;
    CHECK_EQ(tasks_of(fake, 0), 1);
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 2);
    fake_hub_close(fake);
}

/* What is meant for one engine is not overtaken by what comes after it. */
static void a_task_with_a_target_keeps_its_place(void **state)
{
    struct fake_hub *fake = open_hub(1, 4, 2);
    char metadata[64];

    (void)state;
    snprintf(metadata, sizeof(metadata), "{\"targets\":[\"%s\"]}",
             ipmpi_registry_by_id(&fake->hub.registry, 0)->uuid);
    fake_task(fake, "x", metadata);
    fake_task(fake, "y", NULL);
    CHECK_EQ(fake_where(fake, "x"), -1); /* not sent ahead */
    CHECK_EQ(fake_where(fake, "y"), -1);
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "x"), -1);
    fake_reply(fake, "t1", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "x"), 0);
    CHECK_EQ(fake_where(fake, "y"), 0); /* ahead, behind it */
    fake_reply(fake, "x", IPMPI_STATUS_OK);
    fake_reply(fake, "y", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void what_is_ahead_times_out(void **state)
{
    struct fake_hub *fake = open_hub(1, 2, 1);

    (void)state;
    fake_task(fake, "slow", "{\"timeout\":1}");
    fake_task(fake, "late", "{\"timeout\":1}");
    CHECK_EQ(fake_where(fake, "late"), 0);
    fake_reply(fake, "t0", IPMPI_STATUS_OK); /* slow is assigned: no timeout */
    CHECK_STR(fake_answer(fake), "task apply_reply t0 ok");
    fake->now_us += 2000000;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK_STR(order(fake), "abort 1 0");
    CHECK_STR(order(fake), "");
    CHECK_STR(fake_answer(fake), "");
    fake_reply(fake, "late", IPMPI_STATUS_ABORTED);
    CHECK_STR(fake_answer(fake), "task apply_reply late TaskTimeout");
    fake_reply(fake, "slow", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "task apply_reply slow ok");
    fake_hub_close(fake);
}

static void what_has_begun_does_not_time_out(void **state)
{
    struct fake_hub *fake = open_hub(1, 2, 1);

    (void)state;
    fake_task(fake, "late", "{\"timeout\":1}");
    fake->now_us += 2000000;
    ipmpi_balanced_fire_timers(&fake->hub);
    fake_reply(fake, "late", IPMPI_STATUS_OK); /* crossed with the order */
    CHECK_STR(fake_answer(fake), "task apply_reply late ok");
    fake_hub_close(fake);
}

static void ahead_and_lost(void **state)
{
    struct fake_hub *fake = open_hub(1, 2, 3);

    (void)state;
    fake_engine_killed(fake, 0, 0, NULL);
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 3);
    CHECK_EQ(fake->hub.sharing.nahead, 0);
    CHECK_EQ(fake->hub.sharing.nstealable, 0);
    fake_engine(fake);
    CHECK_EQ(tasks_of(fake, 1), 3);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ahead_only_when_none_is_free),
        cmocka_unit_test(without_prefetch_nothing_goes_ahead),
        cmocka_unit_test(a_task_with_a_target_keeps_its_place),
        cmocka_unit_test(what_is_ahead_times_out),
        cmocka_unit_test(what_has_begun_does_not_time_out),
        cmocka_unit_test(ahead_and_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

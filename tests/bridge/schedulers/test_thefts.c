/* Rank 0's part in thefts: what it grants, what it orders, and that no task is
 * lost or decided twice. Who dies between its phases: test_theft_deaths.c. */
#include "bridge/schedulers/thefts.h"

#include <stdio.h>

#include "bridge/schedulers/abort.h"
#include "bridge/schedulers/balanced.h"
#include "tests/bridge/schedulers/thieving.h"

static void an_idle_engine_is_fed(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    CHECK_STR(order(fake), "give 1 2");
    HANDS_OVER(fake, 0, 2, "t2");
    CHECK_STR(order(fake), "grant 2 1: 1, not 0");
    CHECK_EQ(fake_where(fake, "t2"), 1);
    CHECK_EQ(tasks_of(fake, 0), 2);
    CHECK_EQ(tasks_of(fake, 1), 1);
    CHECK_EQ(fake->hub.sharing.nahead, 1); /* t1; t2 is assigned now */
    CHECK_EQ(fake->hub.sharing.nstolen, 1);
    fake_reply(fake, "t2", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "task apply_reply t2 ok");
    /* granted: it searches by itself now */
    CHECK_STR(order(fake), "");
    says(fake, 1, IPMPI_MSG_HUNGRY, 0, NULL);
    CHECK_STR(order(fake), "give 1 2");
    HANDS_OVER(fake, 0, 2, "t1");
    fake_reply(fake, "t1", IPMPI_STATUS_OK);
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void orders_come_to_an_end(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    CHECK_STR(order(fake), "give 1 2");
    says(fake, 0, IPMPI_MSG_HANDOVER, 2, NULL); /* nothing to give */
    CHECK_STR(order(fake), "");
    says(fake, 1, IPMPI_MSG_HUNGRY, 0, NULL);
    CHECK_STR(order(fake), "");
    fake_hub_close(fake);
}

/* A client that does not know where it is asks all engines, one after the
 * other, and the task moves meanwhile. */
static void an_abort_finds_it_anywhere(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    drop_told(fake);
    ipmpi_abort(&fake->hub, ipmpi_registry_by_id(&fake->hub.registry, 1), "t2");
    CHECK_STR(order(fake), "abort 1 0");
    HANDS_OVER(fake, 0, 2, "t2");
    CHECK_STR(fake_answer(fake), "task apply_reply t2 aborted");
    /* what cannot move is meant by those alone who know where it is */
    ipmpi_abort(&fake->hub, ipmpi_registry_by_id(&fake->hub.registry, 1), "t0");
    CHECK_STR(order(fake), "grant 2 1: 0, not 1");
    CHECK_STR(order(fake), "");
    fake_hub_close(fake);
}

static void the_stolen_is_aborted_where_it_is(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    HANDS_OVER(fake, 0, 2, "t2");
    drop_told(fake);
    ipmpi_abort(&fake->hub, ipmpi_registry_by_id(&fake->hub.registry, 1), "t2");
    CHECK_STR(order(fake), "abort 2 0");
    fake_reply(fake, "t2", IPMPI_STATUS_ABORTED);
    CHECK_STR(fake_answer(fake), "task apply_reply t2 aborted");
    fake_hub_close(fake);
}

/* Abort and hand-over cross: the victim has it no more, the thief must not. */
static void an_abort_overtakes_a_hand_over(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    ipmpi_abort(&fake->hub, ipmpi_registry_by_id(&fake->hub.registry, 0), "t2");
    drop_told(fake);
    HANDS_OVER(fake, 0, 2, "t1", "t2");
    CHECK_STR(order(fake), "grant 2 1: 1, not 1");
    CHECK_STR(fake_answer(fake), "task apply_reply t2 aborted");
    CHECK_EQ(fake_where(fake, "t1"), 1);
    fake_hub_close(fake);
}

static void a_timeout_overtakes_a_hand_over(void **state)
{
    struct fake_hub *fake = open_hub(1, 4, 1);

    (void)state;
    fake_task(fake, "late", "{\"timeout\":1}");
    fake_engine(fake);
    fake->now_us += 2000000;
    ipmpi_balanced_fire_timers(&fake->hub);
    HANDS_OVER(fake, 0, 2, "late");
    CHECK_STR(fake_answer(fake), "task apply_reply late TaskTimeout");
    fake_hub_close(fake);
}

static void retries_of_the_stolen_go_elsewhere(void **state)
{
    struct fake_hub *fake = open_hub(1, 4, 1);

    (void)state;
    started(fake, "t0");
    fake_task(fake, "again", "{\"retries\":1}");
    fake_engine(fake);
    HANDS_OVER(fake, 0, 2, "again");
    fake_reply(fake, "again", IPMPI_STATUS_ERROR);
    CHECK_STR(fake_answer(fake), "");
    CHECK_EQ(fake_where(fake, "again"), -1); /* waits for engine 0 */
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "again"), 0);
    CHECK_EQ(ipmpi_registry_by_id(&fake->hub.registry, 0)->nstealable, 0);
    fake_hub_close(fake);
}

static void between_worlds_by_way_of_rank_0(void **state)
{
    struct fake_hub *fake = open_hub(1, 4, 3);

    (void)state;
    started(fake, "t0");
    fake_engine(fake)->world = 2;
    says(fake, 1, IPMPI_MSG_HUNGRY, 0, NULL);
    CHECK_STR(order(fake), "give 1 2"); /* before it had another world */
    HANDS_OVER(fake, 0, 0, "t1", "t2");
    CHECK_EQ(fake_where(fake, "t1"), 1);
    CHECK(fake_where(fake, "t2") >= 0); /* ahead of need, somewhere */
    CHECK_EQ(fake->hub.sharing.nreturned, 2);
    fake_hub_close(fake);
}

/* Engines 0, 1 and 2 run a, b and c and have 1, 3 and 2 tasks behind that;
 * returns the hub when engine 3 has come, and asks for something to do. */
static struct fake_hub *open_rich_and_poor(void)
{
    static const char *const ids[] = {"a", "b", "c"};
    struct fake_hub *fake = open_hub(3, 4, 0);

    for (int i = 0; i < 3; i++) {
        fake_task(fake, ids[i], NULL);
        started(fake, ids[i]);
    }
    for (int i = 0; i < 9; i++) {
        char id[8];

        snprintf(id, sizeof(id), "t%d", i);
        fake_task(fake, id, NULL);
    }
    for (int i = 0; i < 9; i++) {
        static const bool ends[9] = {[0] = true, [2] = true, [3] = true};
        char id[8];

        snprintf(id, sizeof(id), "t%d", i);
        if (ends[i])
            fake_reply(fake, id, IPMPI_STATUS_OK);
    }
    while (fake_answer(fake)[0] != '\0')
        ;
    drop_told(fake);
    fake_engine(fake);
    return fake;
}

/* Rank of the one that was told to give. */
static int giver(struct fake_hub *fake)
{
    int rank, detail;

    CHECK_EQ(sscanf(order(fake), "give %d %d", &rank, &detail), 2);
    return rank;
}

static size_t behind(struct fake_hub *fake, int id)
{
    return tasks_of(fake, id) - 1;
}

static void who_has_most_is_to_give(void **state)
{
    struct fake_hub *fake = open_rich_and_poor();
    const int first = giver(fake) - 1;

    (void)state;
    for (int id = 0; id < 3; id++)
        CHECK(behind(fake, id) <= behind(fake, first));
    CHECK_EQ(behind(fake, 0) + behind(fake, 1) + behind(fake, 2), 6);
    /* it has nothing after all: whoever has most of the others is asked, until
     * nobody is left */
    says(fake, first, IPMPI_MSG_HANDOVER, 4, NULL);
    says(fake, giver(fake) - 1, IPMPI_MSG_HANDOVER, 4, NULL);
    says(fake, giver(fake) - 1, IPMPI_MSG_HANDOVER, 4, NULL);
    CHECK_STR(order(fake), "");
    fake_hub_close(fake);
}

/* It may have been stopped: others are asked, and what it gives late counts. */
static void the_giver_does_not_answer(void **state)
{
    struct fake_hub *fake = open_rich_and_poor();
    const int silent = giver(fake);
    const char *last = NULL;

    (void)state;
    CHECK_EQ(ipmpi_balanced_deadline_us(&fake->hub), fake->now_us + 1000000);
    fake->now_us += 999999;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK_STR(order(fake), "");
    fake->now_us += 1;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK(giver(fake) != silent);
    CHECK(ipmpi_balanced_deadline_us(&fake->hub) > fake->now_us);
    last = ipmpi_job_of(ipmpi_registry_by_rank(&fake->hub.registry, silent)
                            ->sent.first->prev)
               ->msg_id;
    HANDS_OVER(fake, silent - 1, 4, last);
    CHECK_STR(order(fake) + strlen("grant 4 N"), ": 1, not 0");
    CHECK_EQ(fake_where(fake, last), 3);
    fake_hub_close(fake);
}

static void the_giver_dies(void **state)
{
    struct fake_hub *fake = open_rich_and_poor();
    const int dead = giver(fake);
    const uint64_t begun =
        ipmpi_job_of(
            ipmpi_registry_by_rank(&fake->hub.registry, dead)->sent.first)
            ->ref;

    (void)state;
    fake_engine_killed(fake, dead - 1, 1, &begun);
    CHECK(ipmpi_registry_by_rank(&fake->hub.registry, 4)->sent.n > 0);
    fake_hub_close(fake);
}

static void the_taker_dies(void **state)
{
    struct fake_hub *fake = open_rich_and_poor();
    const int rank = giver(fake);

    (void)state;
    fake_engine_killed(fake, 3, 0, NULL);
    drop_told(fake);
    says(fake, rank - 1, IPMPI_MSG_HANDOVER, 4, NULL);
    fake_engine(fake);
    CHECK(giver(fake) != rank); /* which had nothing */
    fake_hub_close(fake);
}

/* What peers can send at any time changes nothing that is not theirs. */
static void nonsense_is_refused(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    drop_told(fake);
    HANDS_OVER(fake, 1, 1, "t0", "t1"); /* does not have them */
    CHECK_STR(order(fake), "grant 1 2: 0, not 2");
    HANDS_OVER(fake, 0, 2, "t0"); /* has begun it */
    CHECK_STR(order(fake), "grant 2 1: 0, not 1");
    says(fake, 1, IPMPI_MSG_MISSING, 0, (const char *const[]){"t1", NULL});
    CHECK_EQ(fake_where(fake, "t0"), 0);
    CHECK_EQ(fake_where(fake, "t1"), 0);
    HANDS_OVER(fake, 0, 77, "t1"); /* to nobody: given out again */
    CHECK(fake_where(fake, "t1") >= 0);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_engine_is_fed),
        cmocka_unit_test(orders_come_to_an_end),
        cmocka_unit_test(an_abort_finds_it_anywhere),
        cmocka_unit_test(the_stolen_is_aborted_where_it_is),
        cmocka_unit_test(an_abort_overtakes_a_hand_over),
        cmocka_unit_test(a_timeout_overtakes_a_hand_over),
        cmocka_unit_test(retries_of_the_stolen_go_elsewhere),
        cmocka_unit_test(between_worlds_by_way_of_rank_0),
        cmocka_unit_test(who_has_most_is_to_give),
        cmocka_unit_test(the_giver_does_not_answer),
        cmocka_unit_test(the_giver_dies),
        cmocka_unit_test(the_taker_dies),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

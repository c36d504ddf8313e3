/* Deaths between the phases of a theft: no task is lost or decided twice,
 * whoever dies when. */
#include "bridge/schedulers/thefts.h"

#include "tests/bridge/schedulers/thieving.h"

static void the_thief_dies_before_the_hand_over_comes(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    drop_told(fake);
    fake_engine_killed(fake, 1, 0, NULL);
    CHECK_STR(order(fake), "gone 1 2");
    HANDS_OVER(fake, 0, 2, "t2");
    CHECK_EQ(fake_where(fake, "t2"), 0); /* given out again */
    CHECK_STR(order(fake), "");
    fake_hub_close(fake);
}

static void the_thief_dies_after_the_grant(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    HANDS_OVER(fake, 0, 2, "t2");
    fake_engine_killed(fake, 1, 0, NULL);
    CHECK_EQ(fake_where(fake, "t2"), 0);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "");
    fake_hub_close(fake);
}

static void the_thief_dies_running_it(void **state)
{
    struct fake_hub *fake = open_skewed();
    uint64_t begun;

    (void)state;
    HANDS_OVER(fake, 0, 2, "t2");
    begun = fake_ref(fake, "t2");
    fake_engine_killed(fake, 1, 1, &begun);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task apply_reply t2 EngineError");
    fake_hub_close(fake);
}

/* It has reported the hand-over: t2 is the thief's, if it got it. */
static void the_victim_dies_after_the_hand_over(void **state)
{
    struct fake_hub *fake = open_skewed();
    const uint64_t begun = fake_ref(fake, "t0");

    (void)state;
    HANDS_OVER(fake, 0, 2, "t2");
    drop_told(fake);
    fake_engine_killed(fake, 0, 1, &begun);
    CHECK_STR(order(fake), "gone 2 1");
    CHECK_EQ(fake_where(fake, "t1"), 1); /* was not begun */
    CHECK_EQ(fake_where(fake, "t2"), 1);
    says(fake, 1, IPMPI_MSG_MISSING, 0, (const char *const[]){"t2", NULL});
    CHECK_EQ(fake->hub.sharing.nmissing, 1);
    CHECK_EQ(fake_where(fake, "t2"), 1); /* sent again */
    fake_reply(fake, "t2", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

/* It dies before: the thief is told before t2 is given to it again. */
static void the_victim_dies_before_the_hand_over_comes(void **state)
{
    struct fake_hub *fake = open_skewed();
    const uint64_t begun = fake_ref(fake, "t0");
    int rank;

    (void)state;
    drop_told(fake);
    fake_engine_killed(fake, 0, 1, &begun);
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_GONE);
    CHECK_EQ(rank, 2);
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_WORK);
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_WORK);
    CHECK_EQ(fake_told(fake, &rank, NULL), 0);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_thief_dies_before_the_hand_over_comes),
        cmocka_unit_test(the_thief_dies_after_the_grant),
        cmocka_unit_test(the_thief_dies_running_it),
        cmocka_unit_test(the_victim_dies_after_the_hand_over),
        cmocka_unit_test(the_victim_dies_before_the_hand_over_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

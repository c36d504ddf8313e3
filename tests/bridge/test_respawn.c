/* The pace at which dead engines are replaced. */
#include "bridge/respawn.h"
#include "tests/check.h"

#define SECOND ((int64_t)1000 * 1000)

static void those_that_die_together_come_together(void **state)
{
    struct ipmpi_respawn respawn = {0};

    (void)state;
    CHECK_EQ(ipmpi_respawn_deadline_us(&respawn), INT64_MAX);
    CHECK_EQ(ipmpi_respawn_take(&respawn, SECOND), 0);
    ipmpi_respawn_lost(&respawn);
    ipmpi_respawn_lost(&respawn);
    CHECK(ipmpi_respawn_deadline_us(&respawn) <= SECOND);
    CHECK_EQ(ipmpi_respawn_take(&respawn, SECOND), 2);
    CHECK_EQ(ipmpi_respawn_take(&respawn, SECOND), 0);
}

static void the_next_ones_wait(void **state)
{
    struct ipmpi_respawn respawn = {0};

    (void)state;
    ipmpi_respawn_lost(&respawn);
    CHECK_EQ(ipmpi_respawn_take(&respawn, 10 * SECOND), 1);
    ipmpi_respawn_lost(&respawn);
    CHECK_EQ(ipmpi_respawn_take(&respawn, 11 * SECOND), 0);
    CHECK_EQ(ipmpi_respawn_deadline_us(&respawn), 12 * SECOND);
    CHECK_EQ(ipmpi_respawn_take(&respawn, 12 * SECOND), 1);
}

/* The 6th time within a minute waits until the 1st is a minute ago. */
static void the_pace_is_held_back(void **state)
{
    struct ipmpi_respawn respawn = {0};

    (void)state;
    for (int i = 0; i < IPMPI_RESPAWN_MOST; i++) {
        ipmpi_respawn_lost(&respawn);
        CHECK_EQ(ipmpi_respawn_take(&respawn, (100 + 3 * i) * SECOND), 1);
    }
    ipmpi_respawn_lost(&respawn);
    CHECK_EQ(ipmpi_respawn_take(&respawn, 130 * SECOND), 0);
    CHECK_EQ(ipmpi_respawn_deadline_us(&respawn), 160 * SECOND);
    ipmpi_respawn_lost(&respawn);
    CHECK_EQ(ipmpi_respawn_take(&respawn, 160 * SECOND), 2);
    ipmpi_respawn_lost(&respawn);
    CHECK_EQ(ipmpi_respawn_deadline_us(&respawn), 163 * SECOND);
}

static void slowly_it_goes_on(void **state)
{
    struct ipmpi_respawn respawn = {0};

    (void)state;
    for (int i = 1; i < 4 * IPMPI_RESPAWN_MOST; i++) {
        ipmpi_respawn_lost(&respawn);
        CHECK_EQ(ipmpi_respawn_take(&respawn, 13 * i * SECOND), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_die_together_come_together),
        cmocka_unit_test(the_next_ones_wait),
        cmocka_unit_test(the_pace_is_held_back),
        cmocka_unit_test(slowly_it_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

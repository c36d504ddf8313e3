/* Clients that are just connecting: whose work is held, and for how long. */
#include "bridge/joiners.h"

#include <stdlib.h>

#include "tests/bridge/fake_hub.h"

/* Where clients come, and their work is held. */
struct door {
    struct ipmpi_joiners joiners;
    struct fake_hub *fake;
    int delivered;
};

static int open_door(void **state)
{
    struct door *door = calloc(1, sizeof(*door));

    if (door == NULL)
        return -1;
    door->fake = fake_hub_open(1);
    *state = door;
    return 0;
}

static int close_door(void **state)
{
    struct door *door = *state;

    ipmpi_joiners_clear(&door->joiners);
    fake_hub_close(door->fake);
    free(door);
    return 0;
}

static void deliver(void *ctx, enum ipmpi_door where,
                    struct ipmpi_request *request)
{
    struct door *door = ctx;

    CHECK_EQ(where, IPMPI_DOOR_MUX);
    CHECK(request != NULL);
    door->delivered++;
}

/* How many requests were delivered, by this time and before. */
static int delivered_by(struct door *door, int64_t now_us)
{
    ipmpi_joiners_release(&door->joiners, now_us, deliver, door);
    return door->delivered;
}

static void hold(struct door *door, bool held)
{
    struct ipmpi_request *request =
        fake_request(door->fake, "apply_request", "a", NULL, NULL, NULL);

    CHECK_EQ(ipmpi_joiners_hold(&door->joiners, IPMPI_DOOR_MUX, request), held);
    ipmpi_request_release(&request);
}

/* All that was held has been delivered, and no client is waited for. */
static void nobody_is_left(const struct door *door)
{
    CHECK_EQ(ipmpi_joiners_deadline_us(&door->joiners), INT64_MAX);
    CHECK_EQ(door->joiners.held_bytes, 0);
    CHECK(door->joiners.first == NULL);
}

static void until_the_subscription(void **state)
{
    struct door *door = *state;

    hold(door, false);
    ipmpi_joiners_expect(&door->joiners, "s", 0);
    hold(door, true);
    hold(door, true);
    CHECK_EQ(delivered_by(door, 100), 0);
    ipmpi_joiners_subscribed(&door->joiners);
    CHECK_EQ(delivered_by(door, 100), 2);
    hold(door, false);
    nobody_is_left(door);
}

static void not_for_ever(void **state)
{
    struct door *door = *state;

    ipmpi_joiners_expect(&door->joiners, "s", 0);
    hold(door, true);
    CHECK_EQ(ipmpi_joiners_deadline_us(&door->joiners), 200000);
    CHECK_EQ(delivered_by(door, 200000), 0);
    CHECK_EQ(ipmpi_joiners_deadline_us(&door->joiners), 2000000);
    CHECK_EQ(delivered_by(door, 2000000), 1);
    nobody_is_left(door);
}

static void a_late_subscription_is_waited_for(void **state)
{
    struct door *door = *state;

    ipmpi_joiners_expect(&door->joiners, "s", 0);
    hold(door, true);
    CHECK_EQ(delivered_by(door, 300000), 0);
    ipmpi_joiners_subscribed(&door->joiners);
    CHECK_EQ(delivered_by(door, 300001), 1);
    nobody_is_left(door);
}

static void who_never_subscribes_is_not_waited_for_long(void **state)
{
    struct door *door = *state;

    ipmpi_joiners_expect(&door->joiners, "gone", 0);
    ipmpi_joiners_expect(&door->joiners, "s", 100000);
    hold(door, true);
    ipmpi_joiners_subscribed(&door->joiners);
    CHECK_EQ(delivered_by(door, 150000), 0);
    CHECK_EQ(delivered_by(door, 300000), 1);
    ipmpi_joiners_expect(&door->joiners, "s", 400000);
    hold(door, true);
    ipmpi_joiners_subscribed(&door->joiners);
    CHECK_EQ(delivered_by(door, 400001), 2); /* the gap is closed */
    nobody_is_left(door);
}

static void another_clients_subscription_is_not_enough(void **state)
{
    struct door *door = *state;

    ipmpi_joiners_subscribed(&door->joiners); /* a bare SUB, long before */
    ipmpi_joiners_expect(&door->joiners, "other", 0);
    ipmpi_joiners_expect(&door->joiners, "s", 0);
    hold(door, true);
    ipmpi_joiners_subscribed(&door->joiners);
    CHECK_EQ(delivered_by(door, 10), 0);
    ipmpi_joiners_subscribed(&door->joiners);
    CHECK_EQ(delivered_by(door, 20), 1);
    nobody_is_left(door);
}

/* The hub ends while a client is awaited. */
static void what_is_held_can_be_dropped(void **state)
{
    struct door *door = *state;

    ipmpi_joiners_expect(&door->joiners, "s", 0);
    hold(door, true);
    CHECK(door->joiners.held_bytes > 0);
    ipmpi_joiners_clear(&door->joiners);
    nobody_is_left(door);
    CHECK_EQ(delivered_by(door, 2000000), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_door, close_door)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(until_the_subscription),
        TEST(not_for_ever),
        TEST(a_late_subscription_is_waited_for),
        TEST(who_never_subscribes_is_not_waited_for_long),
        TEST(another_clients_subscription_is_not_enough),
        TEST(what_is_held_can_be_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

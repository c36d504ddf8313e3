/* Clients that are just connecting: whose work is held, and for how long. */
#include "bridge/joiners.h"

#include "tests/bridge/fake_hub.h"

static int delivered;

static void deliver(void *ctx, enum ipmpi_door door,
                    struct ipmpi_request *request)
{
    (void)ctx;
    CHECK_EQ(door, IPMPI_DOOR_MUX);
    CHECK(request != NULL);
    delivered++;
}

static void hold(struct ipmpi_joiners *joiners, struct fake_hub *fake,
                 bool held)
{
    struct ipmpi_request *request =
        fake_request(fake, "apply_request", "a", NULL, NULL, NULL);

    CHECK_EQ(ipmpi_joiners_hold(joiners, IPMPI_DOOR_MUX, request), held);
    ipmpi_request_release(&request);
}

static void until_the_subscription(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_joiners joiners = {0};

    (void)state;
    delivered = 0;
    hold(&joiners, fake, false);
    ipmpi_joiners_expect(&joiners, "s", 0);
    hold(&joiners, fake, true);
    hold(&joiners, fake, true);
    ipmpi_joiners_release(&joiners, 100, deliver, NULL);
    CHECK_EQ(delivered, 0);
    ipmpi_joiners_subscribed(&joiners);
    ipmpi_joiners_release(&joiners, 100, deliver, NULL);
    CHECK_EQ(delivered, 2);
    hold(&joiners, fake, false);
    CHECK_EQ(ipmpi_joiners_deadline_us(&joiners), INT64_MAX);
    fake_hub_close(fake);
}

static void not_for_ever(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_joiners joiners = {0};

    (void)state;
    delivered = 0;
    ipmpi_joiners_expect(&joiners, "s", 0);
    hold(&joiners, fake, true);
    CHECK_EQ(ipmpi_joiners_deadline_us(&joiners), 200000);
    ipmpi_joiners_release(&joiners, 200000, deliver, NULL);
    CHECK_EQ(delivered, 0);
    CHECK_EQ(ipmpi_joiners_deadline_us(&joiners), 2000000);
    ipmpi_joiners_release(&joiners, 2000000, deliver, NULL);
    CHECK_EQ(delivered, 1);
    CHECK_EQ(ipmpi_joiners_deadline_us(&joiners), INT64_MAX);
    fake_hub_close(fake);
}

static void a_late_subscription_is_waited_for(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_joiners joiners = {0};

    (void)state;
    delivered = 0;
    ipmpi_joiners_expect(&joiners, "s", 0);
    hold(&joiners, fake, true);
    ipmpi_joiners_release(&joiners, 300000, deliver, NULL);
    CHECK_EQ(delivered, 0);
    ipmpi_joiners_subscribed(&joiners);
    ipmpi_joiners_release(&joiners, 300001, deliver, NULL);
    CHECK_EQ(delivered, 1);
    fake_hub_close(fake);
}

static void who_never_subscribes_is_not_waited_for_long(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_joiners joiners = {0};

    (void)state;
    delivered = 0;
    ipmpi_joiners_expect(&joiners, "gone", 0);
    ipmpi_joiners_expect(&joiners, "s", 100000);
    hold(&joiners, fake, true);
    ipmpi_joiners_subscribed(&joiners);
    ipmpi_joiners_release(&joiners, 150000, deliver, NULL);
    CHECK_EQ(delivered, 0);
    ipmpi_joiners_release(&joiners, 300000, deliver, NULL);
    CHECK_EQ(delivered, 1);
    ipmpi_joiners_expect(&joiners, "s", 400000);
    hold(&joiners, fake, true);
    ipmpi_joiners_subscribed(&joiners);
    ipmpi_joiners_release(&joiners, 400001, deliver, NULL);
    CHECK_EQ(delivered, 2); /* the gap is closed */
    ipmpi_joiners_clear(&joiners);
    fake_hub_close(fake);
}

static void another_clients_subscription_is_not_enough(void **state)
{
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_joiners joiners = {0};

    (void)state;
    delivered = 0;
    ipmpi_joiners_subscribed(&joiners); /* a bare SUB, long before */
    ipmpi_joiners_expect(&joiners, "other", 0);
    ipmpi_joiners_expect(&joiners, "s", 0);
    hold(&joiners, fake, true);
    ipmpi_joiners_subscribed(&joiners);
    ipmpi_joiners_release(&joiners, 10, deliver, NULL);
    CHECK_EQ(delivered, 0);
    ipmpi_joiners_subscribed(&joiners);
    ipmpi_joiners_release(&joiners, 20, deliver, NULL);
    CHECK_EQ(delivered, 1);
    ipmpi_joiners_clear(&joiners);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(until_the_subscription),
        cmocka_unit_test(not_for_ever),
        cmocka_unit_test(a_late_subscription_is_waited_for),
        cmocka_unit_test(who_never_subscribes_is_not_waited_for_long),
        cmocka_unit_test(another_clients_subscription_is_not_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

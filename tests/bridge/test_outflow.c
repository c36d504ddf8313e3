/* What clients have not taken: when rank 0 holds back, who is deaf. */
#include "bridge/outflow.h"

#include <string.h>

#include "runtime/base/error.h"
#include "tests/check.h"

#define SECOND ((int64_t)1000 * 1000)

static struct ipmpi_outflow *outflow;

static int open_outflow(void **state)
{
    (void)state;
    return ipmpi_outflow_create(1000, &outflow);
}

static int close_outflow(void **state)
{
    (void)state;
    ipmpi_outflow_destroy(&outflow);
    return outflow != NULL;
}

static struct ipmpi_parcel *post(const char *client, size_t bytes)
{
    struct ipmpi_parcel *parcel = NULL;

    CHECK_EQ(ipmpi_outflow_post(outflow, 1, client, strlen(client), bytes,
                                false, &parcel),
             0);
    return parcel;
}

static int try_it(const char *client, size_t bytes, bool answered)
{
    struct ipmpi_parcel *parcel;
    const int err = ipmpi_outflow_post(outflow, 1, client, strlen(client),
                                       bytes, answered, &parcel);

    if (err == 0)
        ipmpi_outflow_done(&parcel);
    return err;
}

static int try_to_post(const char *client, size_t bytes)
{
    return try_it(client, bytes, false);
}

static void a_slow_client_holds_back(void **state)
{
    struct ipmpi_parcel *a, *b;

    (void)state;
    a = post("a", 600);
    CHECK(!ipmpi_outflow_holds_back(outflow));
    CHECK_EQ(ipmpi_outflow_deadline_us(outflow), INT64_MAX);
    b = post("b", 600);
    CHECK(ipmpi_outflow_holds_back(outflow));
    CHECK_EQ(ipmpi_outflow_deadline_us(outflow), 0);
    ipmpi_outflow_done(&a);
    CHECK(a == NULL);
    CHECK(!ipmpi_outflow_holds_back(outflow));
    CHECK_EQ(ipmpi_outflow_bytes(outflow), 600);
    ipmpi_outflow_done(&b);
    CHECK_EQ(ipmpi_outflow_bytes(outflow), 0);
}

/* a stands still, b reads slowly, and as much comes as it takes. */
static void who_takes_nothing_is_deaf(void **state)
{
    struct ipmpi_parcel *a = post("a", 900), *b = post("b", 200), *taken;

    (void)state;
    for (int second = 1; second <= 31; second++) {
        CHECK(ipmpi_outflow_holds_back(outflow));
        CHECK_EQ(try_to_post("c", 1), 0);
        taken = b;
        b = post("b", 200);
        ipmpi_outflow_done(&taken);
        ipmpi_outflow_look(outflow, second * SECOND);
    }
    CHECK(!ipmpi_outflow_holds_back(outflow));
    CHECK_EQ(try_to_post("a", 1), IPMPI_EFULL);
    CHECK_EQ(try_to_post("b", 1), 0);
    ipmpi_outflow_done(&a);
    ipmpi_outflow_done(&b);
    CHECK_EQ(ipmpi_outflow_bytes(outflow), 0);
}

static void what_waits_for_the_deaf_holds_nobody_back(void **state)
{
    struct ipmpi_parcel *deaf = post("a", 1500), *more;

    (void)state;
    ipmpi_outflow_look(outflow, SECOND);
    CHECK(ipmpi_outflow_holds_back(outflow));
    ipmpi_outflow_look(outflow, 30 * SECOND);
    CHECK(ipmpi_outflow_holds_back(outflow));
    ipmpi_outflow_look(outflow, 31 * SECOND);
    CHECK(!ipmpi_outflow_holds_back(outflow));
    CHECK_EQ(try_to_post("a", 1), IPMPI_EFULL);
    more = post("b", 900);
    CHECK(!ipmpi_outflow_holds_back(outflow));
    ipmpi_outflow_done(&more);
    ipmpi_outflow_done(&deaf);
    ipmpi_outflow_look(outflow, 32 * SECOND);
    CHECK_EQ(try_to_post("a", 1), 0); /* it has read */
}

static void a_long_silence_alone_is_no_deafness(void **state)
{
    struct ipmpi_parcel *parcel = post("a", 900);

    (void)state;
    ipmpi_outflow_look(outflow, SECOND);
    ipmpi_outflow_look(outflow, 3600 * SECOND);
    CHECK_EQ(try_to_post("a", 50), 0);
    ipmpi_outflow_done(&parcel);
}

static void answers_are_bounded_results_are_not(void **state)
{
    struct ipmpi_parcel *parcel = post("a", 5000); /* one may be of any size */

    (void)state;
    CHECK_EQ(try_it("a", 1, true), IPMPI_EFULL);
    CHECK_EQ(try_it("a", 9000, false), 0);
    CHECK_EQ(try_it("b", 1, true), 0);
    ipmpi_outflow_done(&parcel);
    parcel = post("a", 1999);
    CHECK_EQ(try_it("a", 1, true), 0);
    CHECK_EQ(try_it("a", 2, true), IPMPI_EFULL);
    ipmpi_outflow_done(&parcel);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, open_outflow, close_outflow)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_slow_client_holds_back),
        TEST(who_takes_nothing_is_deaf),
        TEST(what_waits_for_the_deaf_holds_nobody_back),
        TEST(a_long_silence_alone_is_no_deafness),
        TEST(answers_are_bounded_results_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

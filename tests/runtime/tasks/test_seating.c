/* Who is asked for work, and in which order. */
#include "runtime/tasks/seating.h"

#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"
#include "tests/fault.h"

/* Hosts 7 and 9, two packages each, two caches a package, two ranks a cache,
 * dealt out as mpirun --map-by node does. */
enum { N = 16 };

static struct ipmpi_seat seat_of(int i)
{
    return (struct ipmpi_seat){
        .host = i % 2 == 0 ? 9 : 7, .package = i / 2 / 4, .cache = i / 2 / 2};
}

static struct ipmpi_seating *open_seating(void)
{
    struct ipmpi_seat seats[N];
    struct ipmpi_seating *seating = NULL;

    for (int i = 0; i < N; i++)
        seats[i] = seat_of(i);
    CHECK_EQ(ipmpi_seating_create(seats, N, &seating), 0);
    return seating;
}

static void nearness(void **state)
{
    static const struct {
        int a, b;
        enum ipmpi_nearness near;
    } rows[] = {{0, 2, IPMPI_NEAR_CACHE},
                {0, 4, IPMPI_NEAR_PACKAGE},
                {0, 8, IPMPI_NEAR_NODE},
                {0, 1, IPMPI_NEAR_NOT},
                {13, 15, IPMPI_NEAR_CACHE}};
    struct ipmpi_seating *seating = open_seating();

    (void)state;
    CHECK_EQ(ipmpi_seating_size(seating), N);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(ipmpi_seating_nearness(seating, rows[i].a, rows[i].b),
                 rows[i].near);
    ipmpi_seating_destroy(&seating);
}

/* Ever farther, none twice, never oneself; every seed and every rank. */
static void nearest_first(void **state)
{
    struct ipmpi_seating *seating = open_seating();

    (void)state;
    for (int self = 0; self < N; self++) {
        struct ipmpi_search search = {.self = self, .seed = 100u + self};
        int count[IPMPI_NEARNESSES] = {0}, last = 0, member;
        bool seen[N] = {false};

        ipmpi_search_begin(&search);
        while ((member = ipmpi_search_next(&search, seating)) >= 0) {
            const int near = ipmpi_seating_nearness(seating, self, member);

            CHECK(member != self && !seen[member] && near >= last);
            seen[member] = true;
            last = near;
            count[near]++;
        }
        CHECK_EQ(count[IPMPI_NEAR_CACHE], 1);
        CHECK_EQ(count[IPMPI_NEAR_PACKAGE], 2);
        CHECK_EQ(count[IPMPI_NEAR_NODE], 2);
        CHECK_EQ(count[IPMPI_NEAR_NOT], 3);
        CHECK_EQ(ipmpi_search_next(&search, seating), -1);
    }
    ipmpi_seating_destroy(&seating);
}

/* In many searches everybody is found. */
static void everybody_in_the_end(void **state)
{
    struct ipmpi_seating *seating = open_seating();
    struct ipmpi_search search = {.self = 3, .seed = 1};
    bool seen[N] = {false};
    int member;

    (void)state;
    for (int i = 0; i < 200; i++) {
        ipmpi_search_begin(&search);
        while ((member = ipmpi_search_next(&search, seating)) >= 0)
            seen[member] = true;
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(seen[i], i != 3);
    ipmpi_seating_destroy(&seating);
}

static void the_gone_are_not_asked(void **state)
{
    struct ipmpi_seating *seating = open_seating();
    struct ipmpi_search search = {.self = 0, .seed = 5};

    (void)state;
    for (int i = 1; i < N; i++) {
        if (i != 6)
            ipmpi_seating_leave(seating, i);
    }
    CHECK(ipmpi_seating_is_gone(seating, 5));
    ipmpi_search_begin(&search);
    CHECK_EQ(ipmpi_search_next(&search, seating), 6);
    CHECK_EQ(ipmpi_search_next(&search, seating), -1);
    ipmpi_seating_destroy(&seating);
}

static void alone(void **state)
{
    const struct ipmpi_seat seat = {1, -1, -1};
    struct ipmpi_seating *seating = NULL;
    struct ipmpi_search search = {.self = 0};

    (void)state;
    CHECK_EQ(ipmpi_seating_create(&seat, 1, &seating), 0);
    ipmpi_search_begin(&search);
    CHECK_EQ(ipmpi_search_next(&search, seating), -1);
    ipmpi_seating_destroy(&seating);
}

static void without_memory(void **state)
{
    const struct ipmpi_seat seats[3] = {{1, 0, 0}, {1, 0, 0}, {2, 0, 0}};
    struct ipmpi_seating *seating;
    unsigned nth = 1;
    bool fired;

    (void)state;
    do {
        int err;

        seating = NULL;
        fault_arm(nth++);
        err = ipmpi_seating_create(seats, 3, &seating);
        fired = fault_disarm();
        CHECK_EQ(err, fired ? IPMPI_ENOMEM : 0);
        CHECK_EQ(seating == NULL, fired);
    } while (fired);
    ipmpi_seating_destroy(&seating);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearness),
        cmocka_unit_test(nearest_first),
        cmocka_unit_test(everybody_in_the_end),
        cmocka_unit_test(the_gone_are_not_asked),
        cmocka_unit_test(alone),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

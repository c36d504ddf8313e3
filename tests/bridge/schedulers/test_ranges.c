/* How bulk jobs are split, without a bulk job. */
#include "bridge/schedulers/ranges.h"

#include <stdlib.h>

#include "tests/check.h"

static struct ipmpi_ranges make(uint64_t items)
{
    const struct ipmpi_range all = {0, items, 0, -1};
    struct ipmpi_ranges ranges = {0};

    CHECK_EQ(ipmpi_ranges_add(&ranges, &all), 0);
    return ranges;
}

static void cuts_keep_chunks_whole(void **state)
{
    static const struct {
        uint64_t items, chunk, want;
        uint64_t ends[4]; /* 0: the end */
    } rows[] = {
        {10, 0, 4, {4, 8, 10}},    {10, 1, 4, {4, 8, 10}},
        {10, 3, 1, {3, 6, 9, 10}}, {10, 3, 7, {6, 10}},
        {10, 20, 1, {10}},         {3, 0, 0, {1, 2, 3}},
        {10, 5, 100, {10}},
    };

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct ipmpi_ranges ranges = make(rows[r].items);
        struct ipmpi_range got;
        uint64_t at = 0;

        for (size_t i = 0; i < 4 && rows[r].ends[i] != 0; i++) {
            CHECK(ipmpi_ranges_take(&ranges, 0, false, rows[r].want,
                                    rows[r].chunk, &got));
            CHECK_EQ(got.first, at);
            CHECK_EQ(got.end, rows[r].ends[i]);
            at = got.end;
            CHECK_EQ(ranges.items, rows[r].items - at);
        }
        CHECK(!ipmpi_ranges_take(&ranges, 0, false, 1, 0, &got));
        ipmpi_ranges_clear(&ranges);
    }
}

static void what_comes_back_goes_first(void **state)
{
    struct ipmpi_ranges ranges = make(100);
    struct ipmpi_range got, later;

    (void)state;
    CHECK(ipmpi_ranges_take(&ranges, 0, false, 10, 0, &got));
    CHECK(ipmpi_ranges_take(&ranges, 0, false, 10, 0, &later));
    got.first = 4;
    CHECK_EQ(ipmpi_ranges_add(&ranges, &got), 0);
    CHECK(ipmpi_ranges_take(&ranges, 0, false, 50, 0, &got));
    CHECK_EQ(got.first, 4);
    CHECK_EQ(got.end, 10);
    CHECK_EQ(ipmpi_ranges_add(&ranges, &later), 0); /* it joins the rest */
    CHECK_EQ(ranges.n, 1);
    CHECK_EQ(ranges.items, 90);
    ipmpi_ranges_clear(&ranges);
}

static void failed_items_avoid_their_engine(void **state)
{
    const struct ipmpi_range failed = {3, 4, 1, 7}, next = {4, 6, 1, 7};
    struct ipmpi_ranges ranges = {0};
    struct ipmpi_range got;

    (void)state;
    CHECK_EQ(ipmpi_ranges_add(&ranges, &failed), 0);
    CHECK_EQ(ipmpi_ranges_add(&ranges, &next), 0);
    CHECK_EQ(ranges.n, 1); /* alike, and one after the other */
    CHECK(!ipmpi_ranges_has(&ranges, 7, false));
    CHECK(!ipmpi_ranges_take(&ranges, 7, false, 9, 0, &got));
    CHECK(ipmpi_ranges_has(&ranges, 7, true));
    CHECK(ipmpi_ranges_take(&ranges, 6, false, 9, 0, &got));
    CHECK_EQ(got.first, 3);
    CHECK_EQ(got.end, 6);
    CHECK_EQ(got.attempts, 1);
    CHECK_EQ(ranges.items, 0);
    ipmpi_ranges_clear(&ranges);
}

/* Whatever is taken and given back: each item is in one place. */
static void nothing_is_lost_or_doubled(void **state)
{
    enum { ITEMS = 500 };
    struct ipmpi_ranges ranges = make(ITEMS);
    struct ipmpi_range got;
    unsigned seed = 1;
    int seen[ITEMS] = {0};

    (void)state;
    while (ranges.items > 0) {
        const int engine = rand_r(&seed) % 3;

        if (!ipmpi_ranges_take(&ranges, engine, false,
                               1 + (uint64_t)rand_r(&seed) % 20, 0, &got))
            continue;
        while (got.first < got.end && rand_r(&seed) % 8 != 0)
            seen[got.first++]++;
        got.avoid = rand_r(&seed) % 4 == 0 ? engine : -1;
        CHECK_EQ(ipmpi_ranges_add(&ranges, &got), 0);
    }
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQ(seen[i], 1);
    ipmpi_ranges_clear(&ranges);
}

static void pieces_follow_the_time_of_items(void **state)
{
    static const struct {
        uint64_t measured;
        double us; /* for all of them */
        uint64_t waiting;
        size_t engines;
        uint64_t want;
    } rows[] = {
        {0, 0, 1000000, 4, 1},           /* not measured */
        {1000, 1000, 1000000, 4, 20000}, /* 20 ms of it */
        {1, 1, 1000000, 4, 32},          /* one item does not say so much */
        {10, 10e6, 1000000, 4, 1},       /* long items */
        {1000, 1000, 80, 4, 10},         /* half a share, towards the end */
        {1000, 1000, 3, 4, 1},
        {1000, 0, 100, 0, 50}, /* too quick for the clock */
    };

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct ipmpi_grain grain = {0};

        ipmpi_grain_learn(&grain, rows[r].measured, rows[r].us);
        CHECK_EQ(ipmpi_grain_size(&grain, rows[r].waiting, rows[r].engines),
                 rows[r].want);
    }
}

static void long_items_are_not_sent_ahead(void **state)
{
    struct ipmpi_grain grain = {0};

    (void)state;
    CHECK(!ipmpi_grain_is_fine(&grain)); /* nobody knows */
    ipmpi_grain_expect(&grain, 0);
    CHECK(!ipmpi_grain_is_fine(&grain));
    ipmpi_grain_expect(&grain, 100);
    CHECK(ipmpi_grain_is_fine(&grain));
    ipmpi_grain_learn(&grain, 1, 1e6);
    CHECK(!ipmpi_grain_is_fine(&grain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_keep_chunks_whole),
        cmocka_unit_test(what_comes_back_goes_first),
        cmocka_unit_test(failed_items_avoid_their_engine),
        cmocka_unit_test(nothing_is_lost_or_doubled),
        cmocka_unit_test(pieces_follow_the_time_of_items),
        cmocka_unit_test(long_items_are_not_sent_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

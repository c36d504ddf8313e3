/* Splitting bulk jobs.
 *
 * Invariant: `items` is the sum of the lengths; no range is empty. */
#include "bridge/schedulers/ranges.h"

#include <stdlib.h>

#include "runtime/base/error.h"

enum {
    TARGET_US = 20000, /* of a piece: a message costs less than 1 % of it */
    FINE_US = 50000,   /* pieces of longer items are not sent ahead */
    GROWTH = 32,       /* of a piece, over what has been measured at once */
    EXPECTED = 64,     /* what expectation counts as, in measured items */
    SHARES = 2,        /* pieces for each engine in what waits */
};

#define LEAST_US 0.01 /* of an item: no call of a function is quicker */

static int reserve(struct ipmpi_ranges *ranges)
{
    const size_t cap = ranges->cap == 0 ? 16 : 2 * ranges->cap;
    struct ipmpi_range *more;

    if (ranges->n < ranges->cap)
        return 0;
    more = realloc(ranges->at, cap * sizeof(*more));
    if (more == NULL)
        return IPMPI_ENOMEM;
    ranges->at = more;
    ranges->cap = cap;
    return 0;
}

static bool are_alike(const struct ipmpi_range *a, const struct ipmpi_range *b)
{
    return a->attempts == b->attempts && a->avoid == b->avoid;
}

int ipmpi_ranges_add(struct ipmpi_ranges *ranges,
                     const struct ipmpi_range *range)
{
    struct ipmpi_range *top = ranges->n > 0 ? &ranges->at[ranges->n - 1] : NULL;

    if (range->first >= range->end)
        return 0;
    if (top != NULL && are_alike(top, range) &&
        (range->end == top->first || range->first == top->end)) {
        if (range->end == top->first)
            top->first = range->first;
        else
            top->end = range->end;
    } else {
        if (reserve(ranges) != 0)
            return IPMPI_ENOMEM;
        ranges->at[ranges->n++] = *range;
    }
    ranges->items += range->end - range->first;
    return 0;
}

/* The place of the next range for an engine, or n. */
static size_t find(const struct ipmpi_ranges *ranges, int engine, bool any)
{
    for (size_t i = ranges->n; i-- > 0;) {
        if (any || ranges->at[i].avoid < 0 || ranges->at[i].avoid != engine)
            return i;
    }
    return ranges->n;
}

bool ipmpi_ranges_has(const struct ipmpi_ranges *ranges, int engine, bool any)
{
    return find(ranges, engine, any) < ranges->n;
}

/* Where a range is cut that begins at `first`. */
static uint64_t cut_at(uint64_t first, uint64_t want, uint64_t chunk)
{
    uint64_t end;

    if (want == 0)
        want = 1;
    if (chunk <= 1)
        return first + want;
    end = (first + want) / chunk * chunk;
    return end > first ? end : (first / chunk + 1) * chunk;
}

static void remove_at(struct ipmpi_ranges *ranges, size_t i)
{
    ranges->n--;
    for (; i < ranges->n; i++)
        ranges->at[i] = ranges->at[i + 1];
}

bool ipmpi_ranges_take(struct ipmpi_ranges *ranges, int engine, bool any,
                       uint64_t want, uint64_t chunk,
                       struct ipmpi_range *range_out)
{
    const size_t i = find(ranges, engine, any);
    struct ipmpi_range *range = &ranges->at[i];
    uint64_t end;

    if (i == ranges->n)
        return false;
    *range_out = *range;
    end = cut_at(range->first, want, chunk);
    if (end < range->end) {
        range_out->end = end;
        range->first = end;
    } else {
        remove_at(ranges, i);
    }
    ranges->items -= range_out->end - range_out->first;
    return true;
}

void ipmpi_ranges_clear(struct ipmpi_ranges *ranges)
{
    free(ranges->at);
    *ranges = (struct ipmpi_ranges){0};
}

static double plausible(double item_us)
{
    return item_us > LEAST_US ? item_us : LEAST_US;
}

void ipmpi_grain_expect(struct ipmpi_grain *grain, double item_us)
{
    if (item_us > 0) {
        grain->item_us = plausible(item_us);
        grain->measured = EXPECTED;
    }
}

void ipmpi_grain_learn(struct ipmpi_grain *grain, uint64_t items, double us)
{
    double item_us;

    if (items == 0)
        return;
    item_us = plausible(us / (double)items);
    grain->item_us =
        grain->item_us == 0 ? item_us : (grain->item_us + item_us) / 2;
    if (items > grain->measured)
        grain->measured = items;
}

uint64_t ipmpi_grain_size(const struct ipmpi_grain *grain, uint64_t waiting,
                          size_t engines)
{
    const uint64_t share = waiting / (SHARES * (engines > 0 ? engines : 1));
    uint64_t size = 1;

    if (grain->item_us > 0) {
        const double by_time = TARGET_US / grain->item_us;

        size = by_time < 1 ? 1 : (uint64_t)by_time;
        /* one lucky item does not say much of ten thousand */
        if (size / GROWTH > grain->measured)
            size = GROWTH * grain->measured;
    }
    if (size > share)
        size = share;
    return size > 0 ? size : 1;
}

bool ipmpi_grain_is_fine(const struct ipmpi_grain *grain)
{
    return grain->item_us > 0 && grain->item_us < FINE_US;
}

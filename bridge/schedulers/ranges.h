/* How a bulk job is split: the ranges of its items that wait, and how many of
 * them an engine gets at a time.
 *
 * Guided self-scheduling (Polychronopoulos, Kuck 1987) with a grain from
 * measured time: a piece is what takes an engine about 20 ms, but no more than
 * half an even share of what waits, so that pieces get smaller towards the
 * end and all engines end together. Until an item has been timed, a piece is
 * one item, or one chunk.
 *
 * Pure: no clock, no engine, no message. Threads: one at a time. */
#ifndef IPMPI_SCHEDULERS_RANGES_H
#define IPMPI_SCHEDULERS_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Items [first, end), which have been tried together. */
struct ipmpi_range {
    uint64_t first, end;
    int64_t attempts; /* how often they failed */
    int avoid;        /* the engine where they failed last; -1: none */
};

/* Zero-initialised is empty. The last range is the next to be taken. */
struct ipmpi_ranges {
    struct ipmpi_range *at;
    size_t n, cap;
    uint64_t items;
};

/* Adds a range to be taken before all others; joins it to the one it ends at,
 * if they were tried alike. An empty one is nothing. IPMPI_ENOMEM. */
int ipmpi_ranges_add(struct ipmpi_ranges *ranges,
                     const struct ipmpi_range *range);

/* Takes at most `want` items (at least one chunk) off the front of the next
 * range that does not avoid `engine`; with `any`, of the next one. A cut is
 * at a multiple of `chunk` (0: anywhere). False: there is none. */
bool ipmpi_ranges_take(struct ipmpi_ranges *ranges, int engine, bool any,
                       uint64_t want, uint64_t chunk,
                       struct ipmpi_range *range_out);

/* Whether ipmpi_ranges_take would find one. */
bool ipmpi_ranges_has(const struct ipmpi_ranges *ranges, int engine, bool any);

void ipmpi_ranges_clear(struct ipmpi_ranges *ranges);

/* What is known of the time that items take. Zero-initialised: nothing. */
struct ipmpi_grain {
    double item_us;    /* 0: not measured */
    uint64_t measured; /* the most items measured at once */
};

/* What items are expected to take, until they are measured (not positive: it
 * is not known). */
void ipmpi_grain_expect(struct ipmpi_grain *grain, double item_us);

/* Notes that an engine took `us` for `items` items. */
void ipmpi_grain_learn(struct ipmpi_grain *grain, uint64_t items, double us);

/* How many of the `waiting` items one of `engines` engines should get. */
uint64_t ipmpi_grain_size(const struct ipmpi_grain *grain, uint64_t waiting,
                          size_t engines);

/* Whether a second piece should wait at an engine behind the one it runs:
 * when pieces are so short that the way of a message shows. */
bool ipmpi_grain_is_fine(const struct ipmpi_grain *grain);

#endif

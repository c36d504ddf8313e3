/* Engines in an order that changes with every task: the first is at hand, a
 * change costs log n. A binary heap; the place of each slot is kept in it, so
 * that no search is needed.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_SLOT_HEAP_H
#define IPMPI_SCHEDULERS_SLOT_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct ipmpi_slot;

/* Each first by a number of tasks, then by least recent use. */
enum ipmpi_slot_order {
    IPMPI_SLOTS_BY_LOAD,
    IPMPI_SLOTS_BY_AHEAD,
    IPMPI_SLOT_ORDERS
};

/* Zero, but for `order`: empty. */
struct ipmpi_slot_heap {
    enum ipmpi_slot_order order;
    struct ipmpi_slot **at;
    size_t n, cap;
};

/* Makes room for so many. IPMPI_ENOMEM: nothing changed. */
int ipmpi_slot_heap_reserve(struct ipmpi_slot_heap *heap, size_t n);
/* All slots are out. */
void ipmpi_slot_heap_clear(struct ipmpi_slot_heap *heap);

/* Something about the slot has changed: it is to be `in` (there is room), or
 * out. */
void ipmpi_slot_heap_place(struct ipmpi_slot_heap *heap,
                           struct ipmpi_slot *slot, bool in);

/* NULL: it is empty. */
struct ipmpi_slot *ipmpi_slot_heap_first(const struct ipmpi_slot_heap *heap);

#endif

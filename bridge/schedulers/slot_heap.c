/* Binary heaps of slots.
 *
 * Invariant: slot->place[order] is its index plus one, 0 while it is out. */
#include "bridge/schedulers/slot_heap.h"

#include <stdlib.h>

#include "bridge/schedulers/slots.h"
#include "runtime/base/error.h"

int ipmpi_slot_heap_reserve(struct ipmpi_slot_heap *heap, size_t n)
{
    const size_t cap = n > 2 * heap->cap ? n : 2 * heap->cap;
    struct ipmpi_slot **grown;

    if (n <= heap->cap)
        return 0;
    grown = reallocarray(heap->at, cap, sizeof(struct ipmpi_slot *));
    if (grown == NULL)
        return IPMPI_ENOMEM;
    heap->at = grown;
    heap->cap = cap;
    return 0;
}

void ipmpi_slot_heap_clear(struct ipmpi_slot_heap *heap)
{
    IPMPI_ASSERT(heap->n == 0);
    free(heap->at);
    heap->at = NULL;
    heap->cap = 0;
}

static bool before(const struct ipmpi_slot_heap *heap,
                   const struct ipmpi_slot *a, const struct ipmpi_slot *b)
{
    const bool by_load = heap->order == IPMPI_SLOTS_BY_LOAD;
    const size_t x = by_load ? a->load : a->ahead;
    const size_t y = by_load ? b->load : b->ahead;

    return x != y ? x < y : a->used < b->used;
}

static void put(struct ipmpi_slot_heap *heap, size_t i, struct ipmpi_slot *slot)
{
    heap->at[i] = slot;
    slot->place[heap->order] = i + 1;
}

/* To where it belongs, from `i`, whose old content is elsewhere already. */
static void sift(struct ipmpi_slot_heap *heap, size_t i,
                 struct ipmpi_slot *slot)
{
    size_t child;

    while (i > 0 && before(heap, slot, heap->at[(i - 1) / 2])) {
        put(heap, i, heap->at[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    while ((child = 2 * i + 1) < heap->n) {
        if (child + 1 < heap->n &&
            before(heap, heap->at[child + 1], heap->at[child]))
            child++;
        if (!before(heap, heap->at[child], slot))
            break;
        put(heap, i, heap->at[child]);
        i = child;
    }
    put(heap, i, slot);
}

static void take_out(struct ipmpi_slot_heap *heap, struct ipmpi_slot *slot)
{
    const size_t i = slot->place[heap->order] - 1;
    struct ipmpi_slot *last = heap->at[--heap->n];

    slot->place[heap->order] = 0;
    if (last != slot)
        sift(heap, i, last);
}

void ipmpi_slot_heap_place(struct ipmpi_slot_heap *heap,
                           struct ipmpi_slot *slot, bool in)
{
    const size_t place = slot->place[heap->order];

    if (in && place > 0)
        sift(heap, place - 1, slot);
    else if (in)
        sift(heap, heap->n++, slot);
    else if (place > 0)
        take_out(heap, slot);
}

struct ipmpi_slot *ipmpi_slot_heap_first(const struct ipmpi_slot_heap *heap)
{
    return heap->n > 0 ? heap->at[0] : NULL;
}

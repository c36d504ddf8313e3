/* A doubly linked list.
 *
 * Invariant: `n` counts; first->prev is the last item. */
#include "runtime/tasks/deque.h"

#include <utlist.h>

void ipmpi_deque_push_near(struct ipmpi_deque *deque,
                           struct ipmpi_deque_item *item)
{
    DL_PREPEND(deque->first, item);
    deque->n++;
}

void ipmpi_deque_push_far(struct ipmpi_deque *deque,
                          struct ipmpi_deque_item *item)
{
    DL_APPEND(deque->first, item);
    deque->n++;
}

void ipmpi_deque_remove(struct ipmpi_deque *deque,
                        struct ipmpi_deque_item *item)
{
    DL_DELETE(deque->first, item);
    item->prev = item->next = NULL;
    deque->n--;
}

struct ipmpi_deque_item *ipmpi_deque_peek(const struct ipmpi_deque *deque)
{
    return deque->first;
}

struct ipmpi_deque_item *ipmpi_deque_take(struct ipmpi_deque *deque)
{
    struct ipmpi_deque_item *item = deque->first;

    if (item != NULL)
        ipmpi_deque_remove(deque, item);
    return item;
}

/* ---- stealing ------------------------------------------------------- */

static uint64_t weight_of(const struct ipmpi_deque_parts *parts,
                          const struct ipmpi_deque_item *item)
{
    return parts == NULL ? 1 : parts->weight(parts->ctx, item);
}

static uint64_t total(const struct ipmpi_deque *deque,
                      const struct ipmpi_deque_parts *parts)
{
    const struct ipmpi_deque_item *item;
    uint64_t sum = 0;

    if (parts == NULL)
        return deque->n;
    DL_FOREACH (deque->first, item)
        sum += weight_of(parts, item);
    return sum;
}

/* The last item, or as much of it as is wanted; NULL: it is to stay. An item
 * that is larger than what is wanted and cannot be divided goes only if
 * nothing else has gone, and never the last one of an idle owner. */
static struct ipmpi_deque_item *take_last(struct ipmpi_deque *deque,
                                          bool owner_busy, uint64_t want,
                                          const struct ipmpi_deque_parts *parts,
                                          bool first)
{
    struct ipmpi_deque_item *last = deque->first->prev, *part;

    if (weight_of(parts, last) > want) {
        part = parts->split(parts->ctx, last, want);
        if (part != NULL)
            return part;
        if (!first || (deque->n == 1 && !owner_busy))
            return NULL;
    }
    ipmpi_deque_remove(deque, last);
    return last;
}

void ipmpi_deque_steal_half(struct ipmpi_deque *deque, bool owner_busy,
                            const struct ipmpi_deque_parts *parts,
                            struct ipmpi_deque *loot_out)
{
    uint64_t want = (total(deque, parts) + owner_busy) / 2;

    while (want > 0 && deque->n > 0 && loot_out->n < IPMPI_STEAL_MAX) {
        struct ipmpi_deque_item *item =
            take_last(deque, owner_busy, want, parts, loot_out->n == 0);
        uint64_t weight;

        if (item == NULL)
            return;
        weight = weight_of(parts, item);
        want -= weight < want ? weight : want;
        ipmpi_deque_push_near(loot_out, item); /* keeps the order */
    }
}

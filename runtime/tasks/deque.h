/* The tasks that wait on one engine and that any engine may run. The owner
 * takes at one end, thieves at the other:
 *
 *     owner's end                                        thieves' end
 *     newest child .. oldest child, oldest task .. newest task of rank 0
 *
 * So what rank 0 sent runs in the order sent, a task's children run depth
 * first, and thieves get what the owner would reach last: of children the
 * oldest, which have most below them.
 *
 * Threads: none of its own. Nothing blocks or allocates. */
#ifndef IPMPI_TASKS_DEQUE_H
#define IPMPI_TASKS_DEQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in the caller's task, which owns its memory. */
struct ipmpi_deque_item {
    struct ipmpi_deque_item *prev, *next; /* prev: nearer to the owner's end */
};

struct ipmpi_deque {
    struct ipmpi_deque_item *first; /* at the owner's end */
    size_t n;
};

void ipmpi_deque_push_near(struct ipmpi_deque *deque,
                           struct ipmpi_deque_item *item); /* taken next */
void ipmpi_deque_push_far(struct ipmpi_deque *deque,
                          struct ipmpi_deque_item *item); /* taken last */

/* At the owner's end; NULL: it is empty. Peek leaves it where it is. */
struct ipmpi_deque_item *ipmpi_deque_take(struct ipmpi_deque *deque);
struct ipmpi_deque_item *ipmpi_deque_peek(const struct ipmpi_deque *deque);

/* From wherever it is in this deque. */
void ipmpi_deque_remove(struct ipmpi_deque *deque,
                        struct ipmpi_deque_item *item);

/* How much of an item there is, where items differ: one that stands for many
 * equal steps can be divided. */
struct ipmpi_deque_parts {
    void *ctx;
    /* At least 1. */
    uint64_t (*weight)(void *ctx, const struct ipmpi_deque_item *item);
    /* A new item with the last `weight` of it (0 < weight < its own), which
     * `item` then lacks; NULL: it cannot be divided. */
    struct ipmpi_deque_item *(*split)(void *ctx, struct ipmpi_deque_item *item,
                                      uint64_t weight);
};

/* Most items that one steal moves. */
#define IPMPI_STEAL_MAX 256

/* Moves half of what waits, from the thieves' end, to `loot_out` (empty
 * before), in order. An owner that is busy with something else needs none of
 * it at once, so its only task can go; an idle one keeps the larger half.
 * `parts` NULL: all items weigh 1 and none can be divided. Cost: one pass. */
void ipmpi_deque_steal_half(struct ipmpi_deque *deque, bool owner_busy,
                            const struct ipmpi_deque_parts *parts,
                            struct ipmpi_deque *loot_out);

#endif

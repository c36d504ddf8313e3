/* What will happen, in virtual time: a heap of events. Events at one instant
 * happen in the order in which they were added.
 *
 * Threads: one. Memory that is not there ends the program. */
#ifndef IPMPI_TESTS_MODEL_QUEUE_H
#define IPMPI_TESTS_MODEL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model_task;

/* Tasks that travel together; of a grant the first `granted` are the thief's,
 * the rest is refused. */
struct model_list {
    size_t n, granted;
    struct model_task *at[];
};

struct model_event {
    int64_t at_ns;
    uint64_t order;
    int kind;     /* enum model_kind in world.h */
    int to, from; /* engines, or MODEL_RANK0 */
    int detail;
    struct model_task *task;
    struct model_list *list; /* the receiver's */
};

struct model_queue {
    struct model_event *at;
    size_t n, cap;
    uint64_t order;
};

void model_queue_add(struct model_queue *queue, struct model_event event);
bool model_queue_next(struct model_queue *queue, struct model_event *event_out);
/* With the lists of what has not happened. */
void model_queue_clear(struct model_queue *queue);

struct model_list *model_list_create(size_t cap);
/* As realloc and calloc, but they never return NULL. */
void *model_grow(void *at, size_t n, size_t size);
void *model_zeroed(size_t n, size_t size);

#endif

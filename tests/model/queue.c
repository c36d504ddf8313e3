/* A binary heap in an array. */
#include "tests/model/queue.h"

#include <stdio.h>
#include <stdlib.h>

static void *check(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "model: out of memory\n");
        exit(1);
    }
    return memory;
}

void *model_grow(void *at, size_t n, size_t size)
{
    return check(reallocarray(at, n, size));
}

void *model_zeroed(size_t n, size_t size)
{
    return check(calloc(n > 0 ? n : 1, size));
}

struct model_list *model_list_create(size_t cap)
{
    return model_zeroed(1, sizeof(struct model_list) +
                               cap * sizeof(struct model_task *));
}

static bool before(const struct model_event *a, const struct model_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void swap(struct model_event *a, struct model_event *b)
{
    const struct model_event c = *a;

    *a = *b;
    *b = c;
}

void model_queue_add(struct model_queue *queue, struct model_event event)
{
    size_t i = queue->n++;

    if (queue->n > queue->cap) {
        queue->cap = queue->cap > 0 ? 2 * queue->cap : 1024;
        queue->at = model_grow(queue->at, queue->cap, sizeof(*queue->at));
    }
    event.order = queue->order++;
    queue->at[i] = event;
    while (i > 0 && before(&queue->at[i], &queue->at[(i - 1) / 2])) {
        swap(&queue->at[i], &queue->at[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

bool model_queue_next(struct model_queue *queue, struct model_event *event_out)
{
    size_t i = 0, child;

    if (queue->n == 0)
        return false;
    *event_out = queue->at[0];
    queue->at[0] = queue->at[--queue->n];
    while ((child = 2 * i + 1) < queue->n) {
        if (child + 1 < queue->n &&
            before(&queue->at[child + 1], &queue->at[child]))
            child++;
        if (!before(&queue->at[child], &queue->at[i]))
            break;
        swap(&queue->at[child], &queue->at[i]);
        i = child;
    }
    return true;
}

void model_queue_clear(struct model_queue *queue)
{
    struct model_event event;

    while (model_queue_next(queue, &event))
        free(event.list);
    free(queue->at);
    *queue = (struct model_queue){0};
}

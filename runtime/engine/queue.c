/* Line and deque under one lock.
 *
 * Invariant: `tail` points at the NULL that ends the line; `length` counts both
 *            line and deque.
 * Threads:   any. */
#include "runtime/engine/queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "runtime/engine/protocol.h"

struct ipmpi_queue {
    pthread_mutex_t lock; /* guards what follows */
    struct ipmpi_work *head, **tail;
    struct ipmpi_deque deque;
    size_t length;
    uint64_t now;   /* counts what comes and ends */
    uint64_t since; /* when the last task of the deque ended */
    bool busy, dry; /* the owner runs something; found nothing */
    bool helping;   /* it found no child while it waited for one */
};

static struct ipmpi_work *work_of(struct ipmpi_deque_item *item)
{
    if (item == NULL)
        return NULL;
    return (struct ipmpi_work *)(void *)((char *)item -
                                         offsetof(struct ipmpi_work, in_deque));
}

int ipmpi_work_create(struct ipmpi_frames *frames, struct ipmpi_work **work_out)
{
    struct ipmpi_work *work;

    if (frames->n < IPMPI_WORK_AT_BUFFERS)
        return IPMPI_EFRAME;
    work = calloc(1, sizeof(*work));
    if (work == NULL)
        return IPMPI_ENOMEM;
    ipmpi_frames_move(&work->frames, frames);
    *work_out = work;
    return 0;
}

void ipmpi_work_destroy(struct ipmpi_work **list)
{
    struct ipmpi_work *work;

    while ((work = *list) != NULL) {
        *list = work->next;
        ipmpi_frames_clear(&work->frames);
        free(work);
    }
}

struct ipmpi_work *ipmpi_work_unlink(struct ipmpi_work **list, uint64_t ref)
{
    struct ipmpi_work *work;

    while ((work = *list) != NULL && work->ref != ref)
        list = &work->next;
    if (work != NULL) {
        *list = work->next;
        work->next = NULL;
    }
    return work;
}

int ipmpi_queue_create(struct ipmpi_queue **queue_out)
{
    struct ipmpi_queue *queue = calloc(1, sizeof(*queue));

    if (queue == NULL)
        return IPMPI_ENOMEM;
    pthread_mutex_init(&queue->lock, NULL);
    queue->tail = &queue->head;
    *queue_out = queue;
    return 0;
}

void ipmpi_queue_destroy(struct ipmpi_queue **queue)
{
    struct ipmpi_work *work;

    if (*queue == NULL)
        return;
    ipmpi_work_destroy(&(*queue)->head);
    while ((work = work_of(ipmpi_deque_take(&(*queue)->deque))) != NULL)
        ipmpi_work_destroy(&work);
    pthread_mutex_destroy(&(*queue)->lock);
    free(*queue);
    *queue = NULL;
}

void ipmpi_queue_push(struct ipmpi_queue *queue, struct ipmpi_work **work)
{
    struct ipmpi_work *w = *work;

    *work = NULL;
    w->next = NULL;
    pthread_mutex_lock(&queue->lock);
    w->stamp = ++queue->now;
    if (w->kind == IPMPI_WORK_CHILD) {
        ipmpi_deque_push_near(&queue->deque, &w->in_deque);
    } else if (w->flags & IPMPI_WORK_STEALABLE) {
        ipmpi_deque_push_far(&queue->deque, &w->in_deque);
    } else {
        *queue->tail = w;
        queue->tail = &w->next;
    }
    queue->length++;
    queue->dry = false;
    pthread_mutex_unlock(&queue->lock);
}

/* Under the lock: whether the deque's next stands before the line's first. */
static bool deque_is_next(const struct ipmpi_queue *queue)
{
    const struct ipmpi_work *next = work_of(ipmpi_deque_peek(&queue->deque));

    if (next == NULL || queue->head == NULL)
        return next != NULL;
    return next->stamp < queue->head->stamp &&
           queue->since < queue->head->stamp;
}

struct ipmpi_work *ipmpi_queue_take(struct ipmpi_queue *queue)
{
    struct ipmpi_work *work;

    pthread_mutex_lock(&queue->lock);
    if (deque_is_next(queue)) {
        work = work_of(ipmpi_deque_take(&queue->deque));
    } else {
        work = queue->head;
        if (work != NULL)
            queue->head = work->next;
        if (queue->head == NULL)
            queue->tail = &queue->head;
    }
    if (work != NULL) {
        queue->length--;
        work->next = NULL;
    }
    queue->busy = work != NULL;
    queue->dry = work == NULL;
    queue->helping = false;
    pthread_mutex_unlock(&queue->lock);
    return work;
}

void ipmpi_queue_ended(struct ipmpi_queue *queue, uint16_t flags)
{
    pthread_mutex_lock(&queue->lock);
    queue->busy = false;
    if (flags & IPMPI_WORK_STEALABLE)
        queue->since = ++queue->now;
    pthread_mutex_unlock(&queue->lock);
}

/* Under the lock: what has this number in the deque. Children are joined in
 * the order in which they were submitted, or backward: so it is near one of
 * the ends, however many there are, and the search begins at both. */
static struct ipmpi_work *find_ref(const struct ipmpi_queue *queue,
                                   uint64_t ref)
{
    struct ipmpi_deque_item *near = queue->deque.first, *far;

    if (near == NULL)
        return NULL;
    far = near->prev;
    for (size_t i = 0; i < queue->deque.n; i += 2) {
        if (work_of(near)->ref == ref)
            return work_of(near);
        if (work_of(far)->ref == ref)
            return work_of(far);
        near = near->next;
        far = far->prev;
    }
    return NULL;
}

/* Under the lock: the child with this number, else the next if it is one. */
static struct ipmpi_work *find_child(const struct ipmpi_queue *queue,
                                     uint64_t ref)
{
    struct ipmpi_work *next = work_of(ipmpi_deque_peek(&queue->deque));
    struct ipmpi_work *found = find_ref(queue, ref);

    if (found != NULL)
        return found;
    return next != NULL && next->kind == IPMPI_WORK_CHILD ? next : NULL;
}

struct ipmpi_work *ipmpi_queue_take_child(struct ipmpi_queue *queue,
                                          uint64_t ref)
{
    struct ipmpi_work *work;

    pthread_mutex_lock(&queue->lock);
    work = find_child(queue, ref);
    if (work != NULL) {
        ipmpi_deque_remove(&queue->deque, &work->in_deque);
        queue->length--;
    }
    queue->dry = work == NULL;
    queue->busy = true; /* with what waits for the child */
    queue->helping = work == NULL;
    pthread_mutex_unlock(&queue->lock);
    return work;
}

/* Under the lock: what is at the thieves' end. */
static bool far_end_is_child(const struct ipmpi_queue *queue)
{
    return queue->deque.n > 0 &&
           work_of(queue->deque.first->prev)->kind == IPMPI_WORK_CHILD;
}

bool ipmpi_queue_is_helping(struct ipmpi_queue *queue)
{
    bool helping;

    pthread_mutex_lock(&queue->lock);
    helping = queue->helping;
    pthread_mutex_unlock(&queue->lock);
    return helping;
}

bool ipmpi_queue_has_children(struct ipmpi_queue *queue)
{
    bool has;

    pthread_mutex_lock(&queue->lock);
    has = far_end_is_child(queue) && (queue->busy || queue->deque.n > 1);
    pthread_mutex_unlock(&queue->lock);
    return has;
}

struct ipmpi_work *ipmpi_queue_steal(struct ipmpi_queue *queue,
                                     bool children_only)
{
    struct ipmpi_work *stolen = NULL, **end = &stolen, *work;
    struct ipmpi_deque loot = {0};

    pthread_mutex_lock(&queue->lock);
    /* What stands in line behind other work is as good as behind a task. */
    if (!children_only || far_end_is_child(queue))
        ipmpi_deque_steal_half(&queue->deque,
                               queue->busy || queue->head != NULL, NULL, &loot);
    queue->length -= loot.n;
    pthread_mutex_unlock(&queue->lock);
    while ((work = work_of(ipmpi_deque_take(&loot))) != NULL) {
        *end = work;
        end = &work->next;
    }
    return stolen;
}

bool ipmpi_queue_is_dry(struct ipmpi_queue *queue)
{
    bool dry;

    pthread_mutex_lock(&queue->lock);
    dry = queue->dry;
    pthread_mutex_unlock(&queue->lock);
    return dry;
}

typedef bool match_fn(const struct ipmpi_work *work, const void *wanted);

struct wanted_refs {
    const uint64_t *refs;
    size_t n;
};

static bool is_of_kind(const struct ipmpi_work *work, const void *wanted)
{
    const uint16_t kind = *(const uint16_t *)wanted;

    return kind == 0 || work->kind == kind;
}

static int compare_refs(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void ipmpi_refs_sort(uint64_t *refs, size_t n)
{
    qsort(refs, n, sizeof(*refs), compare_refs);
}

bool ipmpi_refs_have(const uint64_t *refs, size_t n, uint64_t ref)
{
    return bsearch(&ref, refs, n, sizeof(ref), compare_refs) != NULL;
}

static bool is_among(const struct ipmpi_work *work, const void *wanted)
{
    const struct wanted_refs *w = wanted;

    return ipmpi_refs_have(w->refs, w->n, work->ref);
}

/* The same of the deque; returns where the list ends. */
static struct ipmpi_work **remove_from_deque(struct ipmpi_queue *queue,
                                             match_fn *matches,
                                             const void *wanted,
                                             struct ipmpi_work **end)
{
    struct ipmpi_deque_item *item = queue->deque.first, *next;

    for (; item != NULL; item = next) {
        struct ipmpi_work *work = work_of(item);

        next = item->next;
        if (!matches(work, wanted))
            continue;
        ipmpi_deque_remove(&queue->deque, item);
        work->next = NULL;
        *end = work;
        end = &work->next;
        queue->length--;
    }
    return end;
}

/* One pass: what matches goes to the list returned, the rest stays. */
static struct ipmpi_work *remove_matching(struct ipmpi_queue *queue,
                                          match_fn *matches, const void *wanted)
{
    struct ipmpi_work *removed = NULL, **end = &removed, **at, *work;

    pthread_mutex_lock(&queue->lock);
    end = remove_from_deque(queue, matches, wanted, end);
    for (at = &queue->head; (work = *at) != NULL;) {
        if (!matches(work, wanted)) {
            at = &work->next;
            continue;
        }
        *at = work->next;
        work->next = NULL;
        *end = work;
        end = &work->next;
        queue->length--;
    }
    queue->tail = at;
    pthread_mutex_unlock(&queue->lock);
    return removed;
}

struct ipmpi_work *ipmpi_queue_remove_if(struct ipmpi_queue *queue,
                                         match_fn *matches, const void *ctx)
{
    return remove_matching(queue, matches, ctx);
}

struct ipmpi_work *ipmpi_queue_remove_kind(struct ipmpi_queue *queue,
                                           uint16_t kind)
{
    return remove_matching(queue, is_of_kind, &kind);
}

struct ipmpi_work *ipmpi_queue_remove_refs(struct ipmpi_queue *queue,
                                           const uint64_t *refs, size_t n)
{
    const struct wanted_refs wanted = {refs, n};

    return remove_matching(queue, is_among, &wanted);
}

size_t ipmpi_queue_length(struct ipmpi_queue *queue)
{
    size_t length;

    pthread_mutex_lock(&queue->lock);
    length = queue->length;
    pthread_mutex_unlock(&queue->lock);
    return length;
}

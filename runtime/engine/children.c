/* The origin's account of its children.
 *
 * Invariant: a child is HELD by exactly one rank until it is done; its frames
 *            are kept so that it can be given out again. */
#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(elt) ((elt)->unhashed = true)

#include "runtime/engine/children.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <uthash.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/engine/state.h"

/* A ref of a child: the bit, its origin's number in the job, a count. */
#define CHILD_BIT    (UINT64_C(1) << 62)
#define ORIGIN_SHIFT 40
#define ORIGIN_MASK  ((UINT64_C(1) << 22) - 1)

struct ipmpi_child {
    uint64_t ref;
    struct ipmpi_held held;
    struct ipmpi_frames frames; /* as work has them, to send it again */
    struct ipmpi_child_outcome outcome;
    bool forgotten, unhashed;
    UT_hash_handle hh;
};

static int own_rank(const struct ipmpi_engine *engine)
{
    return ipmpi_comm_rank(engine->comm);
}

int ipmpi_children_origin(const struct ipmpi_engine *engine, uint64_t ref)
{
    const int first =
        ipmpi_comm_number(engine->comm) - ipmpi_comm_rank(engine->comm) + 1;
    const int number = (int)(ref >> ORIGIN_SHIFT & ORIGIN_MASK);

    return ref & CHILD_BIT ? number - first + 1 : 0;
}

int ipmpi_children_open(struct ipmpi_engine *engine)
{
    struct ipmpi_children *children = &engine->children;

    pthread_mutex_init(&children->lock, NULL);
    children->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (children->event_fd < 0)
        return IPMPI_ESYS;
    children->holders = calloc((size_t)ipmpi_comm_size(engine->comm),
                               sizeof(*children->holders));
    return children->holders == NULL ? IPMPI_ENOMEM : 0;
}

static void destroy(struct ipmpi_children *children, struct ipmpi_child *child)
{
    ipmpi_release(&child->held);
    HASH_DEL(children->by_ref, child);
    ipmpi_frames_clear(&child->frames);
    ipmpi_frames_clear(&child->outcome.frames);
    free(child);
}

void ipmpi_children_clear(struct ipmpi_children *children)
{
    if (children->holders == NULL)
        return;
    while (children->by_ref != NULL)
        destroy(children, children->by_ref);
    free(children->holders);
    close(children->event_fd);
    pthread_mutex_destroy(&children->lock);
}

static void announce(struct ipmpi_children *children)
{
    const uint64_t one = 1;

    /* EAGAIN: the counter is at its end, so it is readable already. */
    if (write(children->event_fd, &one, sizeof(one)) < 0)
        return;
}

void ipmpi_children_stir(struct ipmpi_engine *engine)
{
    announce(&engine->children);
}

/* Under the lock. NULL: there is none. */
static struct ipmpi_child *find(const struct ipmpi_children *children,
                                uint64_t ref)
{
    struct ipmpi_child *child;

    HASH_FIND(hh, children->by_ref, &ref, sizeof(ref), child);
    return child;
}

/* ---- submitting ----------------------------------------------------- */

static struct ipmpi_work *work_of(const struct ipmpi_child *child)
{
    struct ipmpi_frames frames = {0};
    struct ipmpi_work *work;

    if (ipmpi_frames_add_from(&frames, &child->frames, 0, child->frames.n) !=
            0 ||
        ipmpi_work_create(&frames, &work) != 0) {
        ipmpi_frames_clear(&frames);
        return NULL;
    }
    work->ref = child->ref;
    work->kind = IPMPI_WORK_CHILD;
    work->flags = IPMPI_WORK_STEALABLE;
    return work;
}

static int fill_frames(struct ipmpi_engine *engine, struct ipmpi_frames *out,
                       const struct ipmpi_frames *buffers)
{
    struct ipmpi_frame parent = {0};
    int err = ipmpi_frames_add_static(out, "", 0); /* the head's place */

    ipmpi_output_parent(engine->output, &parent);
    if (err == 0)
        err = ipmpi_frames_add_frame(out, &parent);
    ipmpi_buffer_release(&parent.owner);
    if (err == 0) /* echo */
        err = ipmpi_frames_add_static(out, "", 0);
    if (err == 0) /* content */
        err = ipmpi_frames_add_static(out, "{}", 2);
    if (err == 0)
        err = ipmpi_frames_add_from(out, buffers, 0, buffers->n);
    return err;
}

static struct ipmpi_child *create(struct ipmpi_engine *engine,
                                  struct ipmpi_frames *buffers)
{
    struct ipmpi_child *child = calloc(1, sizeof(*child));

    if (child == NULL)
        return NULL;
    if (fill_frames(engine, &child->frames, buffers) != 0) {
        ipmpi_frames_clear(&child->frames);
        free(child);
        return NULL;
    }
    return child;
}

/* Under the lock. */
static int enter(struct ipmpi_engine *engine, struct ipmpi_child *child)
{
    struct ipmpi_children *children = &engine->children;

    child->ref = CHILD_BIT |
                 (uint64_t)ipmpi_comm_number(engine->comm) << ORIGIN_SHIFT |
                 ++children->last;
    HASH_ADD(hh, children->by_ref, ref, sizeof(child->ref), child);
    if (child->unhashed)
        return IPMPI_ENOMEM;
    ipmpi_hold(&children->holders[own_rank(engine)], &child->held);
    return 0;
}

int ipmpi_engine_submit(struct ipmpi_engine *engine,
                        struct ipmpi_frames *buffers, uint64_t *ref_out)
{
    struct ipmpi_child *child = NULL;
    struct ipmpi_work *work = NULL;
    int err = ipmpi_engine_check(engine);

    if (err == 0) {
        child = create(engine, buffers);
        err = child == NULL ? IPMPI_ENOMEM : 0;
    }
    ipmpi_frames_clear(buffers);
    if (err != 0)
        return err;
    pthread_mutex_lock(&engine->children.lock);
    err = enter(engine, child);
    if (err == 0) {
        work = work_of(child);
        if (work == NULL) {
            destroy(&engine->children, child);
            err = IPMPI_ENOMEM;
        } else {
            *ref_out = child->ref;
        }
    } else {
        ipmpi_frames_clear(&child->frames);
        free(child);
    }
    pthread_mutex_unlock(&engine->children.lock);
    if (err != 0)
        return err;
    ipmpi_queue_push(engine->queue, &work);
    ipmpi_theft_has_surplus(engine);
    ipmpi_engine_wake(engine);
    return 0;
}

/* ---- running -------------------------------------------------------- */

/* Tells the origin that its child begins here, and waits until MPI has it, so
 * that it is known even if the child kills this engine at once. */
static void say_started(struct ipmpi_engine *engine, uint64_t ref, int origin)
{
    struct ipmpi_item *item =
        ipmpi_speaker_plain((enum ipmpi_msg_type)IPMPI_MSG_CHILD_STARTED);

    if (item == NULL)
        return; /* should it die, it is run again: as good as unknown */
    item->dest = origin;
    item->cost = 1;
    item->head.ref = ref;
    ipmpi_outbox_post(engine->outbox, &item);
    ipmpi_outbox_wait_sent(engine->outbox, 1000);
}

void ipmpi_children_begin(struct ipmpi_engine *engine,
                          const struct ipmpi_work *work)
{
    const int origin = ipmpi_children_origin(engine, work->ref);
    struct ipmpi_child *child;

    if (origin != own_rank(engine)) {
        say_started(engine, work->ref, origin);
        return;
    }
    pthread_mutex_lock(&engine->children.lock);
    child = find(&engine->children, work->ref);
    if (child != NULL)
        child->held.started = true;
    pthread_mutex_unlock(&engine->children.lock);
}

int ipmpi_engine_help(struct ipmpi_engine *engine, uint64_t ref,
                      const struct ipmpi_work **work_out)
{
    struct ipmpi_work *work;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    work = ipmpi_queue_take_child(engine->queue, ref);
    if (work == NULL) {
        if (atomic_load(&engine->theft.watches_dryness))
            ipmpi_outbox_ring(engine->outbox);
        return IPMPI_EEMPTY;
    }
    ipmpi_children_begin(engine, work);
    work->started_us = ipmpi_clock_wall_us();
    work->next = engine->started;
    engine->started = work;
    *work_out = work;
    return 0;
}

/* Under the lock: the child is done, one way or the other. */
static void conclude(struct ipmpi_children *children, struct ipmpi_child *child,
                     int status, struct ipmpi_frames *frames)
{
    ipmpi_release(&child->held);
    ipmpi_frames_clear(&child->frames);
    child->outcome.done = true;
    child->outcome.status = status;
    if (frames != NULL)
        ipmpi_frames_move(&child->outcome.frames, frames);
    if (child->forgotten)
        destroy(children, child);
    announce(children);
}

static void end_own(struct ipmpi_engine *engine, uint64_t ref, int status,
                    struct ipmpi_frames *frames)
{
    struct ipmpi_child *child;

    pthread_mutex_lock(&engine->children.lock);
    child = find(&engine->children, ref);
    if (child != NULL)
        conclude(&engine->children, child, status, frames);
    pthread_mutex_unlock(&engine->children.lock);
}

static int send_done(struct ipmpi_engine *engine, uint64_t ref, int origin,
                     int status, struct ipmpi_frames *frames)
{
    struct ipmpi_item *item =
        ipmpi_speaker_plain((enum ipmpi_msg_type)IPMPI_MSG_CHILD_DONE);

    if (item == NULL)
        return IPMPI_ENOMEM;
    item->dest = origin;
    item->head.ref = ref;
    item->head.kind = (uint16_t)status;
    item->cost = ipmpi_frames_bytes(frames);
    ipmpi_frames_move(&item->buffers, frames);
    ipmpi_outbox_post(engine->outbox, &item);
    return 0;
}

int ipmpi_engine_child_reply(struct ipmpi_engine *engine, uint64_t ref,
                             int status, struct ipmpi_frames *frames)
{
    const int origin = ipmpi_children_origin(engine, ref);
    struct ipmpi_work *work = NULL;
    int err = ipmpi_engine_check(engine);

    if (err == 0) {
        work = ipmpi_work_unlink(&engine->started, ref);
        err = work == NULL ? IPMPI_ENOENT : 0;
    }
    if (err == 0 && origin == own_rank(engine))
        end_own(engine, ref, status, frames);
    else if (err == 0)
        err = send_done(engine, ref, origin, status, frames);
    if (work != NULL)
        ipmpi_queue_ended(engine->queue, work->flags);
    ipmpi_work_destroy(&work);
    ipmpi_frames_clear(frames);
    return err;
}

/* ---- results -------------------------------------------------------- */

int ipmpi_engine_child_outcome(struct ipmpi_engine *engine, uint64_t ref,
                               struct ipmpi_child_outcome *out)
{
    struct ipmpi_child *child;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    pthread_mutex_lock(&engine->children.lock);
    child = find(&engine->children, ref);
    if (child == NULL) {
        err = IPMPI_ENOENT;
    } else {
        *out = child->outcome;
        if (child->outcome.done) {
            child->outcome.frames = (struct ipmpi_frames){0};
            destroy(&engine->children, child);
        }
    }
    pthread_mutex_unlock(&engine->children.lock);
    return err;
}

void ipmpi_engine_child_forget(struct ipmpi_engine *engine, uint64_t ref)
{
    struct ipmpi_child *child;

    if (ipmpi_engine_check(engine) != 0)
        return;
    pthread_mutex_lock(&engine->children.lock);
    child = find(&engine->children, ref);
    if (child != NULL && child->outcome.done)
        destroy(&engine->children, child);
    else if (child != NULL)
        child->forgotten = true;
    pthread_mutex_unlock(&engine->children.lock);
}

int ipmpi_engine_children_fd(const struct ipmpi_engine *engine)
{
    return engine->children.event_fd;
}

/* ---- the account ---------------------------------------------------- */

/* Under the lock: nobody holds the child; it waits here again. */
static void take_back(struct ipmpi_engine *engine, struct ipmpi_child *child)
{
    struct ipmpi_children *children = &engine->children;
    struct ipmpi_work *work = work_of(child);

    if (work == NULL) {
        snprintf(child->outcome.lost, sizeof(child->outcome.lost),
                 "this engine is out of memory");
        conclude(children, child, IPMPI_STATUS_ERROR, NULL);
        return;
    }
    ipmpi_hold(&children->holders[own_rank(engine)], &child->held);
    ipmpi_queue_push(engine->queue, &work);
    ipmpi_engine_wake(engine);
    announce(children);
}

static uint64_t ref_at(const struct ipmpi_frame *refs, size_t i)
{
    uint64_t ref;

    memcpy(&ref, refs->data + i * sizeof(ref), sizeof(ref));
    return ref;
}

int ipmpi_children_handover(struct ipmpi_engine *engine, int victim, int thief,
                            const struct ipmpi_frame *refs)
{
    struct ipmpi_children *children = &engine->children;
    const size_t n = refs->len / sizeof(uint64_t);
    uint64_t *granted = calloc(2 * n + 1, sizeof(*granted));
    uint64_t *refused = granted + n;
    size_t ngranted = 0, nrefused = 0;

    if (granted == NULL)
        return IPMPI_ENOMEM;
    pthread_mutex_lock(&children->lock);
    for (size_t i = 0; i < n; i++) {
        struct ipmpi_child *child = find(children, ref_at(refs, i));
        enum ipmpi_handover verdict = IPMPI_HANDOVER_STALE;

        if (child != NULL)
            verdict = ipmpi_hand_over(&child->held, &children->holders[victim],
                                      &children->holders[thief]);
        if (verdict == IPMPI_HANDOVER_GRANTED)
            granted[ngranted++] = ref_at(refs, i);
        else
            refused[nrefused++] = ref_at(refs, i);
        if (verdict == IPMPI_HANDOVER_BACK)
            take_back(engine, child);
    }
    pthread_mutex_unlock(&children->lock);
    ipmpi_theft_answer(engine, thief, victim, granted, ngranted, refused,
                       nrefused);
    free(granted);
    return 0;
}

/* Under the lock: the child that this rank holds; NULL: it holds none such. */
static struct ipmpi_child *held_by(struct ipmpi_children *children, int rank,
                                   uint64_t ref)
{
    struct ipmpi_child *child = find(children, ref);

    if (child == NULL || child->held.holder != &children->holders[rank])
        return NULL;
    return child;
}

int ipmpi_children_started(struct ipmpi_engine *engine, int source,
                           uint64_t ref)
{
    struct ipmpi_child *child;

    pthread_mutex_lock(&engine->children.lock);
    child = held_by(&engine->children, source, ref);
    if (child != NULL)
        child->held.started = true;
    pthread_mutex_unlock(&engine->children.lock);
    return 0;
}

int ipmpi_children_done(struct ipmpi_engine *engine, int source,
                        const struct ipmpi_msg_head *head,
                        struct ipmpi_frames *frames)
{
    struct ipmpi_frames rest = {0};
    struct ipmpi_child *child;
    int err = ipmpi_frames_add_from(&rest, frames, 1, frames->n - 1);

    pthread_mutex_lock(&engine->children.lock);
    child = held_by(&engine->children, source, head->ref);
    if (child != NULL && err != 0)
        snprintf(child->outcome.lost, sizeof(child->outcome.lost),
                 "this engine is out of memory");
    if (child != NULL)
        conclude(&engine->children, child, head->kind, &rest);
    pthread_mutex_unlock(&engine->children.lock);
    ipmpi_frames_clear(&rest);
    return err;
}

int ipmpi_children_missing(struct ipmpi_engine *engine, int source,
                           const struct ipmpi_frame *refs)
{
    pthread_mutex_lock(&engine->children.lock);
    for (size_t i = 0; i < refs->len / sizeof(uint64_t); i++) {
        struct ipmpi_child *child =
            held_by(&engine->children, source, ref_at(refs, i));

        if (child == NULL || child->held.started)
            continue;
        ipmpi_release(&child->held);
        take_back(engine, child);
    }
    pthread_mutex_unlock(&engine->children.lock);
    return 0;
}

void ipmpi_children_gone(struct ipmpi_engine *engine, int rank,
                         const struct ipmpi_frame *why)
{
    struct ipmpi_children *children = &engine->children;
    struct ipmpi_child *child, *next;

    pthread_mutex_lock(&children->lock);
    children->holders[rank].gone = true;
    HASH_ITER (hh, children->by_ref, child, next) {
        const bool started = child->held.started;

        if (child->held.holder != &children->holders[rank])
            continue;
        ipmpi_release(&child->held);
        if (!started) {
            take_back(engine, child);
            continue;
        }
        snprintf(child->outcome.lost, sizeof(child->outcome.lost), "%.*s",
                 why != NULL ? (int)why->len : 0,
                 why != NULL ? (const char *)why->data : "");
        if (child->outcome.lost[0] == '\0')
            snprintf(child->outcome.lost, sizeof(child->outcome.lost),
                     "engine of rank %d in this world has gone", rank);
        conclude(children, child, IPMPI_STATUS_ERROR, NULL);
    }
    pthread_mutex_unlock(&children->lock);
}

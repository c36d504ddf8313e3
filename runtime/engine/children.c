/* The table of children: submitted, asked for, forgotten. */
#include "runtime/engine/children.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/engine/children_table.h"
#include "runtime/engine/state.h"

/* A ref of a child: the bit, its origin's number in the job, a count. */
#define CHILD_BIT    (UINT64_C(1) << 62)
#define ORIGIN_SHIFT 40
#define ORIGIN_MASK  ((UINT64_C(1) << 22) - 1)

int ipmpi_children_own_rank(const struct ipmpi_engine *engine)
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

    children->holders = calloc((size_t)ipmpi_comm_size(engine->comm),
                               sizeof(*children->holders));
    if (children->holders == NULL)
        return IPMPI_ENOMEM;
    pthread_mutex_init(&children->lock, NULL);
    children->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return children->event_fd < 0 ? IPMPI_ESYS : 0;
}

void ipmpi_child_destroy(struct ipmpi_children *children,
                         struct ipmpi_child *child)
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
        ipmpi_child_destroy(children, children->by_ref);
    free(children->holders);
    if (children->event_fd >= 0)
        close(children->event_fd);
    pthread_mutex_destroy(&children->lock);
}

void ipmpi_children_announce(struct ipmpi_children *children)
{
    const uint64_t one = 1;

    /* EAGAIN: the counter is at its end, so it is readable already. */
    if (write(children->event_fd, &one, sizeof(one)) < 0)
        return;
}

void ipmpi_children_stir(struct ipmpi_engine *engine)
{
    ipmpi_children_announce(&engine->children);
}

struct ipmpi_child *ipmpi_children_find(const struct ipmpi_children *children,
                                        uint64_t ref)
{
    struct ipmpi_child *child;

    HASH_FIND(hh, children->by_ref, &ref, sizeof(ref), child);
    return child;
}

void ipmpi_child_conclude(struct ipmpi_children *children,
                          struct ipmpi_child *child, int status,
                          struct ipmpi_frames *frames)
{
    ipmpi_release(&child->held);
    ipmpi_frames_clear(&child->frames);
    child->outcome.done = true;
    child->outcome.status = status;
    if (frames != NULL)
        ipmpi_frames_move(&child->outcome.frames, frames);
    if (child->forgotten)
        ipmpi_child_destroy(children, child);
    ipmpi_children_announce(children);
}

/* ---- submitting ----------------------------------------------------- */

struct ipmpi_work *ipmpi_child_work(const struct ipmpi_child *child)
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
    ipmpi_hold(&children->holders[ipmpi_children_own_rank(engine)],
               &child->held);
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
        work = ipmpi_child_work(child);
        if (work == NULL) {
            ipmpi_child_destroy(&engine->children, child);
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

/* ---- results -------------------------------------------------------- */

int ipmpi_engine_child_outcome(struct ipmpi_engine *engine, uint64_t ref,
                               struct ipmpi_child_outcome *out)
{
    struct ipmpi_child *child;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    pthread_mutex_lock(&engine->children.lock);
    child = ipmpi_children_find(&engine->children, ref);
    if (child == NULL) {
        err = IPMPI_ENOENT;
    } else {
        *out = child->outcome;
        if (child->outcome.done) {
            child->outcome.frames = (struct ipmpi_frames){0};
            ipmpi_child_destroy(&engine->children, child);
        }
    }
    pthread_mutex_unlock(&engine->children.lock);
    return err;
}

int ipmpi_engine_child_cancel(struct ipmpi_engine *engine, uint64_t ref)
{
    struct ipmpi_child *child;
    struct ipmpi_work *work;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    work = ipmpi_queue_remove_refs(engine->queue, &ref, 1);
    if (work == NULL)
        return IPMPI_ESTATE;
    ipmpi_work_destroy(&work);
    pthread_mutex_lock(&engine->children.lock);
    child = ipmpi_children_find(&engine->children, ref);
    if (child != NULL)
        ipmpi_child_conclude(&engine->children, child, IPMPI_STATUS_ABORTED,
                             NULL);
    pthread_mutex_unlock(&engine->children.lock);
    return 0;
}

void ipmpi_engine_child_forget(struct ipmpi_engine *engine, uint64_t ref)
{
    struct ipmpi_child *child;

    if (ipmpi_engine_check(engine) != 0)
        return;
    pthread_mutex_lock(&engine->children.lock);
    child = ipmpi_children_find(&engine->children, ref);
    if (child != NULL && child->outcome.done)
        ipmpi_child_destroy(&engine->children, child);
    else if (child != NULL)
        child->forgotten = true;
    pthread_mutex_unlock(&engine->children.lock);
}

int ipmpi_engine_children_fd(const struct ipmpi_engine *engine)
{
    return engine->children.event_fd;
}

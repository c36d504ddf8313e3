/* The origin's account of its children.
 *
 * Invariant: only the origin says who holds a child; what it has not granted,
 *            no thief runs. */
#include "runtime/engine/children_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/engine/children_table.h"
#include "runtime/engine/state.h"
#include "runtime/engine/theft_message.h"
#include "runtime/engine/theft_thief.h"

/* Under the lock: nobody holds the child; it waits here again. */
static void take_back(struct ipmpi_engine *engine, struct ipmpi_child *child)
{
    struct ipmpi_children *children = &engine->children;
    struct ipmpi_work *work = ipmpi_child_work(child);

    if (work == NULL) {
        snprintf(child->outcome.lost, sizeof(child->outcome.lost),
                 "this engine is out of memory");
        ipmpi_child_conclude(children, child, IPMPI_STATUS_ERROR, NULL);
        return;
    }
    ipmpi_hold(&children->holders[ipmpi_children_own_rank(engine)],
               &child->held);
    ipmpi_queue_push(engine->queue, &work);
    ipmpi_engine_wake(engine);
    ipmpi_children_announce(children);
}

static uint64_t ref_at(const struct ipmpi_frame *refs, size_t i)
{
    uint64_t ref;

    memcpy(&ref, refs->data + i * sizeof(ref), sizeof(ref));
    return ref;
}

/* A GRANT for the thief, which may be this engine. */
static void answer(struct ipmpi_engine *engine, int thief, int victim,
                   const uint64_t *granted, size_t ngranted,
                   const uint64_t *refused, size_t nrefused)
{
    const struct ipmpi_msg_head head =
        ipmpi_theft_head(IPMPI_MSG_GRANT, victim);
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_copy(&out, &head, sizeof(head));

    if (err == 0)
        err = ipmpi_frames_add_copy(&out, granted, ngranted * sizeof(*granted));
    if (err == 0)
        err = ipmpi_frames_add_copy(&out, refused, nrefused * sizeof(*refused));
    if (err == 0 && thief == ipmpi_comm_rank(engine->comm))
        err = ipmpi_theft_grant(engine, &head, &out);
    else if (err == 0)
        err = ipmpi_comm_send(engine->comm, thief, &out);
    ipmpi_frames_clear(&out);
    if (err == IPMPI_ENOMEM)
        ipmpi_theft_no_memory();
}

int ipmpi_children_handover(struct ipmpi_engine *engine, int victim, int thief,
                            const struct ipmpi_frame *refs)
{
    struct ipmpi_children *children = &engine->children;
    const size_t n = refs->len / sizeof(uint64_t);
    uint64_t *granted = calloc(2 * n + 1, sizeof(*granted));
    uint64_t *refused;
    size_t ngranted = 0, nrefused = 0;

    if (granted == NULL)
        return IPMPI_ENOMEM;
    refused = granted + n;
    pthread_mutex_lock(&children->lock);
    for (size_t i = 0; i < n; i++) {
        struct ipmpi_child *child =
            ipmpi_children_find(children, ref_at(refs, i));
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
    answer(engine, thief, victim, granted, ngranted, refused, nrefused);
    free(granted);
    return 0;
}

/* Under the lock: the child that this rank holds; NULL: it holds none such. */
static struct ipmpi_child *held_by(struct ipmpi_children *children, int rank,
                                   uint64_t ref)
{
    struct ipmpi_child *child = ipmpi_children_find(children, ref);

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
        ipmpi_child_conclude(&engine->children, child, head->kind, &rest);
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
        ipmpi_child_conclude(children, child, IPMPI_STATUS_ERROR, NULL);
    }
    pthread_mutex_unlock(&children->lock);
}

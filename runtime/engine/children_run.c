/* Children that run here, our own and stolen ones: begun, ended. */
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/engine/children_table.h"
#include "runtime/engine/state.h"

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

    if (origin != ipmpi_children_own_rank(engine)) {
        say_started(engine, work->ref, origin);
        return;
    }
    pthread_mutex_lock(&engine->children.lock);
    child = ipmpi_children_find(&engine->children, work->ref);
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

static void end_own(struct ipmpi_engine *engine, uint64_t ref, int status,
                    struct ipmpi_frames *frames)
{
    struct ipmpi_child *child;

    pthread_mutex_lock(&engine->children.lock);
    child = ipmpi_children_find(&engine->children, ref);
    if (child != NULL)
        ipmpi_child_conclude(&engine->children, child, status, frames);
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
    if (err == 0 && origin == ipmpi_children_own_rank(engine))
        end_own(engine, ref, status, frames);
    else if (err == 0)
        err = send_done(engine, ref, origin, status, frames);
    if (work != NULL)
        ipmpi_queue_ended(engine->queue, work->flags);
    ipmpi_work_destroy(&work);
    ipmpi_frames_clear(frames);
    return err;
}

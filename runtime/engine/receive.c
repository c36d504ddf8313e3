/* What rank 0 and other engines say to an engine; see protocol.h.
 *
 * Threads: the comm thread; before it starts, main. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/memory.h"
#include "runtime/engine/state.h"
#include "runtime/engine/theft_thief.h"
#include "runtime/engine/theft_victim.h"

enum { UUID_CAP = 64 }; /* longest uuid we take */

typedef int handle_fn(struct ipmpi_engine *engine,
                      const struct ipmpi_msg_head *head,
                      struct ipmpi_frames *frames);

static int take_welcome(struct ipmpi_engine *engine,
                        const struct ipmpi_msg_head *head,
                        struct ipmpi_frames *frames)
{
    if (engine->welcomed)
        return IPMPI_ESTATE;
    if (frames->n < 5 || frames->at[2].len == 0 || frames->at[2].len > UUID_CAP)
        return IPMPI_EFRAME;
    engine->identity.engine_id = head->detail;
    ipmpi_frames_move(&engine->welcome, frames);
    engine->welcomed = true;
    if (head->flags & IPMPI_WELCOME_STEAL)
        ipmpi_theft_on(engine);
    return 0;
}

int ipmpi_engine_make_work(const struct ipmpi_msg_head *head,
                           struct ipmpi_frames *frames,
                           struct ipmpi_work **work_out)
{
    int err =
        head->ref == 0 ? IPMPI_EFRAME : ipmpi_work_create(frames, work_out);

    if (err != 0)
        return err;
    (*work_out)->ref = head->ref;
    (*work_out)->kind = head->kind;
    (*work_out)->flags = head->flags;
    (*work_out)->naborts = head->detail;
    return 0;
}

static int take_work(struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_work *work;
    int err = ipmpi_engine_make_work(head, frames, &work);

    if (err != 0)
        return err;
    if (head->flags & IPMPI_WORK_GATHER)
        err = ipmpi_branches_join(&engine->branches, head->ref, &work->frames);
    if (err != 0 && err != IPMPI_ENOMEM) { /* without, it replies straight */
        ipmpi_work_destroy(&work);
        return err;
    }
    if (head->flags & IPMPI_WORK_MORE)
        ipmpi_theft_hint(engine);
    return ipmpi_parcels_queue(engine, &work);
}

static int take_control(struct ipmpi_engine *engine,
                        const struct ipmpi_msg_head *head,
                        struct ipmpi_frames *frames)
{
    struct ipmpi_work *work;
    int err = ipmpi_engine_make_work(head, frames, &work);

    if (err == 0)
        ipmpi_controls_push(&engine->controls, &work);
    return err;
}

/* A request that has started is not here any more. */
static int abort_refs(struct ipmpi_engine *engine, const uint64_t *refs,
                      size_t n)
{
    struct ipmpi_work *list = ipmpi_queue_remove_refs(engine->queue, refs, n);
    struct ipmpi_work **end = &list;

    while (*end != NULL)
        end = &(*end)->next;
    *end = ipmpi_parcels_remove_refs(engine, refs, n);
    return ipmpi_engine_answer_aborted(engine, &list);
}

static int take_abort(struct ipmpi_engine *engine,
                      const struct ipmpi_msg_head *head,
                      struct ipmpi_frames *frames)
{
    uint64_t *refs;
    size_t n;
    int err;

    (void)head;
    if (frames->n < 2 || frames->at[1].len % sizeof(*refs) != 0)
        return IPMPI_EFRAME;
    n = frames->at[1].len / sizeof(*refs);
    if (n == 0)
        return 0;
    refs = malloc(n * sizeof(*refs));
    if (refs == NULL)
        return IPMPI_ENOMEM;
    memcpy(refs, frames->at[1].data, n * sizeof(*refs));
    ipmpi_refs_sort(refs, n);
    err = abort_refs(engine, refs, n);
    ipmpi_theft_withdraw(engine, refs, n);
    free(refs);
    return err;
}

static int take_signal(struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames)
{
    (void)frames;
    if (head->detail == 0)
        return 0; /* asks only whether we are there */
    return pthread_kill(engine->main_thread, head->detail) == 0 ? 0
                                                                : IPMPI_EINVAL;
}

static int take_shutdown(struct ipmpi_engine *engine,
                         const struct ipmpi_msg_head *head,
                         struct ipmpi_frames *frames)
{
    (void)head;
    (void)frames;
    ipmpi_theft_off(engine);
    ipmpi_engine_stop(engine, IPMPI_STOP_ENGINE);
    return 0;
}

static int take_bye(struct ipmpi_engine *engine,
                    const struct ipmpi_msg_head *head,
                    struct ipmpi_frames *frames)
{
    (void)head;
    (void)frames;
    engine->job_ended = true;
    ipmpi_outbox_close(engine->outbox); /* nobody listens any more */
    ipmpi_engine_stop(engine, IPMPI_STOP_JOB);
    engine->sender.parted = true;
    for (int rank = 1; rank < ipmpi_comm_size(engine->comm); rank++) {
        if (rank != ipmpi_comm_rank(engine->comm)) /* they end, too */
            ipmpi_comm_mark_dead(engine->comm, rank);
    }
    ipmpi_comm_part(engine->comm, 0);
    return 0;
}

static int take_cancel(struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames)
{
    if (frames->n < 2 || head->ref == 0)
        return IPMPI_EFRAME;
    ipmpi_cancels_add(&engine->cancels, head->ref, &frames->at[1]);
    return 0;
}

static int take_measure(struct ipmpi_engine *engine,
                        const struct ipmpi_msg_head *head,
                        struct ipmpi_frames *frames)
{
    struct ipmpi_item *item = ipmpi_speaker_plain(IPMPI_MSG_MEASURED);
    const int64_t rss = ipmpi_memory_resident(getpid());
    int err;

    (void)frames;
    if (item == NULL)
        return IPMPI_ENOMEM;
    item->head.ref = head->ref;
    err = ipmpi_frames_add_copy(&item->buffers, &rss, sizeof(rss));
    if (err == 0)
        ipmpi_outbox_post(engine->outbox, &item);
    ipmpi_item_destroy(&item);
    return err;
}

static int take_straight(struct ipmpi_engine *engine,
                         const struct ipmpi_msg_head *head,
                         struct ipmpi_frames *frames)
{
    (void)frames;
    return ipmpi_branches_straight(&engine->branches, head->ref);
}

static handle_fn *handler_of(uint16_t type)
{
    static handle_fn *const handlers[] = {
        [IPMPI_MSG_WELCOME] = take_welcome,
        [IPMPI_MSG_WORK] = take_work,
        [IPMPI_MSG_CONTROL] = take_control,
        [IPMPI_MSG_ABORT] = take_abort,
        [IPMPI_MSG_SIGNAL] = take_signal,
        [IPMPI_MSG_SHUTDOWN] = take_shutdown,
        [IPMPI_MSG_BYE] = take_bye,
        [IPMPI_MSG_CANCEL] = take_cancel,
        [IPMPI_MSG_MEASURE] = take_measure,
        [IPMPI_MSG_PARCEL] = ipmpi_parcels_take,
        [IPMPI_MSG_PASS] = ipmpi_parcels_pass,
        [IPMPI_MSG_DROP] = ipmpi_parcels_drop,
        [IPMPI_MSG_GONE] = ipmpi_theft_gone,
        [IPMPI_MSG_GIVE] = ipmpi_theft_give,
        [IPMPI_MSG_GRANT] = ipmpi_theft_grant,
        [IPMPI_MSG_STRAIGHT] = take_straight,
    };

    return type < sizeof(handlers) / sizeof(handlers[0]) ? handlers[type]
                                                         : NULL;
}

static int handle(struct ipmpi_engine *engine, int source,
                  struct ipmpi_frames *frames)
{
    struct ipmpi_msg_head head;
    handle_fn *handler;

    if (frames->n == 0 || frames->at[0].len != sizeof(head))
        return IPMPI_EFRAME;
    memcpy(&head, frames->at[0].data, sizeof(head));
    if (head.version != IPMPI_PROTOCOL_VERSION)
        return IPMPI_EVERSION;
    if (source != 0 && head.type == IPMPI_MSG_GATHERED)
        return ipmpi_branches_take(&engine->branches, &head, frames);
    if (source != 0 && head.type != IPMPI_MSG_PARCEL)
        return ipmpi_theft_from_peer(engine, source, &head, frames);
    handler = handler_of(head.type);
    if (handler == NULL)
        return IPMPI_EINVAL;
    /* A job may end while an added engine is on its way into it. */
    if (!engine->welcomed && head.type != IPMPI_MSG_WELCOME &&
        head.type != IPMPI_MSG_BYE)
        return IPMPI_ESTATE;
    return handler(engine, &head, frames);
}

void ipmpi_engine_receive(void *arg, int source, struct ipmpi_frames *frames)
{
    struct ipmpi_engine *engine = arg;
    int err = handle(engine, source, frames);

    if (err != 0)
        ipmpi_log_limited(&engine->bad_message, IPMPI_LOG_ERROR,
                          "ENGINE-MESSAGE", "message from rank %d dropped: %s",
                          source, ipmpi_strerror(err));
}

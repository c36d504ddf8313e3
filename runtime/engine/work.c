/* Work on the main thread: taken, answered, aborted.
 *
 * Invariant: work is in the queue, in `started`, or answered: never in two of
 *            them; every path out of `started` posts idle. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/engine/state.h"

int ipmpi_engine_check(const struct ipmpi_engine *engine)
{
    if (engine->pid != getpid() || atomic_load(&engine->left))
        return IPMPI_ESTATE;
    return 0;
}

void ipmpi_engine_wake(struct ipmpi_engine *engine)
{
    const uint64_t one = 1;

    if (atomic_exchange(&engine->awake, true))
        return;
    /* EAGAIN: the counter is at its end, so it is readable already. */
    if (write(engine->wake_fd, &one, sizeof(one)) < 0)
        return;
}

void ipmpi_engine_clear_wake(struct ipmpi_engine *engine)
{
    uint64_t count;

    /* In this order: whoever sees `awake` before the store has put its work
     * in before that, and the caller looks for work after it. */
    if (read(engine->wake_fd, &count, sizeof(count)) < 0)
        count = 0; /* EAGAIN: it was not readable */
    atomic_store(&engine->awake, false);
}

enum ipmpi_stop ipmpi_engine_stop_requested(const struct ipmpi_engine *engine)
{
    return (enum ipmpi_stop)atomic_load(&engine->stop);
}

/* A cell that rank 0 sent before it had heard of all that failed here: see
 * note [late abort] in protocol.h. */
static bool is_aborted(const struct ipmpi_work *work, const void *naborts)
{
    return work->kind == IPMPI_WORK_EXECUTE &&
           work->naborts != *(const int32_t *)naborts;
}

/* The oldest work. What a failed cell has aborted, but came after it, is
 * answered on the way. */
static struct ipmpi_work *take_valid(struct ipmpi_engine *engine)
{
    struct ipmpi_work *work;

    while ((work = ipmpi_queue_take(engine->queue)) != NULL &&
           is_aborted(work, &engine->naborts))
        ipmpi_engine_answer_aborted(engine, &work);
    return work;
}

/* What several engines do is busy or idle as a whole: rank 0 tells. */
static bool has_status(const struct ipmpi_work *work)
{
    return work->kind != IPMPI_WORK_BULK && work->kind != IPMPI_WORK_MPI &&
           work->kind != IPMPI_WORK_CHILD && !(work->flags & IPMPI_WORK_GATHER);
}

int ipmpi_engine_take(struct ipmpi_engine *engine,
                      const struct ipmpi_work **work_out)
{
    struct ipmpi_item *busy = NULL;
    struct ipmpi_work *work;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    if (atomic_load(&engine->stop) != IPMPI_STOP_NOT ||
        ipmpi_controls_are_busy(&engine->controls))
        return IPMPI_EEMPTY;
    work = take_valid(engine);
    if (work == NULL) {
        if (atomic_load(&engine->theft.watches_dryness))
            ipmpi_outbox_ring(engine->outbox);
        return IPMPI_EEMPTY;
    }
    if (work->kind == IPMPI_WORK_CHILD) /* rank 0 knows nothing of it */
        ipmpi_children_begin(engine, work);
    else if (work->kind != IPMPI_WORK_COMM) /* .. or has forgotten it */
        ipmpi_account_begin(engine->account, work->ref);
    work->started_us = ipmpi_clock_wall_us();
    work->next = engine->started;
    engine->started = work;
    ipmpi_output_set_parent(engine->output,
                            &work->frames.at[IPMPI_WORK_AT_HEADER]);
    if (has_status(work))
        busy = ipmpi_speaker_status(&engine->speaker, work->ref,
                                    &work->frames.at[IPMPI_WORK_AT_HEADER],
                                    IPMPI_IOPUB_BUSY);
    if (busy != NULL) /* without memory the reply will say so */
        ipmpi_outbox_post_soon(engine->outbox, &busy);
    *work_out = work;
    return 0;
}

/* All that was printed so far is in the outbox afterwards. Not fflush(NULL):
 * another thread may be reading stdin, and hold its lock. */
static void flush_output(struct ipmpi_engine *engine)
{
    fflush(stdout);
    fflush(stderr);
    ipmpi_output_drain(engine->output, true);
}

static void append(struct ipmpi_item **list, struct ipmpi_item *item)
{
    while (*list != NULL)
        list = &(*list)->next;
    *list = item;
}

/* Appends the aborted reply to one request, and its idle. */
static int add_aborted(const struct ipmpi_engine *engine,
                       const struct ipmpi_work *work, struct ipmpi_item ***end)
{
    const struct ipmpi_frame *header = &work->frames.at[IPMPI_WORK_AT_HEADER];
    int err = ipmpi_speaker_aborted(&engine->speaker, work, *end);

    if (err != 0)
        return err;
    *end = &(**end)->next;
    if (!has_status(work))
        return 0;
    **end = ipmpi_speaker_status(&engine->speaker, work->ref, header,
                                 IPMPI_IOPUB_IDLE);
    if (**end == NULL)
        return IPMPI_ENOMEM;
    *end = &(**end)->next;
    return 0;
}

int ipmpi_engine_answer_aborted(struct ipmpi_engine *engine,
                                struct ipmpi_work **list)
{
    struct ipmpi_item *items = NULL, **end = &items;
    int err = 0;

    for (const struct ipmpi_work *w = *list; w != NULL && err == 0; w = w->next)
        if (w->kind != IPMPI_WORK_COMM) /* has no reply */
            err = add_aborted(engine, w, &end);
    if (err == 0 && items != NULL)
        ipmpi_outbox_post(engine->outbox, &items);
    ipmpi_item_destroy(&items);
    ipmpi_work_destroy(list);
    return err;
}

int ipmpi_engine_abort_queued(struct ipmpi_engine *engine)
{
    struct ipmpi_work *list;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    list = ipmpi_queue_remove_kind(engine->queue, IPMPI_WORK_EXECUTE);
    return ipmpi_engine_answer_aborted(engine, &list);
}

/* Work that was taken, still in its list; NULL: there is none. */
static struct ipmpi_work *find_started(const struct ipmpi_engine *engine,
                                       uint64_t ref)
{
    struct ipmpi_work *work = engine->started;

    while (work != NULL && work->ref != ref)
        work = work->next;
    return work;
}

/* Posts `reply` (may be NULL) and idle; the work is then done. */
static int end_work(struct ipmpi_engine *engine, struct ipmpi_work *work,
                    struct ipmpi_item *reply)
{
    struct ipmpi_item *idle = NULL;

    if (has_status(work)) {
        idle = ipmpi_speaker_status(&engine->speaker, work->ref,
                                    &work->frames.at[IPMPI_WORK_AT_HEADER],
                                    IPMPI_IOPUB_IDLE);
        if (idle == NULL) {
            ipmpi_item_destroy(&reply);
            return IPMPI_ENOMEM;
        }
    }
    ipmpi_account_end(engine->account, work->ref);
    ipmpi_queue_ended(engine->queue, work->flags);
    flush_output(engine);
    append(&reply, idle);
    ipmpi_outbox_post(engine->outbox, &reply);
    work = ipmpi_work_unlink(&engine->started, work->ref);
    ipmpi_work_destroy(&work);
    return 0;
}

/* The work goes on after a part. */
static int answer_work(struct ipmpi_engine *engine, uint64_t ref,
                       struct ipmpi_answer *answer, bool part)
{
    struct ipmpi_work *work;
    struct ipmpi_item *reply;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    work = find_started(engine, ref);
    if (work == NULL)
        return IPMPI_ENOENT;
    if (work->kind == IPMPI_WORK_COMM)
        return IPMPI_ESTATE;
    err = ipmpi_speaker_reply(&engine->speaker, work, answer,
                              part ? IPMPI_MSG_PART : IPMPI_MSG_REPLY, &reply);
    if (err != 0)
        return err;
    if (!part)
        return end_work(engine, work, reply);
    ipmpi_outbox_post(engine->outbox, &reply);
    return 0;
}

int ipmpi_engine_reply_part(struct ipmpi_engine *engine, uint64_t ref,
                            struct ipmpi_answer *answer)
{
    int err = answer_work(engine, ref, answer, true);

    ipmpi_frames_clear(&answer->content);
    ipmpi_frames_clear(&answer->buffers);
    return err;
}

int ipmpi_engine_reply(struct ipmpi_engine *engine, uint64_t ref,
                       struct ipmpi_answer *answer)
{
    const bool abort_queued = answer->abort_queued;
    int err = answer_work(engine, ref, answer, false);
    struct ipmpi_work *list;

    ipmpi_frames_clear(&answer->content);
    ipmpi_frames_clear(&answer->buffers);
    if (err != 0 || !abort_queued)
        return err;
    /* Rank 0 may have the reply already, and cells of afterwards be here. */
    engine->naborts++;
    list = ipmpi_queue_remove_if(engine->queue, is_aborted, &engine->naborts);
    return ipmpi_engine_answer_aborted(engine, &list);
}

void ipmpi_engine_step(struct ipmpi_engine *engine, uint64_t step)
{
    if (engine->pid == getpid()) /* a child of user code shares the page */
        ipmpi_account_step(engine->account, step);
}

int ipmpi_engine_finish(struct ipmpi_engine *engine, uint64_t ref)
{
    struct ipmpi_work *work;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    work = find_started(engine, ref);
    return work == NULL ? IPMPI_ENOENT : end_work(engine, work, NULL);
}

/* Engine queues and the window of work sent ahead.
 *
 * Invariant: a job is in engine->waiting (state WAITING), in engine->sent
 * (SENT) or in neither (HELD); the sent ones are older than the waiting. */
#include "bridge/schedulers/dispatch.h"

#include <utlist.h>

#include "bridge/hub/records.h"
#include "bridge/schedulers/cast.h"
#include "bridge/schedulers/gathers.h"
#include "bridge/schedulers/givers.h"
#include "bridge/schedulers/reckoning.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

/* Two: one runs, the next is at hand. More would hide nothing more and would
 * put more work out of rank 0's reach. */
enum { WINDOW = 2 };

static size_t *counter(struct ipmpi_engine *engine, const struct ipmpi_job *job)
{
    if (job->owner->door == IPMPI_DOOR_MUX)
        return &engine->nmux;
    if (job->owner->door == IPMPI_DOOR_TASK)
        return &engine->ntasks;
    return NULL; /* broadcasts and control are in no queue_status */
}

static void count(struct ipmpi_engine *engine, const struct ipmpi_job *job,
                  int step)
{
    size_t *n = counter(engine, job);

    if (n != NULL && job->kind != IPMPI_WORK_COMM)
        *n += (size_t)step;
}

/* Control requests are not queued behind work, and hold none up. */
static bool is_work(const struct ipmpi_job *job)
{
    return job->owner->door != IPMPI_DOOR_CONTROL;
}

static bool in_window(const struct ipmpi_job *job)
{
    return is_work(job) && !job->ahead;
}

/* A stealable job comes to an engine (+1), or leaves it or begins (-1). */
static void count_stealable(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                            const struct ipmpi_job *job, int step)
{
    if (!(job->flags & IPMPI_WORK_STEALABLE) || job->held.started)
        return;
    engine->nstealable += (size_t)step;
    hub->sharing.nstealable += (size_t)step;
}

/* Content and buffers, or the number of the parcel that has them. */
static int add_body(const struct ipmpi_job *job, const uint64_t *parcel,
                    struct ipmpi_frames *out)
{
    const struct ipmpi_frames *parts = &job->request->parts;

    if (parcel != NULL)
        return ipmpi_frames_add_copy(out, parcel, sizeof(*parcel));
    if (job->body.n > 0)
        return ipmpi_frames_add_from(out, &job->body, 0, job->body.n);
    return ipmpi_frames_add_from(out, parts, IPMPI_PART_CONTENT,
                                 parts->n - IPMPI_PART_CONTENT);
}

static int add_echo(const struct ipmpi_job *job, struct ipmpi_frames *out)
{
    if (job->echo.data != NULL)
        return ipmpi_frames_add_frame(out, &job->echo);
    return ipmpi_hub_add_echo(job->request, out);
}

static int make_work(const struct ipmpi_job *job,
                     const struct ipmpi_engine *engine, const uint64_t *parcel,
                     struct ipmpi_frames *out)
{
    int err = ipmpi_frames_add_frame(out, &job->header);

    if (err == 0)
        err = add_echo(job, out);
    if (err == 0)
        err = add_body(job, parcel, out);
    if (err == 0 && job->gather != NULL)
        err = ipmpi_gather_add_leg(job, engine, out);
    return err;
}

/* Whether it is worth a search when the engine runs dry. */
static unsigned more_flag(const struct ipmpi_hub *hub,
                          struct ipmpi_engine *engine)
{
    if (!hub->sharing.steal || hub->sharing.nahead == 0)
        return 0;
    engine->hinted = true;
    return IPMPI_WORK_MORE;
}

static void send_job(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                     struct ipmpi_job *job)
{
    uint64_t number = 0;
    const bool by_cast = ipmpi_cast_serve(hub, job, engine, &number);
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = job->owner->door == IPMPI_DOOR_CONTROL ? IPMPI_MSG_CONTROL
                                                       : IPMPI_MSG_WORK,
        .kind = (uint16_t)job->kind,
        .flags = (uint16_t)(job->flags | more_flag(hub, engine) |
                            (by_cast ? IPMPI_WORK_PARCEL : 0)),
        .detail = engine->naborts, /* note [late abort] in protocol.h */
        .ref = job->ref,
    };
    struct ipmpi_frames more = {0};

    if (make_work(job, engine, by_cast ? &number : NULL, &more) != 0) {
        ipmpi_log_error("DISPATCH-MEMORY", "out of memory; request %s fails",
                        job->msg_id);
        ipmpi_frames_clear(&more);
        job->state = IPMPI_JOB_HELD;
        job->engine = NULL;
        count(engine, job, -1);
        ipmpi_dispatch_decide(hub, job, engine, "MemoryError",
                              "the controller is out of memory");
        return;
    }
    job->state = IPMPI_JOB_SENT;
    ipmpi_hold(&engine->sent, &job->held);
    engine->nsent += in_window(job);
    engine->emptied = false;
    count_stealable(hub, engine, job, +1);
    ipmpi_givers_note(hub, engine);
    ipmpi_hub_tell_engine(hub, engine, &head, &more);
}

static void detach(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    struct ipmpi_engine *engine = job->engine;

    if (job->state == IPMPI_JOB_WAITING) {
        DL_DELETE(engine->waiting, job);
        engine->nwaiting--;
    } else if (job->state == IPMPI_JOB_SENT) {
        count_stealable(hub, engine, job, -1);
        ipmpi_release(&job->held);
        ipmpi_givers_note(hub, engine);
        engine->nsent -= in_window(job);
    }
    if (engine != NULL)
        count(engine, job, -1);
    job->state = IPMPI_JOB_HELD;
    job->engine = NULL;
    job->ahead = false;
}

/* How many may be sent of those at the head of the queue. */
static size_t window(const struct ipmpi_hub *hub, const struct ipmpi_job *job)
{
    const size_t prefetch = hub->sharing.prefetch;

    return (job->flags & IPMPI_WORK_STEALABLE) && prefetch + 1 > WINDOW
               ? prefetch + 1
               : WINDOW;
}

static void pump(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    while (!hub->held_back && engine->waiting != NULL &&
           engine->nsent < window(hub, engine->waiting)) {
        struct ipmpi_job *job = engine->waiting;

        DL_DELETE(engine->waiting, job);
        engine->nwaiting--;
        send_job(hub, engine, job);
        if (job->kind == IPMPI_WORK_COMM) { /* no reply will come */
            detach(hub, job);
            ipmpi_job_destroy(&hub->ledger, &job);
        }
    }
}

void ipmpi_dispatch(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                    struct ipmpi_job *job)
{
    IPMPI_ASSERT(job->state == IPMPI_JOB_HELD);
    job->engine = engine;
    count(engine, job, +1);
    if (job->owner->door == IPMPI_DOOR_CONTROL) { /* overtakes everything */
        send_job(hub, engine, job);
        return;
    }
    job->state = IPMPI_JOB_WAITING;
    DL_APPEND(engine->waiting, job);
    engine->nwaiting++;
    pump(hub, engine);
}

void ipmpi_dispatch_hold_back(struct ipmpi_hub *hub, bool held_back)
{
    struct ipmpi_engine *engine, *next;

    if (hub->held_back == held_back)
        return;
    hub->held_back = held_back;
    HASH_ITER (by_id, hub->registry.by_id, engine, next)
        pump(hub, engine);
}

void ipmpi_dispatch_ahead(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                          struct ipmpi_job *job)
{
    IPMPI_ASSERT(job->state == IPMPI_JOB_HELD);
    job->engine = engine;
    job->ahead = true;
    count(engine, job, +1);
    send_job(hub, engine, job);
}

void ipmpi_dispatch_is_needed(struct ipmpi_job *job)
{
    job->engine->nsent += job->ahead;
    job->ahead = false;
}

void ipmpi_dispatch_started(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    if (job->state != IPMPI_JOB_SENT)
        return;
    count_stealable(hub, job->engine, job, -1);
    ipmpi_givers_note(hub, job->engine);
    job->held.started = true;
}

void ipmpi_dispatch_take_back(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    IPMPI_ASSERT(job->state == IPMPI_JOB_WAITING);
    detach(hub, job);
}

void ipmpi_dispatch_missing(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    IPMPI_ASSERT(job->state == IPMPI_JOB_SENT);
    detach(hub, job);
}

enum ipmpi_handover ipmpi_dispatch_hand_over(struct ipmpi_hub *hub,
                                             struct ipmpi_job *job,
                                             struct ipmpi_engine *victim,
                                             struct ipmpi_engine *thief)
{
    struct ipmpi_holder *to = thief != NULL ? &thief->sent : NULL;
    const bool was_in_window = in_window(job);
    enum ipmpi_handover verdict;

    if (job->state != IPMPI_JOB_SENT ||
        !(job->flags & IPMPI_WORK_STEALABLE)) /* only a bug hands it over */
        return IPMPI_HANDOVER_STALE;
    verdict = ipmpi_hand_over(&job->held, &victim->sent, to);
    if (verdict == IPMPI_HANDOVER_STALE)
        return verdict;
    victim->nsent -= was_in_window;
    count_stealable(hub, victim, job, -1);
    ipmpi_givers_note(hub, victim);
    count(victim, job, -1);
    job->ahead = false;
    job->engine = NULL;
    job->state = IPMPI_JOB_HELD;
    if (verdict == IPMPI_HANDOVER_BACK)
        return verdict;
    job->engine = thief;
    job->state = IPMPI_JOB_SENT;
    job->ahead = true; /* until its owner says more */
    thief->emptied = false;
    count_stealable(hub, thief, job, +1);
    ipmpi_givers_note(hub, thief);
    count(thief, job, +1);
    return verdict;
}

/* Compat 10.5: a failed, non-silent execute aborts the execute_requests that
 * were queued behind it, whoever sent them. */
static void abort_queued_executes(struct ipmpi_hub *hub,
                                  struct ipmpi_engine *engine)
{
    struct ipmpi_job *job, *next, *aborted = NULL;

    DL_FOREACH_SAFE (engine->waiting, job, next) {
        if (job->kind != IPMPI_WORK_EXECUTE)
            continue;
        detach(hub, job);
        DL_APPEND(aborted, job);
    }
    DL_FOREACH_SAFE (aborted, job, next) {
        DL_DELETE(aborted, job);
        ipmpi_dispatch_decide(hub, job, engine, NULL, NULL);
    }
}

/* The frames after the head are moved. */
static struct ipmpi_reply reply_of(const struct ipmpi_msg_head *head,
                                   struct ipmpi_frames *frames)
{
    struct ipmpi_reply reply = {
        .status = head->kind,
        .flags = head->flags,
        .started_us = head->started_us,
        .completed_us = head->completed_us,
    };

    ipmpi_frames_replace_first(frames, 1, 0);
    ipmpi_frames_move(&reply.parts, frames);
    return reply;
}

void ipmpi_dispatch_part(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                         const struct ipmpi_msg_head *head,
                         struct ipmpi_frames *frames)
{
    struct ipmpi_job *job = ipmpi_job_by_ref(&hub->ledger, head->ref);
    struct ipmpi_reply reply;

    if (job == NULL || job->engine != engine || job->state != IPMPI_JOB_SENT ||
        job->owner->part == NULL)
        return;
    job->held.started = true;
    reply = reply_of(head, frames);
    job->owner->part(hub, job, engine, &reply);
    ipmpi_frames_clear(&reply.parts);
}

void ipmpi_dispatch_reply(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                          const struct ipmpi_msg_head *head,
                          struct ipmpi_frames *frames)
{
    struct ipmpi_job *job = ipmpi_job_by_ref(&hub->ledger, head->ref);
    struct ipmpi_reply reply;

    if (head->flags & IPMPI_REPLY_ABORT_QUEUED)
        engine->naborts++;
    if (job == NULL || job->engine != engine || job->state != IPMPI_JOB_SENT)
        return; /* decided before: its second answer disturbs nobody */
    reply = reply_of(head, frames);
    detach(hub, job);
    if (head->flags & IPMPI_REPLY_ABORT_QUEUED)
        abort_queued_executes(hub, engine);
    job->owner->decided(hub, job, engine, &reply);
    ipmpi_frames_clear(&reply.parts);
    pump(hub, engine);
}

void ipmpi_dispatch_gathered(struct ipmpi_hub *hub, struct ipmpi_job *job,
                             struct ipmpi_reply *reply)
{
    struct ipmpi_engine *engine = job->engine;

    IPMPI_ASSERT(job->state == IPMPI_JOB_SENT);
    detach(hub, job);
    job->owner->decided(hub, job, engine, reply);
    ipmpi_frames_clear(&reply->parts);
    pump(hub, engine);
}

void ipmpi_dispatch_decide(struct ipmpi_hub *hub, struct ipmpi_job *job,
                           struct ipmpi_engine *engine, const char *ename,
                           const char *evalue)
{
    struct ipmpi_reply reply;

    IPMPI_ASSERT(job->state == IPMPI_JOB_HELD);
    if (ipmpi_hub_make_reply(hub, job, engine, ename, evalue, &reply) != 0)
        ipmpi_log_error("DISPATCH-MEMORY",
                        "out of memory; no answer to request %s", job->msg_id);
    job->owner->decided(hub, job, engine, &reply);
    ipmpi_frames_clear(&reply.parts);
}

void ipmpi_dispatch_engine_lost(struct ipmpi_hub *hub,
                                struct ipmpi_engine *engine,
                                const struct ipmpi_exit_notice *notice)
{
    struct ipmpi_reckoning reckoning;

    ipmpi_reckoning_begin(&reckoning, hub, engine, notice);
    while (engine->sent.n > 0 || engine->waiting != NULL) {
        struct ipmpi_job *job = engine->sent.n > 0
                                    ? ipmpi_job_of(engine->sent.first)
                                    : engine->waiting;
        enum ipmpi_progress progress = IPMPI_NOT_BEGUN;

        if (is_work(job))
            progress = ipmpi_reckon(&reckoning, job);
        job->step = ipmpi_reckon_step(&reckoning, job);
        detach(hub, job);
        job->owner->lost(hub, job, engine, progress);
    }
}

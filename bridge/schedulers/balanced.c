/* The balanced scheduler.
 *
 * Invariant: each task is decided exactly once, by finish(). */
#include "bridge/schedulers/balanced.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/hub/records.h"
#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/ahead.h"
#include "bridge/schedulers/balanced_state.h"
#include "bridge/schedulers/bulk.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/gang.h"
#include "bridge/schedulers/reckoning.h"
#include "bridge/schedulers/task.h"
#include "bridge/schedulers/thefts.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

static const struct ipmpi_job_owner with_client, without_client;

static int64_t now_us(const struct ipmpi_hub *hub)
{
    return hub->out.now_us(hub->out.ctx);
}

static void enqueue(struct ipmpi_hub *hub, struct ipmpi_task *task,
                    enum ipmpi_task_state state)
{
    ipmpi_queues_enter(&hub->balanced->queues, task, state, now_us(hub));
}

/* --- the end of a task ---------------------------------------------- */

static void settle(struct ipmpi_hub *hub);
static void scan(struct ipmpi_hub *hub);

/* The one place where a task is decided. engine is NULL when no engine ran
 * it. */
static void finish(struct ipmpi_hub *hub, struct ipmpi_task *task,
                   struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct ipmpi_balanced *b = hub->balanced;
    struct ipmpi_job *job = task->job;
    struct ipmpi_dependents *dependents =
        ipmpi_graph_take(&b->graph, job->msg_id);

    ipmpi_queues_leave(&b->queues, task);
    ipmpi_records_finished(hub, job, engine, reply);
    if (ipmpi_outcomes_add(&b->outcomes, job->msg_id,
                           reply->status == IPMPI_STATUS_OK,
                           engine != NULL ? engine->id : -1) != 0)
        ipmpi_log_error("TASK-MEMORY",
                        "out of memory; the outcome of %s is "
                        "forgotten",
                        job->msg_id);
    if (engine != NULL && reply->status != IPMPI_STATUS_ABORTED)
        ipmpi_engine_completed(engine, job->msg_id);
    if (job->owner == &with_client)
        ipmpi_hub_relay(hub, IPMPI_DOOR_TASK, job->request, engine,
                        &reply->parts);
    ipmpi_bulk_destroy(hub, &task->bulk);
    ipmpi_gang_destroy(&task->gang);
    ipmpi_task_destroy(&task);
    ipmpi_job_destroy(&hub->ledger, &job);
    if (dependents != NULL)
        HASH_ADD_KEYPTR(hh, b->settled, dependents->msg_id,
                        strlen(dependents->msg_id), dependents);
    settle(hub);
}

static void fail(struct ipmpi_hub *hub, struct ipmpi_task *task,
                 struct ipmpi_engine *engine, const char *ename,
                 const char *evalue)
{
    struct ipmpi_reply reply;

    if (ipmpi_hub_make_reply(hub, task->job, engine, ename, evalue, &reply) !=
        0)
        ipmpi_log_error("TASK-MEMORY", "out of memory; no answer to task %s",
                        task->job->msg_id);
    finish(hub, task, engine, &reply);
    ipmpi_frames_clear(&reply.parts);
}

/* --- assignment ----------------------------------------------------- */

struct fitting {
    const struct ipmpi_balanced *balanced;
    const struct ipmpi_task *task;
};

static bool fits(void *ctx, const struct ipmpi_slot *slot)
{
    const struct fitting *f = ctx;

    return ipmpi_task_allows(f->task, slot->engine->uuid) &&
           ipmpi_dependency_met(&f->task->follow, &f->balanced->outcomes,
                                slot->engine->id);
}

/* Follow asks for one engine; if what it follows ran on an engine that has
 * left, none will ever fit. */
static bool follows_the_dead(const struct ipmpi_hub *hub,
                             const struct ipmpi_dependency *follow)
{
    for (size_t i = 0; i < follow->n; i++) {
        const struct ipmpi_outcome *o =
            ipmpi_outcomes_find(&hub->balanced->outcomes, follow->ids[i]);
        const bool gone =
            o != NULL && (o->engine_id < 0 ||
                          ipmpi_registry_had(&hub->registry, o->engine_id));

        if (gone && follow->all)
            return true;
        if (!gone && !follow->all)
            return false;
    }
    return follow->n > 0 && !follow->all;
}

/* Judged only while some engine is free (compat 6.5). */
static bool impossible(const struct ipmpi_hub *hub,
                       const struct ipmpi_task *task)
{
    const struct ipmpi_dependency *follow = &task->follow;

    return (follow->all &&
            ipmpi_dependency_scattered(follow, &hub->balanced->outcomes)) ||
           follows_the_dead(hub, follow) ||
           ipmpi_task_targets_gone(task, &hub->registry);
}

static void assign(struct ipmpi_hub *hub, struct ipmpi_task *task,
                   struct ipmpi_slot *slot)
{
    struct ipmpi_balanced *b = hub->balanced;

    ipmpi_queues_leave(&b->queues, task);
    task->state = IPMPI_TASK_ASSIGNED;
    ipmpi_task_mark(task);
    ipmpi_slots_assign(&b->slots, slot);
    ipmpi_records_assigned(hub, task->job, slot->engine);
    ipmpi_dispatch(hub, slot->engine, task->job);
}

/* A bulk job's pieces, or a gang's shares, are given out by scan(). */
static void begin_shared(struct ipmpi_hub *hub, struct ipmpi_task *task)
{
    struct ipmpi_balanced *b = hub->balanced;
    const char *why = NULL;

    ipmpi_queues_leave(&b->queues, task);
    task->state = IPMPI_TASK_ASSIGNED;
    if (task->bulk != NULL)
        ipmpi_bulk_begin(hub, task->bulk);
    else
        why = ipmpi_gang_begin(hub, &b->slots, task->gang);
    if (why != NULL)
        fail(hub, task, NULL, "EngineError", why);
    scan(hub);
}

/* Runs the task, fails it, or leaves it in the queue of ready tasks. */
static void try_to_run(struct ipmpi_hub *hub, struct ipmpi_task *task)
{
    struct ipmpi_balanced *b = hub->balanced;
    struct fitting fitting = {b, task};
    struct ipmpi_slot *slot;

    if (task->bulk != NULL || task->gang != NULL) {
        begin_shared(hub, task);
        return;
    }
    slot = ipmpi_scheme_choose(&b->slots, b->scheme, fits, &fitting);
    if (slot != NULL)
        assign(hub, task, slot);
    else if (b->slots.nfree > 0 && impossible(hub, task))
        fail(hub, task, NULL, "ImpossibleDependency", "");
    else if (task->state != IPMPI_TASK_READY)
        enqueue(hub, task, IPMPI_TASK_READY);
}

/* Offers the ready tasks to the free engines, oldest first. A nested call only
 * asks the outer one for another round. */
static void scan(struct ipmpi_hub *hub)
{
    struct ipmpi_balanced *b = hub->balanced;

    b->rescan = true;
    if (b->scanning)
        return;
    b->scanning = true;
    while (b->rescan) {
        struct ipmpi_task *task = b->queues.ready;

        b->rescan = false;
        ipmpi_gang_feed(hub, &b->slots,
                        b->queues.ready != NULL || hub->bulks != NULL);
        ipmpi_bulk_feed(hub, &b->slots, IPMPI_BULK_IN_TURN);
        while (task != NULL && b->slots.nfree > 0 && !b->rescan) {
            struct ipmpi_task *next = task->next;

            try_to_run(hub, task);
            task = next;
        }
        ipmpi_bulk_feed(hub, &b->slots, IPMPI_BULK_TO_FREE);
        if (b->queues.ready == NULL)
            ipmpi_bulk_feed(hub, &b->slots, IPMPI_BULK_AHEAD);
        ipmpi_gang_feed(hub, &b->slots, false);
    }
    b->scanning = false;
    ipmpi_ahead_feed(hub);
}

/* Note [cascades]. The end of one task can decide others, and theirs more: a
 * chain of ten thousand must not be ten thousand calls deep. So finish() only
 * notes whose dependents are to be looked at, and the outermost settle() does
 * the looking. try_to_run() inside scan() may decide tasks, too, the next one
 * in the queue among them; scan() then starts over, because settle() asks. */
static void examine(struct ipmpi_hub *hub, struct ipmpi_task *task)
{
    struct ipmpi_balanced *b = hub->balanced;

    if (ipmpi_dependency_unreachable(&task->after, &b->outcomes) ||
        ipmpi_dependency_unreachable(&task->follow, &b->outcomes)) {
        fail(hub, task, NULL, "ImpossibleDependency", "");
        return;
    }
    if (task->state == IPMPI_TASK_BLOCKED &&
        ipmpi_dependency_met(&task->after, &b->outcomes, -1)) {
        ipmpi_queues_promote(&b->queues, task);
    }
}

static void settle(struct ipmpi_hub *hub)
{
    struct ipmpi_balanced *b = hub->balanced;

    if (b->settled == NULL || b->settling)
        return;
    b->settling = true;
    while (b->settled != NULL) {
        struct ipmpi_dependents *d = b->settled;

        HASH_DEL(b->settled, d);
        for (size_t i = 0; i < d->n; i++) {
            struct ipmpi_job *job = ipmpi_job_by_ref(&hub->ledger, d->refs[i]);

            if (job != NULL && job->state == IPMPI_JOB_HELD &&
                ((struct ipmpi_task *)job->data)->state != IPMPI_TASK_ASSIGNED)
                examine(hub, job->data);
        }
        ipmpi_dependents_free(d);
    }
    b->settling = false;
    scan(hub);
}

/* --- from the engines ----------------------------------------------- */

static void unassign(struct ipmpi_hub *hub, struct ipmpi_task *task,
                     struct ipmpi_engine *engine)
{
    struct ipmpi_balanced *b = hub->balanced;

    if (task->state == IPMPI_TASK_AHEAD)
        ipmpi_ahead_left(hub, task, engine);
    if (task->state != IPMPI_TASK_ASSIGNED)
        return;
    task->state = IPMPI_TASK_NEW;
    if (engine == NULL || engine->task_slot == NULL)
        return;
    if (ipmpi_slots_unassign(&b->slots, engine->task_slot))
        b->rescan = true;
    ipmpi_ahead_promote(hub, engine);
}

/* A task that was withdrawn from its engine has not begun there. */
static void drop(struct ipmpi_hub *hub, struct ipmpi_task *task,
                 struct ipmpi_engine *engine)
{
    if (task->expired)
        fail(hub, task, NULL, "TaskTimeout", "");
    else
        ipmpi_dispatch_decide(hub, task->job, engine, NULL, NULL);
}

/* The attempt failed or was refused; another engine may do. */
static void try_elsewhere(struct ipmpi_hub *hub, struct ipmpi_task *task,
                          const struct ipmpi_engine *engine)
{
    if (task->expired) /* it had begun in time */
        task->expired = task->job->held.withdrawn = false;
    ipmpi_task_blacklist(task, engine->uuid);
    if (task->targets != NULL &&
        json_array_size(task->blacklist) >= json_array_size(task->targets))
        fail(hub, task, NULL, "ImpossibleDependency", "");
    else
        try_to_run(hub, task);
}

static void decided(struct ipmpi_hub *hub, struct ipmpi_job *job,
                    struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct ipmpi_task *task = job->data;

    if (task->bulk != NULL && ipmpi_bulk_abort(hub, task->bulk))
        return; /* it ends when its pieces have */
    if (task->gang != NULL &&
        ipmpi_gang_abort(hub, &hub->balanced->slots, task->gang)) {
        scan(hub);
        return;
    }
    unassign(hub, task, engine);
    if (reply->status == IPMPI_STATUS_ABORTED && task->expired) {
        drop(hub, task, engine);
    } else if (engine != NULL && reply->status == IPMPI_STATUS_UNMET) {
        try_elsewhere(hub, task, engine);
    } else if (engine != NULL && reply->status == IPMPI_STATUS_ERROR &&
               task->retries_left > 0) {
        task->retries_left--;
        try_elsewhere(hub, task, engine);
    } else {
        finish(hub, task, engine, reply);
    }
    scan(hub);
}

static void lost(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, enum ipmpi_progress progress)
{
    struct ipmpi_task *task = job->data;
    char text[512];

    unassign(hub, task, engine);
    if (progress == IPMPI_NOT_BEGUN) {
        if (job->held
                .withdrawn) /* the engine's answer to that is lost with it */
            drop(hub, task, engine);
        else
            try_to_run(hub, task);
        ipmpi_ahead_feed(hub);
        return;
    }
    if (task->retries_left > 0) {
        task->retries_left--;
        try_elsewhere(hub, task, engine);
        return;
    }
    ipmpi_reckoning_describe(job, engine, progress, text, sizeof(text));
    fail(hub, task, engine, "EngineError", text);
}

void ipmpi_balanced_moved(struct ipmpi_hub *hub, struct ipmpi_job *job,
                          struct ipmpi_engine *victim,
                          struct ipmpi_engine *thief)
{
    struct ipmpi_task *task = job->data;

    unassign(hub, task, victim);
    if (thief != NULL)
        ipmpi_ahead_came(hub, task, thief);
    else if (job->held.withdrawn)
        drop(hub, task, victim);
    else
        try_to_run(hub, task);
}

static const struct ipmpi_job_owner with_client = {
    .name = "task",
    .door = IPMPI_DOOR_TASK,
    .decided = decided,
    .lost = lost,
};

static const struct ipmpi_job_owner without_client = {
    .name = "task",
    .door = IPMPI_DOOR_TASK,
    .decided = decided,
    .lost = lost,
};

/* --- from the clients ----------------------------------------------- */

static bool is_task(const struct ipmpi_hub *hub, const char *msg_id)
{
    const struct ipmpi_job *job = ipmpi_job_by_id(&hub->ledger, msg_id);

    return (job != NULL && job->owner->door == IPMPI_DOOR_TASK) ||
           ipmpi_outcomes_find(&hub->balanced->outcomes, msg_id) != NULL;
}

/* NULL, or the name of what is wrong with a dependency at submission. */
static const char *flaw(const struct ipmpi_hub *hub,
                        const struct ipmpi_task *task,
                        const struct ipmpi_dependency *dependency)
{
    if (ipmpi_dependency_has(dependency, task->job->msg_id))
        return "InvalidDependency";
    for (size_t i = 0; i < dependency->n; i++) {
        if (!is_task(hub, dependency->ids[i]))
            return "InvalidDependency";
    }
    if (ipmpi_dependency_unreachable(dependency, &hub->balanced->outcomes))
        return "ImpossibleDependency";
    return NULL;
}

static int link_dependencies(struct ipmpi_balanced *b,
                             const struct ipmpi_task *task,
                             const struct ipmpi_dependency *dependency)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < dependency->n; i++) {
        if (ipmpi_outcomes_find(&b->outcomes, dependency->ids[i]) == NULL)
            err =
                ipmpi_graph_add(&b->graph, dependency->ids[i], task->job->ref);
    }
    return err;
}

static void place(struct ipmpi_hub *hub, struct ipmpi_task *task)
{
    struct ipmpi_balanced *b = hub->balanced;
    const char *ename = flaw(hub, task, &task->after);

    if (ename == NULL)
        ename = flaw(hub, task, &task->follow);
    if (ename == NULL && (link_dependencies(b, task, &task->after) != 0 ||
                          link_dependencies(b, task, &task->follow) != 0))
        ename = "MemoryError";
    if (ename != NULL)
        fail(hub, task, NULL, ename, "");
    else if (ipmpi_abort_recall(hub->aborted, task->job->msg_id))
        ipmpi_dispatch_decide(hub, task->job, NULL, NULL, NULL);
    else if (!ipmpi_dependency_met(&task->after, &b->outcomes, -1))
        enqueue(hub, task, IPMPI_TASK_BLOCKED);
    else if (b->queues.ready != NULL && b->slots.nfree == 0)
        enqueue(hub, task, IPMPI_TASK_READY);
    else
        try_to_run(hub, task);
}

static int make_task(struct ipmpi_job *job, struct ipmpi_task **task_out)
{
    int err = ipmpi_task_create(job, task_out);

    if (err != 0)
        return err;
    if (ipmpi_bulk_is_asked(job->request))
        err = ipmpi_bulk_create(*task_out);
    else if (ipmpi_gang_is_asked(job->request))
        err = ipmpi_gang_create(*task_out);
    if (err != 0)
        ipmpi_task_destroy(task_out);
    return err;
}

void ipmpi_balanced_submit(struct ipmpi_hub *hub, struct ipmpi_request *request,
                           bool has_client)
{
    struct ipmpi_job *job;
    struct ipmpi_task *task;
    int err = ipmpi_job_create(&hub->ledger,
                               has_client ? &with_client : &without_client,
                               request, NULL, NULL, &job);

    if (err != 0) {
        ipmpi_log_warn("TASK-REFUSED", "task %s: %s; dropped", request->msg_id,
                       ipmpi_strerror(err));
        return;
    }
    job->flags |= IPMPI_WORK_BALANCED;
    err = make_task(job, &task);
    if (err != 0) {
        ipmpi_hub_reply_error(hub, IPMPI_DOOR_TASK, request,
                              ipmpi_bulk_is_asked(request) ? "ipmpi_bulk_reply"
                                                           : "apply_reply",
                              "ValueError", "the task is not as it should be");
        ipmpi_job_destroy(&hub->ledger, &job);
        return;
    }
    job->data = task;
    ipmpi_records_submitted(hub, job, NULL);
    place(hub, task);
    ipmpi_ahead_feed(hub);
}

void ipmpi_balanced_take_back(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    ipmpi_queues_leave(&hub->balanced->queues, job->data);
}

/* --- bulk jobs and gangs
 * ------------------------------------------------------- */

void ipmpi_balanced_end(struct ipmpi_hub *hub, struct ipmpi_task *task,
                        struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    finish(hub, task, engine, reply);
}

void ipmpi_balanced_let_go(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    if (engine->task_slot != NULL)
        ipmpi_slots_keep(&hub->balanced->slots, engine->task_slot, false);
}

void ipmpi_balanced_add_piece(struct ipmpi_hub *hub,
                              struct ipmpi_engine *engine)
{
    ipmpi_slots_add_piece(&hub->balanced->slots, engine->task_slot);
}

void ipmpi_balanced_drop_piece(struct ipmpi_hub *hub,
                               struct ipmpi_engine *engine)
{
    if (engine->task_slot != NULL)
        ipmpi_slots_drop_piece(&hub->balanced->slots, engine->task_slot);
}

void ipmpi_balanced_scan(struct ipmpi_hub *hub)
{
    scan(hub);
}

/* --- engines and time ----------------------------------------------- */

void ipmpi_balanced_engine_came(struct ipmpi_hub *hub,
                                struct ipmpi_engine *engine)
{
    if (ipmpi_slots_add(&hub->balanced->slots, engine) != 0) {
        ipmpi_log_error("TASK-MEMORY", "out of memory; engine %d gets no tasks",
                        engine->id);
        return;
    }
    scan(hub);
    ipmpi_thefts_feed(hub, engine);
}

void ipmpi_balanced_engine_gone(struct ipmpi_hub *hub,
                                struct ipmpi_engine *engine)
{
    struct ipmpi_slot *slot = engine->task_slot;

    if (slot != NULL) {
        ipmpi_gang_engine_goes(hub, &hub->balanced->slots, engine);
        ipmpi_slots_remove(&hub->balanced->slots, &slot);
    }
    ipmpi_gang_engine_gone(hub, &hub->balanced->slots);
    ipmpi_bulk_engine_gone(hub);
    scan(hub); /* tasks for this engine alone have become impossible */
}

static int64_t timeout_us(const struct ipmpi_balanced *b)
{
    return b->queues.timers != NULL ? b->queues.timers->deadline_us : INT64_MAX;
}

int64_t ipmpi_balanced_deadline_us(const struct ipmpi_hub *hub)
{
    const int64_t task = timeout_us(hub->balanced);
    const int64_t gang = ipmpi_gang_deadline_us(hub);

    return task < gang ? task : gang;
}

void ipmpi_balanced_fire_timers(struct ipmpi_hub *hub)
{
    while (timeout_us(hub->balanced) <= now_us(hub)) {
        struct ipmpi_task *task = hub->balanced->queues.timers;

        if (task->state == IPMPI_TASK_AHEAD)
            ipmpi_ahead_expire(hub, task);
        else
            fail(hub, task, NULL, "TaskTimeout", "");
    }
    if (ipmpi_gang_deadline_us(hub) <= now_us(hub))
        scan(hub);
}

size_t ipmpi_balanced_unassigned(const struct ipmpi_hub *hub)
{
    return hub->balanced->queues.n;
}

const struct ipmpi_job *
ipmpi_balanced_next_unassigned(const struct ipmpi_hub *hub,
                               const struct ipmpi_job *job)
{
    const struct ipmpi_balanced *b = hub->balanced;
    const struct ipmpi_task *task = job != NULL ? job->data : NULL;
    const struct ipmpi_task *next;

    if (task == NULL)
        next = b->queues.ready != NULL ? b->queues.ready : b->queues.blocked;
    else if (task->next != NULL)
        next = task->next;
    else
        next = task->state == IPMPI_TASK_READY ? b->queues.blocked : NULL;
    return next != NULL ? next->job : NULL;
}

int ipmpi_balanced_open(struct ipmpi_hub *hub, enum ipmpi_scheme scheme,
                        size_t hwm)
{
    struct ipmpi_balanced *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return IPMPI_ENOMEM;
    b->scheme = scheme;
    b->slots.hwm = hwm;
    b->slots.seed = 1;
    hub->balanced = b;
    return 0;
}

void ipmpi_balanced_close(struct ipmpi_hub *hub)
{
    struct ipmpi_balanced *b = hub->balanced;

    if (b == NULL)
        return;
    while (b->queues.ready != NULL || b->queues.blocked != NULL) {
        struct ipmpi_task *task =
            b->queues.ready != NULL ? b->queues.ready : b->queues.blocked;
        struct ipmpi_job *job = task->job;

        ipmpi_queues_leave(&b->queues, task);
        ipmpi_bulk_destroy(hub, &task->bulk);
        ipmpi_gang_destroy(&task->gang);
        ipmpi_task_destroy(&task);
        ipmpi_job_destroy(&hub->ledger, &job);
    }
    ipmpi_bulk_close(hub);
    ipmpi_gang_close(hub);
    while (b->slots.lru != NULL) {
        struct ipmpi_slot *slot = b->slots.lru;

        ipmpi_slots_remove(&b->slots, &slot);
    }
    ipmpi_outcomes_clear(&b->outcomes);
    ipmpi_graph_clear(&b->graph);
    free(b);
    hub->balanced = NULL;
}

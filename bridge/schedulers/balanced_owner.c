/* The balanced scheduler: what it hears of its tasks from the engines, and
 * whether that ends a task or another engine gets it. */
#include "bridge/schedulers/balanced_internal.h"

#include "bridge/schedulers/ahead.h"
#include "bridge/schedulers/bulk.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/gang.h"
#include "bridge/schedulers/reckoning.h"

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
        ipmpi_balanced_fail(hub, task, NULL, "TaskTimeout", "");
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
        ipmpi_balanced_fail(hub, task, NULL, "ImpossibleDependency", "");
    else
        ipmpi_balanced_try(hub, task);
}

static void decided(struct ipmpi_hub *hub, struct ipmpi_job *job,
                    struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct ipmpi_task *task = job->data;

    if (task->bulk != NULL && ipmpi_bulk_abort(hub, task->bulk))
        return; /* it ends when its pieces have */
    if (task->gang != NULL &&
        ipmpi_gang_abort(hub, &hub->balanced->slots, task->gang)) {
        ipmpi_balanced_scan(hub);
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
        ipmpi_balanced_end(hub, task, engine, reply);
    }
    ipmpi_balanced_scan(hub);
}

static void lost(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, enum ipmpi_progress progress)
{
    struct ipmpi_task *task = job->data;
    char text[512];

    unassign(hub, task, engine);
    if (progress == IPMPI_NOT_BEGUN) {
        if (job->held.withdrawn) /* the answer to that is lost, too */
            drop(hub, task, engine);
        else
            ipmpi_balanced_try(hub, task);
        ipmpi_ahead_feed(hub);
        return;
    }
    if (task->retries_left > 0) {
        task->retries_left--;
        try_elsewhere(hub, task, engine);
        return;
    }
    ipmpi_reckoning_describe(job, engine, progress, text, sizeof(text));
    ipmpi_balanced_fail(hub, task, engine, "EngineError", text);
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
        ipmpi_balanced_try(hub, task);
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

const struct ipmpi_job_owner *ipmpi_balanced_owner(bool has_client)
{
    return has_client ? &with_client : &without_client;
}

/* The balanced scheduler: requests become tasks, and are put where their
 * dependencies want them. */
#include "bridge/schedulers/balanced_internal.h"

#include "bridge/hub/records.h"
#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/ahead.h"
#include "bridge/schedulers/bulk.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/gang.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

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
        ipmpi_balanced_fail(hub, task, NULL, ename, "");
    else if (ipmpi_abort_recall(hub->aborted, task->job->msg_id))
        ipmpi_dispatch_decide(hub, task->job, NULL, NULL, NULL);
    else if (!ipmpi_dependency_met(&task->after, &b->outcomes, -1))
        ipmpi_balanced_enqueue(hub, task, IPMPI_TASK_BLOCKED);
    else if (b->queues.ready != NULL && ipmpi_slots_nfree(&b->slots) == 0)
        ipmpi_balanced_enqueue(hub, task, IPMPI_TASK_READY);
    else
        ipmpi_balanced_try(hub, task);
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
    int err = ipmpi_job_create(&hub->ledger, ipmpi_balanced_owner(has_client),
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

/* The balanced scheduler: how tasks end, and what their end decides.
 *
 * Invariant: each task is decided exactly once, by ipmpi_balanced_end(). */
#include "bridge/schedulers/balanced_internal.h"

#include <string.h>

#include "bridge/hub/records.h"
#include "bridge/schedulers/bulk.h"
#include "bridge/schedulers/gang.h"
#include "runtime/base/log.h"

/* --- the tasks that waited for one ----------------------------------- */

/* Note [cascades]. The end of one task can decide others, and theirs more: a
 * chain of ten thousand must not be ten thousand calls deep. So
 * ipmpi_balanced_end() only notes whose dependents are to be looked at, and the
 * outermost settle() does the looking. ipmpi_balanced_scan() may decide tasks,
 * too, the next one in the queue among them; it then starts over, because
 * settle() asks. */
static void examine(struct ipmpi_hub *hub, struct ipmpi_task *task)
{
    struct ipmpi_balanced *b = hub->balanced;

    if (ipmpi_dependency_unreachable(&task->after, &b->outcomes) ||
        ipmpi_dependency_unreachable(&task->follow, &b->outcomes)) {
        ipmpi_balanced_fail(hub, task, NULL, "ImpossibleDependency", "");
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
    ipmpi_balanced_scan(hub);
}

/* --- the end of a task ---------------------------------------------- */

void ipmpi_balanced_end(struct ipmpi_hub *hub, struct ipmpi_task *task,
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
                        "out of memory; the outcome of %s is forgotten",
                        job->msg_id);
    if (engine != NULL && reply->status != IPMPI_STATUS_ABORTED)
        ipmpi_engine_completed(engine, job->msg_id);
    if (job->owner == ipmpi_balanced_owner(true))
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

void ipmpi_balanced_fail(struct ipmpi_hub *hub, struct ipmpi_task *task,
                         struct ipmpi_engine *engine, const char *ename,
                         const char *evalue)
{
    struct ipmpi_reply reply;

    if (ipmpi_hub_make_reply(hub, task->job, engine, ename, evalue, &reply) !=
        0)
        ipmpi_log_error("TASK-MEMORY", "out of memory; no answer to task %s",
                        task->job->msg_id);
    ipmpi_balanced_end(hub, task, engine, &reply);
    ipmpi_frames_clear(&reply.parts);
}

bool ipmpi_balanced_give_up(struct ipmpi_hub *hub, const char *why)
{
    struct ipmpi_job *job, *next;

    HASH_ITER (by_ref, hub->ledger.by_ref, job, next) {
        if (job->owner == ipmpi_balanced_owner(true) ||
            job->owner == ipmpi_balanced_owner(false)) {
            ipmpi_balanced_fail(hub, job->data, NULL, "EngineError", why);
            return true; /* others may be gone with it */
        }
    }
    return false;
}

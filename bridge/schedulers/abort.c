/* Aborts: compat 6.9 and 8. */
#include "bridge/schedulers/abort.h"

#include <utlist.h>

#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "runtime/base/error.h"

void ipmpi_abort_ask(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_ABORT,
    };
    struct ipmpi_frames refs = {0};

    job->held.withdrawn = true;
    if (ipmpi_frames_add_copy(&refs, &job->ref, sizeof(job->ref)) == 0)
        ipmpi_hub_tell_engine(hub, job->engine, &head, &refs);
}

static void abort_job(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    struct ipmpi_engine *engine = job->engine;

    if (job->state == IPMPI_JOB_SENT) {
        ipmpi_abort_ask(hub, job);
        return;
    }
    if (job->state == IPMPI_JOB_WAITING)
        ipmpi_dispatch_take_back(hub, job);
    else if (job->owner->door == IPMPI_DOOR_TASK)
        ipmpi_balanced_take_back(hub, job);
    ipmpi_dispatch_decide(hub, job, engine, NULL, NULL);
}

/* Where it is now says nothing about where it is when the client's next
 * request comes. */
static bool may_move(const struct ipmpi_job *job)
{
    return (job->flags & IPMPI_WORK_STEALABLE) && !job->held.started;
}

void ipmpi_abort(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                 const char *msg_id)
{
    struct ipmpi_job *job = ipmpi_job_by_id(&hub->ledger, msg_id);

    if (job == NULL)
        ipmpi_abort_remember(hub->aborted, msg_id);
    else if (job->engine == engine || job->engine == NULL || may_move(job))
        abort_job(hub, job);
}

void ipmpi_abort_executes(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    struct ipmpi_held *held, *next_held;
    struct ipmpi_job *job, *next;

    DL_FOREACH_SAFE (engine->sent.first, held, next_held) {
        if (ipmpi_job_of(held)->kind == IPMPI_WORK_EXECUTE)
            abort_job(hub, ipmpi_job_of(held));
    }
    DL_FOREACH_SAFE (engine->waiting, job, next) {
        if (job->kind == IPMPI_WORK_EXECUTE)
            abort_job(hub, job);
    }
}

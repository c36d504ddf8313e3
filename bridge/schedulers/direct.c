/* Direct execution: compat section 5. */
#include "bridge/schedulers/direct.h"

#include <stdio.h>
#include <string.h>

#include "bridge/hub/records.h"
#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/reckoning.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

static void relay(struct ipmpi_hub *hub, struct ipmpi_job *job,
                  struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    if (reply->parts.n > 0) {
        ipmpi_records_finished(hub, job, engine, reply);
        if (engine != NULL)
            ipmpi_engine_completed(engine, job->msg_id);
        ipmpi_hub_relay(hub, IPMPI_DOOR_MUX, job->request, engine,
                        &reply->parts);
    }
    ipmpi_job_destroy(&hub->ledger, &job);
}

/* A client that has heard that the engine is gone has failed this itself
 * (compat 4), and a reply would be its second. Others ask the database. */
static void lose(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, enum ipmpi_progress progress)
{
    struct ipmpi_reply reply;
    char text[512];

    ipmpi_reckoning_describe(job, engine, progress, text, sizeof(text));
    if (ipmpi_hub_make_reply(hub, job, engine, "EngineError", text, &reply) ==
        0)
        ipmpi_records_finished(hub, job, engine, &reply);
    if (!engine->said_gone && reply.parts.n > 0)
        ipmpi_hub_relay(hub, IPMPI_DOOR_MUX, job->request, engine,
                        &reply.parts);
    ipmpi_frames_clear(&reply.parts);
    ipmpi_job_destroy(&hub->ledger, &job);
}

static const struct ipmpi_job_owner direct = {
    .name = "mux",
    .door = IPMPI_DOOR_MUX,
    .decided = relay,
    .lost = lose,
};

/* Compat 5.6: the engine named is not there. Nothing else is sent for a type
 * that expects no reply. */
static void refuse(struct ipmpi_hub *hub, struct ipmpi_request *request,
                   struct ipmpi_job *job)
{
    const struct ipmpi_frame *ident = &request->ident;
    char text[128];

    if (job->kind == IPMPI_WORK_COMM) {
        ipmpi_job_destroy(&hub->ledger, &job);
        return;
    }
    snprintf(text, sizeof(text), "No engine %.*s: it has left, or never was",
             (int)(ident->len < 64 ? ident->len : 64),
             (const char *)ident->data);
    ipmpi_dispatch_decide(hub, job, NULL, "EngineError", text);
}

void ipmpi_direct_submit(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    const struct ipmpi_frame *ident = &request->ident;
    struct ipmpi_engine *engine =
        ipmpi_registry_by_uuid(&hub->registry, ident->data, ident->len);
    struct ipmpi_job *job;
    int err;

    if (ident->len == 0)
        return; /* compat 5.7 */
    err = ipmpi_job_create(&hub->ledger, &direct, request, NULL, NULL, &job);
    if (err != 0) {
        ipmpi_log_warn("DIRECT-REFUSED", "request %s: %s; dropped",
                       request->msg_id, ipmpi_strerror(err));
        return;
    }
    if (job->kind != IPMPI_WORK_COMM)
        ipmpi_records_submitted(hub, job, engine);
    if (engine == NULL || engine->state != IPMPI_ENGINE_LIVE)
        refuse(hub, request, job);
    else if (ipmpi_abort_recall(hub->aborted, job->msg_id))
        ipmpi_dispatch_decide(hub, job, engine, NULL, NULL);
    else
        ipmpi_dispatch(hub, engine, job);
}

/* From jobs and replies to the task database. */
#include "bridge/hub/records.h"

#include "bridge/hub/taskdb.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

/* A record may be lost for want of memory; its request goes on. */
static void complain(int err, const char *msg_id)
{
    static struct ipmpi_log_limit limit;

    if (err != 0)
        ipmpi_log_limited(&limit, IPMPI_LOG_WARN, "HUB-RECORD",
                          "record of %s: %s", msg_id, ipmpi_strerror(err));
}

void ipmpi_records_submitted(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                             const struct ipmpi_engine *engine)
{
    const struct ipmpi_request *request = job->request;
    const struct ipmpi_frames *parts = &request->parts;
    const struct ipmpi_submission submission = {
        .msg_id = job->msg_id,
        .client_uuid = request->session,
        .engine_uuid = engine != NULL ? engine->uuid : NULL,
        .queue = job->owner->name,
        .label = ipmpi_json_string(request->metadata, "label", NULL),
        .submitted_us = request->date_us,
        .header = &parts->at[IPMPI_PART_HEADER],
        .metadata = &parts->at[IPMPI_PART_METADATA],
        .content = &parts->at[IPMPI_PART_CONTENT],
        .frames = parts,
        /* a bulk job's are as large as they like, and nobody asks for them */
        .first_buffer =
            job->kind == IPMPI_WORK_BULK ? parts->n : IPMPI_PART_BUFFERS,
    };

    complain(ipmpi_taskdb_add(hub->db, &submission), job->msg_id);
}

void ipmpi_records_assigned(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                            const struct ipmpi_engine *engine)
{
    complain(ipmpi_taskdb_assign(hub->db, job->msg_id, engine->uuid),
             job->msg_id);
}

void ipmpi_records_finished(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                            const struct ipmpi_engine *engine,
                            const struct ipmpi_reply *reply)
{
    const struct ipmpi_frames *parts = &reply->parts;
    const struct ipmpi_result result = {
        .engine_uuid = engine != NULL ? engine->uuid : NULL,
        .started_us = reply->started_us,
        .completed_us = reply->completed_us,
        .header = &parts->at[1 + IPMPI_PART_HEADER],
        .metadata = &parts->at[1 + IPMPI_PART_METADATA],
        .content = &parts->at[1 + IPMPI_PART_CONTENT],
        .frames = parts,
        .first_buffer = 1 + IPMPI_PART_BUFFERS,
    };

    if (parts->n < 1 + IPMPI_PART_BUFFERS)
        return;
    complain(ipmpi_taskdb_decide(hub->db, job->msg_id, &result), job->msg_id);
}

void ipmpi_records_output(struct ipmpi_hub *hub, enum ipmpi_iopub_kind kind,
                          const struct ipmpi_frames *frames)
{
    enum { PARENT = 4, CONTENT = 6 }; /* of an IOPUB message */
    json_t *parent;

    if (kind == IPMPI_IOPUB_BUSY || kind == IPMPI_IOPUB_IDLE ||
        kind == IPMPI_IOPUB_OTHER)
        return;
    if (ipmpi_json_load(&frames->at[PARENT], &parent) != 0)
        return;
    complain(ipmpi_taskdb_output(hub->db,
                                 ipmpi_json_string(parent, "msg_id", ""), kind,
                                 &frames->at[CONTENT]),
             "output");
    json_decref(parent);
}

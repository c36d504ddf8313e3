/* Jobs and the ledger. */
#include "bridge/hub/job.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

/* The kind of work a msg_type asks for; 0 if an engine can't be asked. */
static enum ipmpi_work_kind kind_of(const char *msg_type)
{
    if (strcmp(msg_type, "apply_request") == 0)
        return IPMPI_WORK_APPLY;
    if (strcmp(msg_type, "execute_request") == 0)
        return IPMPI_WORK_EXECUTE;
    if (strcmp(msg_type, "ipmpi_bulk_request") == 0)
        return IPMPI_WORK_BULK;
    if (strncmp(msg_type, "comm_", 5) == 0 &&
        strcmp(msg_type, "comm_info_request") != 0)
        return IPMPI_WORK_COMM;
    return IPMPI_WORK_OTHER;
}

/* What a piece views is counted for the job that holds the request. */
static size_t held_bytes(const struct ipmpi_job *job)
{
    return job->body.n > 0 ? 0 : ipmpi_request_weight(job->request);
}

/* A job with an id of its own, or, NULL, the request's. NULL: no memory. */
static struct ipmpi_job *allocate(const struct ipmpi_request *request,
                                  const char *own_id)
{
    const size_t len = own_id != NULL ? strlen(own_id) + 1 : 0;
    struct ipmpi_job *job = calloc(1, sizeof(*job) + len);

    if (job == NULL)
        return NULL;
    job->msg_id =
        own_id != NULL ? memcpy(job->own_id, own_id, len) : request->msg_id;
    return job;
}

int ipmpi_job_create(struct ipmpi_ledger *ledger,
                     const struct ipmpi_job_owner *owner,
                     struct ipmpi_request *request, const char *msg_id,
                     const struct ipmpi_frame *header,
                     struct ipmpi_job **job_out)
{
    struct ipmpi_job *job;

    if (ipmpi_job_by_id(ledger, msg_id != NULL ? msg_id : request->msg_id) !=
        NULL)
        return IPMPI_EEXIST;
    job = allocate(request, msg_id);
    if (job == NULL)
        return IPMPI_ENOMEM;
    job->ref = ++ledger->last_ref;
    job->owner = owner;
    job->request = ipmpi_request_share(request);
    job->header =
        header != NULL ? *header : request->parts.at[IPMPI_PART_HEADER];
    if (job->header.owner != NULL)
        ipmpi_buffer_share(job->header.owner);
    job->kind = kind_of(request->msg_type);
    ledger->held_bytes += held_bytes(job);
    HASH_ADD(by_ref, ledger->by_ref, ref, sizeof(job->ref), job);
    HASH_ADD_KEYPTR(by_id, ledger->by_id, job->msg_id, strlen(job->msg_id),
                    job);
    *job_out = job;
    return 0;
}

struct ipmpi_job *ipmpi_job_of(struct ipmpi_held *held)
{
    if (held == NULL)
        return NULL;
    return (struct ipmpi_job *)(void *)((char *)held -
                                        offsetof(struct ipmpi_job, held));
}

int ipmpi_job_create_piece(struct ipmpi_ledger *ledger,
                           const struct ipmpi_job_owner *owner,
                           struct ipmpi_request *request, const char *msg_id,
                           struct ipmpi_frames *body,
                           struct ipmpi_job **job_out)
{
    int err = ipmpi_job_create(ledger, owner, request, msg_id, NULL, job_out);

    if (err != 0)
        return err;
    ledger->held_bytes -= held_bytes(*job_out);
    ipmpi_frames_move(&(*job_out)->body, body);
    return 0;
}

void ipmpi_job_destroy(struct ipmpi_ledger *ledger, struct ipmpi_job **job)
{
    struct ipmpi_job *j = *job;

    IPMPI_ASSERT(j->state == IPMPI_JOB_HELD && j->engine == NULL);
    HASH_DELETE(by_ref, ledger->by_ref, j);
    HASH_DELETE(by_id, ledger->by_id, j);
    ledger->held_bytes -= held_bytes(j);
    ipmpi_frames_clear(&j->body);
    ipmpi_buffer_release(&j->header.owner);
    ipmpi_buffer_release(&j->echo.owner);
    ipmpi_request_release(&j->request);
    free(j);
    *job = NULL;
}

struct ipmpi_job *ipmpi_job_by_ref(const struct ipmpi_ledger *ledger,
                                   uint64_t ref)
{
    struct ipmpi_job *found;

    HASH_FIND(by_ref, ledger->by_ref, &ref, sizeof(ref), found);
    return found;
}

struct ipmpi_job *ipmpi_job_by_id(const struct ipmpi_ledger *ledger,
                                  const char *msg_id)
{
    struct ipmpi_job *found;

    HASH_FIND(by_id, ledger->by_id, msg_id, strlen(msg_id), found);
    return found;
}

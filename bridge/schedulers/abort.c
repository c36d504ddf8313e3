/* Aborts: compat 6.9 and 8.
 *
 * Invariant: the ring and the hash of the memory hold the same ids. */
#include "bridge/schedulers/abort.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "runtime/base/error.h"

enum { MEMORY_CAP = 65536 };

struct entry {
    char *msg_id;
    UT_hash_handle hh;
};

struct ipmpi_abort_memory {
    struct entry *by_id;
};

int ipmpi_abort_memory_create(struct ipmpi_abort_memory **memory_out)
{
    struct ipmpi_abort_memory *memory = calloc(1, sizeof(*memory));

    if (memory == NULL)
        return IPMPI_ENOMEM;
    *memory_out = memory;
    return 0;
}

static void forget(struct ipmpi_abort_memory *memory, struct entry *entry)
{
    HASH_DEL(memory->by_id, entry);
    free(entry->msg_id);
    free(entry);
}

void ipmpi_abort_memory_destroy(struct ipmpi_abort_memory **memory)
{
    if (*memory == NULL)
        return;
    while ((*memory)->by_id != NULL)
        forget(*memory, (*memory)->by_id);
    free(*memory);
    *memory = NULL;
}

bool ipmpi_abort_recall(struct ipmpi_abort_memory *memory, const char *msg_id)
{
    struct entry *entry;

    HASH_FIND_STR(memory->by_id, msg_id, entry);
    if (entry == NULL)
        return false;
    forget(memory, entry);
    return true;
}

static void remember(struct ipmpi_abort_memory *memory, const char *msg_id)
{
    struct entry *entry;

    HASH_FIND_STR(memory->by_id, msg_id, entry);
    if (entry != NULL)
        return;
    if (HASH_COUNT(memory->by_id) >= MEMORY_CAP)
        forget(memory, memory->by_id); /* uthash keeps order: the oldest */
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return;
    entry->msg_id = strdup(msg_id);
    if (entry->msg_id == NULL) {
        free(entry);
        return;
    }
    HASH_ADD_KEYPTR(hh, memory->by_id, entry->msg_id, strlen(entry->msg_id),
                    entry);
}

/* Asks the engine to drop what it has not started. */
static void ask_engine(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_ABORT,
    };
    struct ipmpi_frames refs = {0};

    if (ipmpi_frames_add_copy(&refs, &job->ref, sizeof(job->ref)) == 0)
        ipmpi_hub_tell_engine(hub, job->engine, &head, &refs);
}

static void abort_job(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    struct ipmpi_engine *engine = job->engine;

    if (job->state == IPMPI_JOB_SENT) {
        ask_engine(hub, job);
        return;
    }
    if (job->state == IPMPI_JOB_WAITING)
        ipmpi_dispatch_take_back(job);
    else if (job->owner->door == IPMPI_DOOR_TASK)
        ipmpi_balanced_take_back(hub, job);
    ipmpi_dispatch_decide(hub, job, engine, NULL, NULL);
}

void ipmpi_abort(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                 const char *msg_id)
{
    struct ipmpi_job *job = ipmpi_job_by_id(&hub->ledger, msg_id);

    if (job == NULL)
        remember(hub->aborted, msg_id);
    else if (job->engine == engine || job->engine == NULL)
        abort_job(hub, job);
}

void ipmpi_abort_executes(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    struct ipmpi_job *job, *next;

    DL_FOREACH_SAFE (engine->sent, job, next) {
        if (job->kind == IPMPI_WORK_EXECUTE)
            abort_job(hub, job);
    }
    DL_FOREACH_SAFE (engine->waiting, job, next) {
        if (job->kind == IPMPI_WORK_EXECUTE)
            abort_job(hub, job);
    }
}

/* A job: one request, or one target's share of a broadcast, from its arrival
 * until it is decided. The ledger is the table of undecided jobs, by `ref`
 * (our number, what engines answer to) and by msg_id.
 *
 * Rank 0 keeps each job until its outcome is known, so at every instant it can
 * say where the job is, abort it, or give it to another engine.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_HUB_JOB_H
#define IPMPI_HUB_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "bridge/hub/outlets.h"
#include "bridge/hub/registry.h"
#include "bridge/wire/request.h"
#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"
#include "runtime/tasks/holdings.h"

struct ipmpi_cast;
struct ipmpi_gather;
struct ipmpi_hub;
struct ipmpi_job;

/* What an engine (or rank 0 in its place) said to a job. */
struct ipmpi_reply {
    enum ipmpi_status status;
    unsigned flags; /* IPMPI_REPLY_* */
    int64_t started_us, completed_us;
    /* signature, header, parent, metadata, content, buffers; no frame at all:
     * nothing is to be said to the client */
    struct ipmpi_frames parts;
};

/* How far a job had come at an engine that is gone. */
enum ipmpi_progress {
    IPMPI_NOT_BEGUN, /* as if never sent */
    IPMPI_BEGUN,
    IPMPI_ENDED, /* run to its end, but its reply is lost */
};

/* The scheduler that a job belongs to. Both calls take the job over; it is
 * detached from every engine. */
struct ipmpi_job_owner {
    const char *name; /* as the task database calls the queue, or NULL */
    enum ipmpi_door door;
    /* The job has its outcome. The reply is lent, its parts may be moved. */
    void (*decided)(struct ipmpi_hub *hub, struct ipmpi_job *job,
                    struct ipmpi_engine *engine, struct ipmpi_reply *reply);
    /* A part of its outcome has come; the job stays where it is. NULL: it has
     * none. The reply is lent, its parts may be moved. */
    void (*part)(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, struct ipmpi_reply *reply);
    /* The engine that had it is gone; engine->end says how. */
    void (*lost)(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, enum ipmpi_progress progress);
};

enum ipmpi_job_state {
    IPMPI_JOB_HELD,    /* with its scheduler */
    IPMPI_JOB_WAITING, /* in an engine's queue on rank 0 */
    IPMPI_JOB_SENT,    /* at the engine */
};

struct ipmpi_job {
    uint64_t ref;
    const struct ipmpi_job_owner *owner;
    struct ipmpi_request *request; /* one share */
    const char *msg_id;            /* the request's, or own_id */
    struct ipmpi_frame header;     /* as the engine shall see it; shares */
    struct ipmpi_frame echo;       /* shares; data NULL: it is made of the
                                    * request when the job is sent */
    struct ipmpi_frames body;      /* a piece's content and buffers; none: the
                                    * request's */
    enum ipmpi_work_kind kind;
    unsigned flags; /* IPMPI_WORK_* */
    enum ipmpi_job_state state;
    bool ahead;             /* sent before its engine needs it */
    struct ipmpi_held held; /* while SENT; withdrawn: the engine was
                             * asked to drop it */
    int64_t started_us;     /* when its start was heard, by the hub's clock */
    struct ipmpi_engine *engine; /* unless HELD */
    uint64_t step; /* of a piece that its engine had begun as it died: the
                    * items before this one had; UINT64_MAX: not known */
    void *data;    /* the owner's */
    struct ipmpi_cast *cast;     /* brings its body; NULL: none does */
    struct ipmpi_gather *gather; /* brings its reply; NULL: none does */
    size_t member;               /* of the two */
    struct ipmpi_job *prev, *next;
    UT_hash_handle by_ref, by_id;
    char own_id[]; /* a broadcast's share has one */
};

struct ipmpi_ledger {
    struct ipmpi_job *by_ref, *by_id;
    uint64_t last_ref;
    size_t held_bytes; /* the weight of the requests of undecided jobs */
};

/* Makes a HELD job. Takes one share of the request. msg_id NULL: the
 * request's; header NULL: the request's, else it is shared. IPMPI_ENOMEM;
 * IPMPI_EEXIST: an undecided job has this msg_id. */
int ipmpi_job_create(struct ipmpi_ledger *ledger,
                     const struct ipmpi_job_owner *owner,
                     struct ipmpi_request *request, const char *msg_id,
                     const struct ipmpi_frame *header,
                     struct ipmpi_job **job_out);

/* The job that an engine holds; NULL for NULL. */
struct ipmpi_job *ipmpi_job_of(struct ipmpi_held *held);

/* The same for a piece of a request that another job holds: the engine gets
 * this body in place of the request's content and buffers. The body moves to
 * the job; on failure it is still the caller's. */
int ipmpi_job_create_piece(struct ipmpi_ledger *ledger,
                           const struct ipmpi_job_owner *owner,
                           struct ipmpi_request *request, const char *msg_id,
                           struct ipmpi_frames *body,
                           struct ipmpi_job **job_out);

/* Forgets and frees a HELD job. */
void ipmpi_job_destroy(struct ipmpi_ledger *ledger, struct ipmpi_job **job);

struct ipmpi_job *ipmpi_job_by_ref(const struct ipmpi_ledger *ledger,
                                   uint64_t ref);
struct ipmpi_job *ipmpi_job_by_id(const struct ipmpi_ledger *ledger,
                                  const char *msg_id);

#endif

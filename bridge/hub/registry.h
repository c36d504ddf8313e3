/* The engines: who is there, under which id, uuid and rank. Ids count from 0
 * and are never used twice.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_HUB_REGISTRY_H
#define IPMPI_HUB_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "runtime/base/frames.h"
#include "runtime/base/segment.h"
#include "runtime/tasks/holdings.h"

struct ipmpi_job;

#define IPMPI_HOST_CAP 64
#define IPMPI_UUID_LEN 33 /* 8 hex, -, 24 hex */

/* How many finished msg_ids an engine's entry remembers for queue_status. */
#define IPMPI_RECENT_CAP 1024

enum ipmpi_engine_state {
    IPMPI_ENGINE_JOINING, /* welcomed, not ready */
    IPMPI_ENGINE_LIVE,
    IPMPI_ENGINE_LEAVING, /* told to stop; takes no more work */
    IPMPI_ENGINE_GONE,    /* nobody may find it any more */
};

struct ipmpi_engine {
    int id;
    int rank;
    int pid;
    enum ipmpi_engine_state state;
    char uuid[IPMPI_UUID_LEN + 1];
    struct ipmpi_frame name; /* the same, for messages to share */
    char host[IPMPI_HOST_CAP];
    char node[IPMPI_NODE_LEN + 1]; /* the same: they can share memory */
    char python[16];
    char end[192];       /* a clause: how it ended; empty while it lives */
    int64_t announce_us; /* when clients hear of it again; 0: no more */
    bool said_gone;      /* clients have heard that it is gone */
    /* Work of this engine on rank 0 (schedulers/dispatch.c): waiting here in
     * order of arrival, and sent but not answered. */
    struct ipmpi_job *waiting;
    struct ipmpi_holder sent;
    size_t nwaiting, nsent; /* nsent: without control and what is ahead */
    /* Thefts (schedulers/thefts.c). */
    int world;                  /* number of the first rank of its world */
    size_t nstealable;          /* sent, not begun, and any engine may run it */
    bool hinted;                /* it searches by itself when it runs dry */
    bool emptied;               /* had nothing to give when it was asked last */
    struct ipmpi_engine *giver; /* who was told to give it something */
    struct ipmpi_engine *takers; /* whom it was told to give something */
    struct ipmpi_engine *taker_prev, *taker_next;
    int64_t order_due_us; /* so long that is waited for */
    struct ipmpi_engine *order_prev, *order_next;
    int giver_level; /* schedulers/givers.h */
    struct ipmpi_engine *giver_prev, *giver_next;
    int32_t naborts; /* its replies that aborted queued cells */
    /* For queue_status: undecided jobs, and what was completed here. */
    size_t nmux, ntasks;
    uint64_t ncompleted;
    int64_t rss;     /* bytes, as it last said when asked */
    uint64_t survey; /* by which survey; 0: never */
    char **recent;   /* msg_ids: at IPMPI_RECENT_CAP newest overwrites oldest */
    size_t nrecent;  /* as many as have been in use */
    void *task_slot; /* the balanced scheduler's own data */
    UT_hash_handle by_id, by_uuid, by_rank;
};

struct ipmpi_registry {
    struct ipmpi_engine *by_id, *by_uuid, *by_rank; /* by_id: ascending */
    int next_id;
    size_t nlive;
};

/* Adds an engine in state JOINING with a fresh uuid. The registry owns it.
 * id -1: the next free one; else it must not have been used. IPMPI_ENOMEM,
 * IPMPI_EEXIST. */
int ipmpi_registry_add(struct ipmpi_registry *registry, int rank, int id,
                       struct ipmpi_engine **engine_out);

/* JOINING to LIVE. */
void ipmpi_registry_ready(struct ipmpi_registry *registry,
                          struct ipmpi_engine *engine);

/* To GONE: only its rank finds it from now on. */
void ipmpi_registry_gone(struct ipmpi_registry *registry,
                         struct ipmpi_engine *engine);

/* Forgets the engine and frees it; its job lists must be empty. */
void ipmpi_registry_remove(struct ipmpi_registry *registry,
                           struct ipmpi_engine **engine);
/* Forgets all, whatever they had to do. */
void ipmpi_registry_clear(struct ipmpi_registry *registry);

/* Whether clients may know of it: LIVE or LEAVING. */
bool ipmpi_engine_is_known(const struct ipmpi_engine *engine);

/* NULL if there is none. The first finds engines of every state. */
struct ipmpi_engine *
ipmpi_registry_by_rank(const struct ipmpi_registry *registry, int rank);
struct ipmpi_engine *ipmpi_registry_by_id(const struct ipmpi_registry *registry,
                                          int id);
struct ipmpi_engine *
ipmpi_registry_by_uuid(const struct ipmpi_registry *registry, const void *uuid,
                       size_t len);

/* Whether an engine had this id once and is gone. */
bool ipmpi_registry_had(const struct ipmpi_registry *registry, int id);

/* Notes a msg_id as completed by this engine (copied). */
void ipmpi_engine_completed(struct ipmpi_engine *engine, const char *msg_id);

#endif

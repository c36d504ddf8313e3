/* The hub: the controller's shared state, and the ways in which it speaks to
 * clients and engines. Schedulers and request handlers work on it.
 *
 * Threads: rank 0's loop only. Nothing here blocks. */
#ifndef IPMPI_HUB_HUB_H
#define IPMPI_HUB_HUB_H

#include <jansson.h>

#include "bridge/hub/job.h"
#include "bridge/hub/outlets.h"
#include "bridge/hub/registry.h"
#include "bridge/wire/request.h"
#include "runtime/message/compose.h"

struct ipmpi_taskdb;
struct ipmpi_balanced;
struct ipmpi_abort_memory;
struct ipmpi_cast;
struct ipmpi_gather;
struct ipmpi_farewell;
struct ipmpi_bulk;
struct ipmpi_gang;
struct ipmpi_dask;
struct ipmpi_spawn;
struct ipmpi_survey;

enum { IPMPI_GIVER_LEVELS = 32 };

/* How far balanced tasks may go ahead of need, and what became of them. */
struct ipmpi_sharing {
    bool steal;        /* engines steal from each other */
    size_t prefetch;   /* tasks ahead of need for each engine; 0: none */
    size_t nahead;     /* tasks ahead, now */
    size_t nstealable; /* sent, not begun, and any engine may run it; now */
    struct ipmpi_engine *givers[IPMPI_GIVER_LEVELS]; /* schedulers/givers.h */
    struct ipmpi_engine *orders; /* thefts.c: thieves, the oldest order first */
    uint64_t nthefts, nstolen, nrefused, nmissing, nreturned;
};

struct ipmpi_hub {
    struct ipmpi_outlets out;
    struct ipmpi_composer *composer; /* lent */
    const struct ipmpi_key *key;     /* lent */
    char session[64];                /* of messages made here */
    uint64_t nresubmitted;
    struct ipmpi_taskdb *db; /* lent */
    struct ipmpi_registry registry;
    int64_t announce_us; /* the earliest of the engines'; 0: none */
    struct ipmpi_farewell *farewells; /* that wait, the next one first */
    struct ipmpi_ledger ledger;
    struct ipmpi_sharing sharing;
    struct ipmpi_balanced *balanced; /* its own room knows what is inside */
    struct ipmpi_cast *casts;        /* under way */
    uint64_t last_cast;
    struct ipmpi_gather *gathers;    /* by trees, the next one due first */
    uint64_t last_gather;
    struct ipmpi_gang *gangs; /* those that wait, the oldest first */
    struct ipmpi_bulk *bulks; /* those begun, the next to be served first */
    struct ipmpi_abort_memory *aborted;
    struct ipmpi_dask *dask;
    struct ipmpi_spawn *spawn;
    struct ipmpi_survey *survey;
    bool shutdown_asked;
    bool shutdown_announced; /* clients know that the cluster ends */
    bool held_back;          /* clients do not read: no work, no results */
};

/* Replies to a request at the door it came by. `metadata` and `content` are
 * lent (NULL: {}); `buffers` may be NULL and is cleared. Failure to make a
 * reply is logged; there is nothing a caller could do. */
void ipmpi_hub_reply(struct ipmpi_hub *hub, enum ipmpi_door door,
                     const struct ipmpi_request *request, const char *msg_type,
                     json_t *metadata, json_t *content,
                     struct ipmpi_frames *buffers);

/* The same with content that is JSON text already (lent). */
void ipmpi_hub_reply_frame(struct ipmpi_hub *hub, enum ipmpi_door door,
                           const struct ipmpi_request *request,
                           const char *msg_type,
                           const struct ipmpi_frame *content,
                           struct ipmpi_frames *buffers);

/* Replies with {"status":"error","ename":...}: compat 3.1. */
void ipmpi_hub_reply_error(struct ipmpi_hub *hub, enum ipmpi_door door,
                           const struct ipmpi_request *request,
                           const char *msg_type, const char *ename,
                           const char *evalue);

/* Relays what an engine said (parts are moved away) to the client of
 * `request`, with the engine's uuid before the delimiter if there is one. */
void ipmpi_hub_relay(struct ipmpi_hub *hub, enum ipmpi_door door,
                     const struct ipmpi_request *request,
                     const struct ipmpi_engine *engine,
                     struct ipmpi_frames *parts);

/* Publishes on the notification door; `parent` may be NULL. */
void ipmpi_hub_notify(struct ipmpi_hub *hub, const char *msg_type,
                      const struct ipmpi_frame *parent, json_t *content);
void ipmpi_hub_notify_registration(struct ipmpi_hub *hub,
                                   const struct ipmpi_engine *engine);
void ipmpi_hub_notify_unregistration(struct ipmpi_hub *hub, int id,
                                     const char *uuid);

/* Publishes that a request is done with: all its output has been published.
 * For work that has no IDLE of its own. */
void ipmpi_hub_tell_idle(struct ipmpi_hub *hub,
                         const struct ipmpi_frame *parent);

/* Sends a message of protocol.h; `more` (given, may be NULL) are the frames
 * after the head. */
void ipmpi_hub_tell_engine(struct ipmpi_hub *hub,
                           const struct ipmpi_engine *engine,
                           const struct ipmpi_msg_head *head,
                           struct ipmpi_frames *more);

/* Makes a reply to a job in the engine's place: an error when ename is given,
 * else `{"status":"aborted"}`. The parts must be cleared or moved. engine may
 * be NULL. IPMPI_ENOMEM. */
int ipmpi_hub_make_reply(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                         const struct ipmpi_engine *engine, const char *ename,
                         const char *evalue, struct ipmpi_reply *reply_out);

/* The members of the reply's metadata that the request determines, as JSON
 * text without braces (protocol.h, WORK). Appends one frame. IPMPI_ENOMEM. */
int ipmpi_hub_add_echo(const struct ipmpi_request *request,
                       struct ipmpi_frames *out);

#endif

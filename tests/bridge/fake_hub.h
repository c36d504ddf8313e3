/* A hub between a fake client and fake engines: what it sends is kept in lists
 * that a test reads, and the clock stands until it is stepped. */
#ifndef IPMPI_TESTS_BRIDGE_FAKE_HUB_H
#define IPMPI_TESTS_BRIDGE_FAKE_HUB_H

#include "bridge/hub/hub.h"
#include "tests/check.h"

struct fake_sent {
    int where; /* enum ipmpi_door, or the rank */
    struct ipmpi_frames frames;
    struct fake_sent *prev, *next;
};

struct fake_hub {
    struct ipmpi_hub hub;
    struct ipmpi_key *key;
    struct fake_sent *to_clients, *to_ranks; /* oldest first */
    int64_t now_us;
    int nrequests;
};

/* hwm: as of the task scheduler. */
struct fake_hub *fake_hub_open(size_t hwm);
void fake_hub_close(struct fake_hub *fake);

/* An engine (rank = id + 1) joins and is ready. */
struct ipmpi_engine *fake_engine(struct fake_hub *fake);

/* The engine dies, and nobody can tell what it had begun. */
void fake_engine_dies(struct fake_hub *fake, int id);

/* The same, and its nanny tells what it had begun; refs may be NULL. */
void fake_engine_killed(struct fake_hub *fake, int id, uint64_t n,
                        const uint64_t *refs);

/* The number of an undecided job. */
uint64_t fake_ref(struct fake_hub *fake, const char *msg_id);

/* A request of this msg_id; the caller owns one share. metadata and content
 * NULL: {}. ident NULL: none. */
struct ipmpi_request *fake_request(struct fake_hub *fake, const char *msg_type,
                                   const char *msg_id, const char *ident,
                                   const char *metadata, const char *content);

/* Submits a task and releases the request. */
void fake_task(struct fake_hub *fake, const char *msg_id, const char *metadata);

/* The engine that has this task in flight, or -1. */
int fake_where(struct fake_hub *fake, const char *msg_id);

/* The engine that has this job answers. */
void fake_reply(struct fake_hub *fake, const char *msg_id,
                enum ipmpi_status status);

/* The next message to a client: takes it out and tells door, msg_type,
 * parent's msg_id and status ("ok", an ename, "aborted", "" if it has none) as
 * "task apply_reply a_1 ok"; "" if there is none. */
const char *fake_answer(struct fake_hub *fake);

/* The type of the next message to a rank, taken out; 0 if there is none. */
int fake_told(struct fake_hub *fake, int *rank_out, uint64_t *ref_out);

#endif

/* More engines for a living cluster: ipmpi_spawn_request, a request of our
 * own.
 *
 *   content  {"n": int, "environment": {name: value} or null,
 *             "args": [string], more options of ipmpi-engine for them,
 *             "host": "NAME:SLOTS", a node to add to the job for them}
 *   reply    ipmpi_spawn_reply {"status": "ok", "engine_ids": [int],
 *            "first_rank": int} when all of them are ready, or an error
 * (RuntimeError) when one is not
 *
 * Orders are carried out one after the other. Who starts the processes is the
 * creator's business; here is what becomes of an order.
 *
 * Threads: rank 0's loop only. Nothing here blocks. */
#ifndef IPMPI_REQUESTS_SPAWN_H
#define IPMPI_REQUESTS_SPAWN_H

#include "bridge/hub/hub.h"

#define IPMPI_SPAWN_MAX 4096 /* engines in one order */

struct ipmpi_spawn; /* opaque */

/* What is ordered; all lent. */
struct ipmpi_spawn_plan {
    int n;
    const json_t *environment; /* names and strings for them, or NULL */
    const json_t *args;        /* strings, more options for them, or NULL */
    const char *host;          /* a node to add, or NULL */
};

/* Begins to start engines. Their ranks will be first .. first + n - 1.
 * IPMPI_ESTATE: srun has started the job, and adds nothing to it; and
 * others. */
typedef int ipmpi_spawn_start_fn(void *ctx, const struct ipmpi_spawn_plan *plan,
                                 int *first_out);

/* IPMPI_ENOMEM. */
int ipmpi_spawn_create(ipmpi_spawn_start_fn *start, void *ctx,
                       struct ipmpi_spawn **spawn_out);
/* Orders that are open are forgotten. NULL is fine. */
void ipmpi_spawn_destroy(struct ipmpi_spawn **spawn);

/* An order of rank 0's own; nobody is answered. IPMPI_ENOMEM. */
int ipmpi_spawn_order(struct ipmpi_hub *hub, int n);

/* The start that began with rank `first` has ended: the engines are in the
 * registry, or (`why`: a clause) will not come. */
void ipmpi_spawn_started(struct ipmpi_hub *hub, int first, const char *why);

/* The process of this rank has ended (`why`: a clause). */
void ipmpi_spawn_lost(struct ipmpi_hub *hub, int rank, const char *why);

/* When ipmpi_spawn_turn has to be called at the latest; INT64_MAX: never. */
int64_t ipmpi_spawn_deadline_us(const struct ipmpi_spawn *spawn);

/* Begins, answers and gives up what is due. */
void ipmpi_spawn_turn(struct ipmpi_hub *hub);

#endif

/* Gathers: the replies of coalescing broadcasts, which come to rank 0 by trees
 * of engines (protocol.h, note [gathers]). The shares themselves are jobs as
 * all others; a gather only tells each engine its place, takes apart what the
 * trees bring, and gives a tree up when it does not bring it.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_GATHERS_H
#define IPMPI_SCHEDULERS_GATHERS_H

#include "bridge/hub/hub.h"

struct ipmpi_gather; /* opaque */

/* A gather of the replies of `n` shares; engine[i] (lent, as the array) will
 * run share i; NULL: nobody will. NULL: there are too few of one world, or
 * there is no memory; then each reply comes by itself. */
struct ipmpi_gather *ipmpi_gather_create(struct ipmpi_hub *hub,
                                         struct ipmpi_engine *const *engine,
                                         size_t n);

/* Frees it, when no job is its share any more. NULL is fine. */
void ipmpi_gather_destroy(struct ipmpi_hub *hub, struct ipmpi_gather **gather);

/* Makes the job its share number `i`, before it is dispatched, if that share
 * has a place in a tree. */
void ipmpi_gather_enter(struct ipmpi_gather *gather, size_t i,
                        struct ipmpi_job *job);

/* Appends the last frame of the job's WORK. IPMPI_ENOMEM. */
int ipmpi_gather_add_leg(const struct ipmpi_job *job,
                         const struct ipmpi_engine *engine,
                         struct ipmpi_frames *out);

/* The job is decided, or lost. */
void ipmpi_gather_leave(struct ipmpi_job *job);

/* Handler of GATHERED. */
void ipmpi_gathers_take(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                        const struct ipmpi_msg_head *head,
                        struct ipmpi_frames *frames);

/* The engine of this id is gone, and so is what it may have held. */
void ipmpi_gathers_engine_gone(struct ipmpi_hub *hub, int id);

/* When the next gather will have lasted long enough (monotonic, us), or
 * INT64_MAX; and what to do then: what is open comes straight. */
int64_t ipmpi_gathers_deadline_us(const struct ipmpi_hub *hub);
void ipmpi_gathers_fire_timers(struct ipmpi_hub *hub);

#endif

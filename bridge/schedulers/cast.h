/* Casts: the bodies of large broadcasts, sent to the engines by trees instead
 * of one by one (protocol.h, note [parcels]). The shares themselves are jobs
 * as all others; a cast only sees to it that each engine whose work refers to
 * the body gets it, whoever dies on the way.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_CAST_H
#define IPMPI_SCHEDULERS_CAST_H

#include "bridge/hub/hub.h"

struct ipmpi_cast; /* opaque */

/* A cast for `n` shares of a request (shared). NULL: the body is too small, or
 * there is no memory; then it goes with each share. */
struct ipmpi_cast *ipmpi_cast_create(struct ipmpi_hub *hub,
                                     struct ipmpi_request *request, size_t n);

/* Frees it; engines that keep the body for others forget it. NULL is fine. */
void ipmpi_cast_destroy(struct ipmpi_hub *hub, struct ipmpi_cast **cast);

/* Makes the job its share number `i`, before it is dispatched. */
void ipmpi_cast_enter(struct ipmpi_cast *cast, size_t i, struct ipmpi_job *job);

/* The job's work is about to be sent to the engine: whether the engine gets
 * the body by this cast (then *number_out is the parcel's). */
bool ipmpi_cast_serve(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                      const struct ipmpi_engine *engine, uint64_t *number_out);

/* All shares have been dispatched: sends the body to those that were served,
 * in one tree a world. */
void ipmpi_cast_launch(struct ipmpi_hub *hub, struct ipmpi_cast *cast);

/* The job is decided, or lost: it is no share any more. `had`: its engine has
 * had the body. */
void ipmpi_cast_leave(struct ipmpi_job *job, bool had);

/* Handler of LACKS. */
void ipmpi_cast_lacks(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                      const struct ipmpi_msg_head *head,
                      struct ipmpi_frames *frames);

/* An engine is gone, before its jobs are lost: tells the others of its world,
 * and sends what they may have expected of it. */
void ipmpi_casts_engine_gone(struct ipmpi_hub *hub,
                             const struct ipmpi_engine *engine);

#endif

/* Gangs: a task of the task door that several engines run together, with a
 * communicator of their own (metadata "ipmpi_mpi": how many engines).
 *
 * The oldest gang keeps engines for itself as they become free, until it has
 * as many as it needs, all of one world. It does not keep them for ever from
 * tasks that could run: after 5 s it lets go of them for 1 s, and keeps them
 * twice as long the next time, so that long tasks do not keep it waiting for
 * ever either. An engine that has just been in a gang does something else
 * first, if anything waits.
 *
 * Each engine gets a share (WORK of kind MPI): content {"engines": ids in the
 * order of ranks, "number": of this gang}, buffers as in the request. The
 * client gets one reply, with the results of all in the order of ranks, or with
 * the first failure, as soon as that is known; the others are told why
 * (CANCEL), and their answers are nobody's.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_GANG_H
#define IPMPI_SCHEDULERS_GANG_H

#include <stdbool.h>

#include "bridge/hub/hub.h"
#include "bridge/schedulers/slots.h"
#include "bridge/schedulers/task.h"

struct ipmpi_gang; /* opaque */

/* Whether a request asks for a gang. */
bool ipmpi_gang_is_asked(const struct ipmpi_request *request);

/* Hangs the gang into the task. IPMPI_EJSON: "ipmpi_mpi" is no number from 1
 * on. IPMPI_ENOMEM. */
int ipmpi_gang_create(struct ipmpi_task *task);

/* Forgets one that is not begun; NULL is fine. */
void ipmpi_gang_destroy(struct ipmpi_gang **gang);

/* From now on it waits for engines. NULL, or why it never can have them. */
const char *ipmpi_gang_begin(struct ipmpi_hub *hub,
                             const struct ipmpi_slots *slots,
                             struct ipmpi_gang *gang);

/* Its client takes it back. False: it has not begun; the caller decides it. */
bool ipmpi_gang_abort(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                      struct ipmpi_gang *gang);

/* Keeps free engines for the oldest gang, and starts it when it has all.
 * `others_wait`: tasks or bulk jobs may want those that have just been in
 * one. */
void ipmpi_gang_feed(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                     bool others_wait);

/* An engine goes: before its slot does, and after. */
void ipmpi_gang_engine_goes(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                            const struct ipmpi_engine *engine);
void ipmpi_gang_engine_gone(struct ipmpi_hub *hub, struct ipmpi_slots *slots);

/* When ipmpi_gang_feed is to be called again whatever happens (monotonic, us),
 * or INT64_MAX. */
int64_t ipmpi_gang_deadline_us(const struct ipmpi_hub *hub);

/* Forgets all that wait, at the end. */
void ipmpi_gang_close(struct ipmpi_hub *hub);

#endif

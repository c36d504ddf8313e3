/* Aborts: ids that a client took back before their requests came, and the
 * search for those that are here.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_ABORT_H
#define IPMPI_SCHEDULERS_ABORT_H

#include <stdbool.h>

#include "bridge/hub/hub.h"

struct ipmpi_abort_memory; /* the last 65536 ids that were aborted unseen */

int ipmpi_abort_memory_create(struct ipmpi_abort_memory **memory_out);
void ipmpi_abort_memory_destroy(struct ipmpi_abort_memory **memory);

/* Whether this id was aborted before it came; forgets it then. */
bool ipmpi_abort_recall(struct ipmpi_abort_memory *memory, const char *msg_id);

/* Aborts one id at the request of somebody who addressed `engine`: not here
 * yet (remembered), with its scheduler, in the engine's queue, or sent there
 * (the engine is asked; what runs goes on). Work of another engine is not
 * meant. Each is answered exactly once. */
void ipmpi_abort(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                 const char *msg_id);

/* Aborts the execute_requests queued for an engine (an abort_request without
 * ids). */
void ipmpi_abort_executes(struct ipmpi_hub *hub, struct ipmpi_engine *engine);

#endif

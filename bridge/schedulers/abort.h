/* Aborts: the search for what a client takes back, wherever it is.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_ABORT_H
#define IPMPI_SCHEDULERS_ABORT_H

#include <stdbool.h>

#include "bridge/hub/hub.h"

/* Aborts one id at the request of somebody who addressed `engine`: not here
 * yet (remembered), with its scheduler, in the engine's queue, or sent there
 * (the engine is asked; what runs goes on). Work of another engine is not
 * meant, but for tasks that move between engines. Each is answered exactly
 * once. */
void ipmpi_abort(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                 const char *msg_id);

/* Asks the engine that has a SENT job to drop it, unless it has begun it. */
void ipmpi_abort_ask(struct ipmpi_hub *hub, struct ipmpi_job *job);

/* Aborts the execute_requests queued for an engine (an abort_request without
 * ids). */
void ipmpi_abort_executes(struct ipmpi_hub *hub, struct ipmpi_engine *engine);

#endif

/* The direct scheduler (mux): work for one named engine, in order.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_DIRECT_H
#define IPMPI_SCHEDULERS_DIRECT_H

#include "bridge/hub/hub.h"

/* Takes a request of the mux door (lent). An unknown engine is answered with
 * an EngineError. */
void ipmpi_direct_submit(struct ipmpi_hub *hub, struct ipmpi_request *request);

#endif

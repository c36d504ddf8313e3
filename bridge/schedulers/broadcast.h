/* The broadcast scheduler: one request for many engines. Compat section 7.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_BROADCAST_H
#define IPMPI_SCHEDULERS_BROADCAST_H

#include "bridge/hub/hub.h"

/* Takes a request of the broadcast door (lent). */
void ipmpi_broadcast_submit(struct ipmpi_hub *hub,
                            struct ipmpi_request *request);

#endif

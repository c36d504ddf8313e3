/* The control channel: compat section 8. Signals, aborts and shutdowns are
 * answered by rank 0, so that a busy engine cannot hold them up; what needs
 * the interpreter goes to the engine's control thread.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_CONTROL_H
#define IPMPI_SCHEDULERS_CONTROL_H

#include "bridge/hub/hub.h"

/* Takes a request of the control door (lent). */
void ipmpi_control_submit(struct ipmpi_hub *hub, struct ipmpi_request *request);

/* Tells an engine to leave; no more work goes there. */
void ipmpi_control_shut_down(struct ipmpi_hub *hub,
                             struct ipmpi_engine *engine);

#endif

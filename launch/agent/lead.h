/* What only the leader does: it runs mpirun.
 *
 * Threads: the agent's loop. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_LEAD_H
#define IPMPI_LAUNCH_AGENT_LEAD_H

#include "launch/agent/agent.h"

/* Starts the committed job. IPMPI_ENOMEM, IPMPI_EIO, IPMPI_ESYS: it did not
 * start. */
int ipmpi_agent_lead(struct agent *agent);

#endif

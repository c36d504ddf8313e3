/* A node that the job has lost.
 *
 * Threads: the agent's loop. A child does what may wait. */
#ifndef IPMPI_LAUNCH_AGENT_LOSS_H
#define IPMPI_LAUNCH_AGENT_LOSS_H

#include "launch/agent/agent.h"

/* Tells rank 0 that the ranks of a lost node are dead. */
void ipmpi_agent_mourn(struct agent *agent, const char *node);

#endif

/* Starting mpirun or a daemon.
 *
 * Threads: the agent's loop. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_CHILD_H
#define IPMPI_LAUNCH_AGENT_CHILD_H

#include "launch/agent/agent.h"

/* Starts argv in a session of its own. The caller has the process, and owns
 * the reading ends of its stdout and stderr, which do not block. IPMPI_ESYS. */
int ipmpi_agent_spawn(const struct agent *agent, char *const argv[],
                      pid_t *pid_out, int out_fds[2]);

#endif

/* What mpirun or the daemon prints: to our own output, to launchers, to rsh.
 *
 * Threads: the agent's loop. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_OUTPUT_H
#define IPMPI_LAUNCH_AGENT_OUTPUT_H

#include "launch/agent/agent.h"

/* Reads the work's stdout (0) or stderr (1). */
void ipmpi_agent_output(struct agent *agent, int which);

/* Reads what is left of both and closes them. */
void ipmpi_agent_output_close(struct agent *agent);

#endif

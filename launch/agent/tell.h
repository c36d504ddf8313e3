/* Words to those who are connected.
 *
 * Threads: the agent's loop. Nothing blocks: what cannot leave waits. */
#ifndef IPMPI_LAUNCH_AGENT_TELL_H
#define IPMPI_LAUNCH_AGENT_TELL_H

#include "launch/agent/agent.h"

/* Sends JSON (given: it is released) to one peer, or to all launchers. */
void ipmpi_agent_send(struct ipmpi_peer *peer, uint8_t type, json_t *body);
void ipmpi_agent_tell(struct agent *agent, uint8_t type, json_t *body);

/* The same for bytes of the work's output. */
void ipmpi_agent_tell_output(struct agent *agent, const void *data, size_t len);

/* The rsh that brought the daemon; NULL if it is gone. */
struct ipmpi_peer *ipmpi_agent_rsh(struct agent *agent);

#endif

/* Connections, from the first byte of a stranger to the last of a peer.
 *
 * Threads: the agent's loop. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_PEERS_H
#define IPMPI_LAUNCH_AGENT_PEERS_H

#include "launch/agent/agent.h"

/* Takes all that wait on listen_fd. */
void ipmpi_agent_accept(struct agent *agent);

/* One turn of a connection: what came, what can leave, is it alive? The place
 * may be free afterwards. */
void ipmpi_agent_serve(struct agent *agent, struct agent_peer *place);

/* Does somebody not take what we have for them? */
bool ipmpi_agent_crowded(const struct agent *agent);

#endif

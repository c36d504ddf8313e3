/* Which generation of the job this node is prepared for, committed to, or
 * fenced against.
 *
 * Threads: the agent's loop. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_GENERATION_H
#define IPMPI_LAUNCH_AGENT_GENERATION_H

#include "launch/agent/agent.h"

/* A record of one who has proved itself. */
void ipmpi_agent_generation_record(struct agent *agent, struct agent_peer *from,
                                   const struct ipmpi_record *record);
/* A connection is gone: it may have been waiting for our READY. */
void ipmpi_agent_generation_left(struct agent *agent, struct ipmpi_peer *peer);
/* Answers PREPARE once the past is gone; deadlines. Returns when to call
 * again. */
int64_t ipmpi_agent_generation_tick(struct agent *agent);

#endif

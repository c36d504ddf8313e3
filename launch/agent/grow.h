/* A node more for the job that this agent leads.
 *
 * Threads: the agent's loop. A child does what waits. */
#ifndef IPMPI_LAUNCH_AGENT_GROW_H
#define IPMPI_LAUNCH_AGENT_GROW_H

#include "launch/agent/agent.h"

/* GROW of a launcher: the node joins the table, and rank 0 is asked to start
 * engines there. Launchers hear how it went. */
void ipmpi_agent_grow(struct agent *agent, json_t *body);

/* The child's word, "NODE FIRST COUNT" or "NODE -1 WHY". */
void ipmpi_agent_grown(struct agent *agent, const char *text);

#endif

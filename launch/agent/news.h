/* What the job's processes on this node say, and who is to know it.
 *
 * Threads: the agent's loop. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_NEWS_H
#define IPMPI_LAUNCH_AGENT_NEWS_H

#include "launch/agent/agent.h"

/* A word from rsh or rank 0 on this node: "rank0 PID", "lost NODE WHY". */
void ipmpi_agent_news_local(struct agent *agent, const char *text);
/* Rank 0 has written a connection file: launchers get it without its key,
 * which they derive themselves. */
void ipmpi_agent_news_file(struct agent *agent, const char *name);
/* What a launcher that comes late has missed. */
void ipmpi_agent_news_again(struct agent *agent, struct ipmpi_peer *launcher);

#endif

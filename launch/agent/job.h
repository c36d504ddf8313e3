/* The job's processes on this node, from their start to their end.
 *
 * Threads: the agent's loop. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_JOB_H
#define IPMPI_LAUNCH_AGENT_JOB_H

#include "launch/agent/agent.h"

void ipmpi_agent_job_init(struct agent *agent);

/* Starts argv as the generation's work. IPMPI_ESYS. */
int ipmpi_agent_job_start(struct agent *agent, enum agent_work work,
                          char *const argv[]);
/* Begins to end all work. */
void ipmpi_agent_job_stop(struct agent *agent, int64_t grace_us,
                          const char *why);
/* The leader's work has ended, or could not begin: tells the launchers, and
 * keeps it for those who come later. */
void ipmpi_agent_job_end(struct agent *agent, int status);
/* Nothing runs and nothing is being ended. */
bool ipmpi_agent_job_idle(const struct agent *agent);

/* rsh is gone, before or after its daemon: the daemon has to go. */
void ipmpi_agent_job_rsh_lost(struct agent *agent);
void ipmpi_agent_job_reaped(struct agent *agent, pid_t pid, int status);
/* Deadlines; returns when to call again. */
int64_t ipmpi_agent_job_tick(struct agent *agent);

#endif

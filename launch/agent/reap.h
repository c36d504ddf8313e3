/* Children and grandchildren. The agent is process 1 of its container, or
 * declares itself the one that orphans fall to; either way every process
 * that it started, at any remove, is its descendant.
 *
 * Threads: one. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_REAP_H
#define IPMPI_LAUNCH_AGENT_REAP_H

#include <sys/types.h>

/* Makes orphaned grandchildren ours. IPMPI_ESYS. */
int ipmpi_reap_adopt(void);

/* Takes one dead child: its id, or 0 if none is dead. The status is the exit
 * code, or 128 + the signal that ended it. */
pid_t ipmpi_reap_next(int *status_out);

/* Sends a signal (0: none, only counts) to every living descendant. Returns
 * how many there were. */
unsigned ipmpi_reap_signal(int signal_number);

#endif

/* The command that mpirun hands to its launch agent.
 *
 * Threads: any. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_DAEMON_H
#define IPMPI_LAUNCH_AGENT_DAEMON_H

#include <stdint.h>

/* What mpirun hands to its launch agent: one command that starts orted or
 * prted, perhaps after a prelude of assignments and exports. The bare command,
 * within the one given, which it may change; NULL: it is any other, not ours
 * to run. */
const char *ipmpi_daemon_command(char *command);

/* What stands for mpirun's address in the command that rsh sends: the agent
 * puts its end of the tunnel there. */
#define IPMPI_WAY_HOME "tcp://{tunnel}"

/* Where the daemon is to call mpirun: orte_hnp_uri "NAME;tcp://A[,B..]:PORT",
 * or prte_hnp_uri with ":MASKS" behind that, and tcp6://.. as another way. The
 * command with IPMPI_WAY_HOME in the place of the address, as its only way, for
 * free(), and the port. NULL: it names none, or no memory. */
char *ipmpi_daemon_detour(const char *command, uint16_t *port_out);

#endif

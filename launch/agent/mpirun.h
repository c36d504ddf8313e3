/* The command line of mpirun, for Open MPI 4.1 (ORTE) and 5 (PRRTE): two
 * tables of options, one for each, and what mpirun's exit codes mean.
 *
 * Threads: any. Nothing blocks. */
#ifndef IPMPI_LAUNCH_AGENT_MPIRUN_H
#define IPMPI_LAUNCH_AGENT_MPIRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipmpi_mpirun {
    const char *version;  /* "4.1.4" */
    const char *ipmpi;    /* absolute path of this program */
    const char *networks; /* "10.0.0.0/24,10.1.0.0/24" */
    uint16_t oob_port;    /* 0: any */
    const char *hosts;    /* "n0:3,n1:2" */
    unsigned ranks;
    bool recover;                /* go on without lost nodes and ranks */
    const char *const *exported; /* names for -x, NULL at the end */
    const char *const *program;  /* argv, NULL at the end */
};

/* The command, NULL at its end, as one block for free(). NULL: no memory.
 * The program is put behind `ipmpi rank --`. */
char **ipmpi_mpirun_command(const struct ipmpi_mpirun *what);

/* What an exit code of mpirun tells, in words. Static. */
const char *ipmpi_mpirun_cause(int status);

/* What mpirun hands to its launch agent: one command that starts orted or
 * prted, perhaps after a prelude of assignments and exports. The bare command,
 * within the one given, which it may change; NULL: it is any other, not ours
 * to run. */
const char *ipmpi_mpirun_daemon(char *command);

/* What stands for mpirun's address in the command that rsh sends: the agent
 * puts its end of the tunnel there. */
#define IPMPI_WAY_HOME "tcp://{tunnel}"

/* Where the daemon is to call mpirun, as ORTE's commands have it:
 * orte_hnp_uri "NAME;tcp://A[,B..]:PORT". The command with IPMPI_WAY_HOME in
 * the place of that, for free(), and the port. NULL: it names none, or no
 * memory. */
char *ipmpi_mpirun_detour(const char *command, uint16_t *port_out);

#endif

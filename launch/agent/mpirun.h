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

#endif

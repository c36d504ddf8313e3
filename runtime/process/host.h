/* The process that embeds Python: a rank or a zygote. A nanny starts it by
 * running its own binary again,
 *     ipmpi-rank|ipmpi-zygote|ipmpi-check SPEAK PYTHON [option...]
 * where the name (argv[0]) says what to become, SPEAK is 1 if this process is
 * the one of the job that tells the user of a Python that will not do, and
 * PYTHON is the value of --python or empty. The options are those of
 * ipmpi-engine. Threads: the process has one until Python starts others. */
#ifndef IPMPI_PROCESS_HOST_H
#define IPMPI_PROCESS_HOST_H

#include <stdbool.h>

#define IPMPI_HOST_RANK   "ipmpi-rank"
#define IPMPI_HOST_ZYGOTE "ipmpi-zygote"
#define IPMPI_HOST_CHECK  "ipmpi-check" /* examines the Python, no more */

#define IPMPI_EXIT_USAGE  2
#define IPMPI_EXIT_PYTHON 3

/* A silent process waits so long for the speaking one to end the job. */
#define IPMPI_SILENT_MS 3000

/* Is this the argument vector of such a process? */
bool ipmpi_host_is(int argc, char **argv);

/* Runs it to its end; returns the exit code of the process. */
int ipmpi_host_main(int argc, char **argv);

#endif

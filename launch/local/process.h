/* Processes of this machine, as /proc tells.
 *
 * Threads: any. Nothing blocks. */
#ifndef IPMPI_LAUNCH_LOCAL_PROCESS_H
#define IPMPI_LAUNCH_LOCAL_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* One that has ended and that nobody has reaped does not live: in a container
 * it can stay for ever. */
bool ipmpi_process_lives(pid_t pid);

/* The mpirun that a process descends from; 0: none. */
pid_t ipmpi_process_mpirun(pid_t pid);

#endif

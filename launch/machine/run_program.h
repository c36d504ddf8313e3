/* Running a program for what it prints.
 *
 * Threads: one. Blocks until the program ends or its deadline kills it. */
#ifndef IPMPI_LAUNCH_MACHINE_RUN_PROGRAM_H
#define IPMPI_LAUNCH_MACHINE_RUN_PROGRAM_H

#include <stddef.h>

/* Runs argv (found in PATH) without input and keeps the first cap - 1 bytes
 * of what it writes to stdout and stderr. Returns its exit status, 128 + n if
 * signal n ended it, 127 if it could not be run, or IPMPI_ETIMEOUT,
 * IPMPI_ESYS. */
int ipmpi_run_program(char *const *argv, int timeout_ms, char *output,
                      size_t cap);

#endif

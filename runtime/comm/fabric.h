/* Drivers of fabrics that this machine lacks, left out of MPI_Init.
 *
 * Open MPI 4 as Debian has it knows InfiniPath and Omni-Path by two components
 * of its framework "mtl", psm and psm2. Each MPI_Init loads both, fabric or
 * none, and their libraries measure the processor's clock for 0.1 s each when
 * they are loaded: that is two thirds of the start of a small job.
 *
 * Threads: leave_out and restore change the environment: before other threads
 * look at it. */
#ifndef IPMPI_COMM_FABRIC_H
#define IPMPI_COMM_FABRIC_H

#include <stdbool.h>
#include <stddef.h>

/* Tells Open MPI, by the environment, to leave the two out, if it has them,
 * the machine has no device of theirs, and neither user nor administrator
 * names the mtl to use. What they exclude stays excluded. Returns whether it
 * did; then restore must follow MPI_Init, since the environment is the user's.
 * Never fails: at worst the start takes longer. */
bool ipmpi_fabric_leave_out(void);
void ipmpi_fabric_restore(void);

/* The parts of it, for tests. */

/* The last value of `name` in a file of Open MPI's parameters ("name = value",
 * # begins a comment); false if the file, or the name in it, is not there. */
bool ipmpi_fabric_param(const char *path, const char *name, char *value_out,
                        size_t cap);

/* What the list of mtl components (empty: all) becomes without the two; false
 * if it is to stay: it says which to use, or there is no room. */
bool ipmpi_fabric_exclude(const char *list, char *list_out, size_t cap);

#endif

/* Drivers of fabrics that this machine lacks, left out of MPI_Init.
 *
 * Open MPI 4 as Debian has it knows InfiniPath and Omni-Path by two components
 * of its framework "mtl", psm and psm2. Each MPI_Init loads both, fabric or
 * none, and their libraries measure the processor's clock for 0.1 s each when
 * they are loaded: that is two thirds of the start of a small job.
 *
 * Threads: any while nobody changes the environment. */
#ifndef IPMPI_COMM_FABRIC_H
#define IPMPI_COMM_FABRIC_H

#include <stdbool.h>
#include <stddef.h>

#define IPMPI_FABRIC_ENV "OMPI_MCA_mtl"
#define IPMPI_FABRIC_CAP 512

/* What that variable is to be during MPI_Init, so that Open MPI leaves the two
 * out: if it has them, the machine has no device of theirs, and neither user
 * nor administrator names the mtl to use. What they exclude stays excluded.
 * False: it is to stay as it is. */
bool ipmpi_fabric_choose(char *list_out, size_t cap);

/* The parts of it, for tests. */

/* The last value of `name` in a file of Open MPI's parameters ("name = value",
 * # begins a comment); false if the file, or the name in it, is not there. */
bool ipmpi_fabric_param(const char *path, const char *name, char *value_out,
                        size_t cap);

/* What the list of mtl components (empty: all) becomes without the two; false
 * if it is to stay: it says which to use, or there is no room. */
bool ipmpi_fabric_exclude(const char *list, char *list_out, size_t cap);

#endif

/* The nanny: the process that the launcher started. It never calls MPI, starts
 * its rank as another process, and outlives it: a rank that is killed does not
 * end the job, and rank 0 learns how it ended. Threads: one. */
#ifndef IPMPI_PROCESS_NANNY_H
#define IPMPI_PROCESS_NANNY_H

#include "runtime/base/options.h"
#include "runtime/process/parts.h"
#include "runtime/process/place.h"

struct ipmpi_nanny_task {
    const struct ipmpi_place *place;
    const struct ipmpi_options *options;
    const struct ipmpi_parts *parts;
    int argc; /* the command line, for the rank */
    char **argv;
};

/* Runs until the job has ended for this rank; returns the exit code. All is
 * lent. */
int ipmpi_nanny_run(const struct ipmpi_nanny_task *task);

#endif

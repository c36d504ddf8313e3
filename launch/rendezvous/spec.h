/* The options that every way to run a job shares, `hosts` and `marathon`
 * alike: what to run, on how many nodes, how long to wait.
 *
 * Threads: one. */
#ifndef IPMPI_LAUNCH_RENDEZVOUS_SPEC_H
#define IPMPI_LAUNCH_RENDEZVOUS_SPEC_H

#include <argp.h>

#include "launch/rendezvous/driver.h"

struct ipmpi_spec {
    struct ipmpi_job_spec job;
    unsigned min, max; /* nodes; 0: not given */
    const char *cluster_id, *profile_dir;
    bool own_program;    /* the user named one */
    char **cluster_argv; /* owned: ours with the user's options, or NULL */
};

/* A child parser for argp; its input is a struct ipmpi_spec. */
extern const struct argp ipmpi_spec_argp;

void ipmpi_spec_init(struct ipmpi_spec *spec);
/* Fills in what follows from the rest. IPMPI_EINVAL: min above max, a job
 * name that no file or application could have. */
int ipmpi_spec_finish(struct ipmpi_spec *spec);
/* Removes the connection files that this job wrote. */
void ipmpi_spec_forget_files(const struct ipmpi_spec *spec);
void ipmpi_spec_clear(struct ipmpi_spec *spec);

#endif

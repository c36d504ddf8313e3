/* The command line of `ipmpi submit`.
 *
 * Threads: one. Nothing blocks; wrong use ends the program, as argp does. */
#ifndef IPMPI_LAUNCH_SLURM_SUBMIT_OPTIONS_H
#define IPMPI_LAUNCH_SLURM_SUBMIT_OPTIONS_H

#include "launch/clusters/where.h"

enum { IPMPI_SUBMIT_OPTIONS = 64 };

struct ipmpi_submit {
    struct ipmpi_where where;
    char *options[IPMPI_SUBMIT_OPTIONS + 1]; /* of sbatch; owned */
    size_t noptions;
    bool mpirun, dry;
    long wait_s;       /* 0: do not wait */
    bool output_given; /* the user says where the job's log goes */
    char *python;      /* "--python=P"; owned */
    const char *system;
    char **more; /* for ipmpi-engine */
};

void ipmpi_submit_parse(int argc, char **argv, struct ipmpi_submit *submit_out);
/* Has the job write where `ipmpi logs` looks, unless the user said where to.
 * False: no memory. */
bool ipmpi_submit_default_output(struct ipmpi_submit *submit,
                                 const struct ipmpi_paths *paths);
void ipmpi_submit_clear(struct ipmpi_submit *submit);

#endif

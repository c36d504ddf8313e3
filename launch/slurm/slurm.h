/* Batch jobs of Slurm: the script that a job runs, and sbatch.
 *
 * Threads: one. Blocks for Slurm's programs, with deadlines. */
#ifndef IPMPI_LAUNCH_SLURM_SLURM_H
#define IPMPI_LAUNCH_SLURM_SLURM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct ipmpi_slurm_job {
    const char *profile_dir;    /* on a file system that the nodes share */
    const char *cluster_id;     /* "": slurm- and the job's number */
    const char *engine;         /* ipmpi-engine, absolute */
    const char *ipmpi;          /* this program, absolute */
    bool mpirun;                /* start ranks by mpirun instead of srun */
    const char *const *options; /* of sbatch: "--nodes=4"; NULL at the end */
    char *const *engine_args;   /* NULL, or NULL at the end */
};

/* Writes the batch script. No secret is in it: rank 0 makes the key and
 * leaves it in the connection files. */
void ipmpi_slurm_write(const struct ipmpi_slurm_job *job, FILE *out);

/* Gives the script to sbatch; 0 and the job's number as text, or an exit
 * status of enum ipmpi_exit after sbatch's own words on stderr. */
int ipmpi_slurm_submit(const struct ipmpi_slurm_job *job, char *id_out,
                       size_t cap);

/* "PENDING (Resources)", "RUNNING", .. or "" when the job is gone. */
void ipmpi_slurm_state(const char *id, char *state_out, size_t cap);

/* True: scancel was told. */
bool ipmpi_slurm_cancel(const char *id);

#endif

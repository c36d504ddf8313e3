/* Where this process stands in its job, as the launcher's environment tells:
 * Open MPI's mpirun, PMIx or srun. Asked before MPI, which a nanny never
 * calls. Threads: any. */
#ifndef IPMPI_PROCESS_PLACE_H
#define IPMPI_PROCESS_PLACE_H

#include <stdbool.h>

struct ipmpi_place {
    bool launched; /* by a launcher, which is this process's parent */
    int rank;
    int size;       /* 0: not known */
    int local_rank; /* among the job's processes on this host */
    int local_size; /* 0: not known */
    char job[256];  /* the job's name, the same in all its processes */
};

/* Without a launcher this is rank 0 of 1. */
void ipmpi_place_find(struct ipmpi_place *out);

/* May the job have processes on other hosts? */
bool ipmpi_place_leaves_host(const struct ipmpi_place *place);

/* Are there enough engines on this host for a zygote? Every process of the
 * host gives the same answer, so it does not ask where rank 0 is. */
bool ipmpi_place_wants_zygote(const struct ipmpi_place *place);

/* Slurm's list of tasks on each node, "4(x2),3": those of node `index`; 0 if
 * the text has no such node. */
int ipmpi_place_slurm_tasks(const char *text, int index);

#endif

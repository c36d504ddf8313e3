/* Where this process stands in its job, as the launcher's environment tells:
 * Open MPI's mpirun, PMIx or srun. Asked before MPI, which a nanny never
 * calls. Threads: any. */
#ifndef IPMPI_PROCESS_PLACE_H
#define IPMPI_PROCESS_PLACE_H

#include <stdbool.h>

/* Of processes that rank 0 has added to its job (MPI_Comm_spawn), in their
 * environment: the number that the job gives to the first of them, a colon,
 * and the address of rank 0's bell in hexadecimal digits. */
#define IPMPI_SPAWNED_ENV "IPMPI_SPAWNED"

/* In rank 0's environment: the program that a spawn starts. */
#define IPMPI_SELF_ENV "IPMPI_SELF"

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

/* Has rank 0 added this process to its job? */
bool ipmpi_place_is_added(void);

/* Its rank in the job; of an added process the number that it has there. */
int ipmpi_place_number(const struct ipmpi_place *place);

/* Can MPI_Comm_spawn add to the job? srun adds no processes to its step. */
bool ipmpi_place_can_grow(void);

/* Is this the process that rank 0 of the job comes from? */
bool ipmpi_place_is_controller(const struct ipmpi_place *place);

/* May the job have processes on other hosts? */
bool ipmpi_place_leaves_host(const struct ipmpi_place *place);

/* Are there enough engines on this host for a zygote? Every process of the
 * host gives the same answer, so it does not ask where rank 0 is. Processes
 * that were added have a zygote of their own. */
bool ipmpi_place_wants_zygote(const struct ipmpi_place *place);

/* Slurm's list of tasks on each node, "4(x2),3": those of node `index`; 0 if
 * the text has no such node. */
int ipmpi_place_slurm_tasks(const char *text, int index);

#endif

/* A dask scheduler for the cluster: become_dask_request and
 * stop_distributed_request (compat 3.11). Rank 0 knows no Python, so the
 * scheduler is a process of its own, which lives until it is stopped or rank
 * 0 ends.
 *
 * Threads: rank 0's loop only. Nothing here blocks but the start of the
 * process (a posix_spawn). */
#ifndef IPMPI_REQUESTS_DASK_H
#define IPMPI_REQUESTS_DASK_H

#include "bridge/hub/hub.h"

struct ipmpi_dask; /* opaque */

/* `python` and `package_dir` are lent: the interpreter, and where the package
 * ipmpi_engine is. Starts nothing yet. IPMPI_ENOMEM. */
int ipmpi_dask_create(const char *python, const char *package_dir,
                      struct ipmpi_dask **dask_out);

/* Ends the scheduler if it runs. NULL is fine. */
void ipmpi_dask_destroy(struct ipmpi_dask **dask);

/* Readable when the process has answered; -1 while nothing is awaited. */
int ipmpi_dask_fd(const struct ipmpi_dask *dask);

/* When an answer is overdue (monotonic, us), or INT64_MAX. */
int64_t ipmpi_dask_deadline_us(const struct ipmpi_dask *dask);

/* Takes the answer, or gives up, and replies to who asked. */
void ipmpi_dask_turn(struct ipmpi_hub *hub);

#endif

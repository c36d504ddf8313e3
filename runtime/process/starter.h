/* The command lines of what a nanny starts itself. Threads: the nanny's. */
#ifndef IPMPI_PROCESS_STARTER_H
#define IPMPI_PROCESS_STARTER_H

#include <sys/types.h>

#include "runtime/process/child.h"
#include "runtime/process/nanny.h"

/* Rank 0: the controller's program. It gets TERM when the nanny dies, for it
 * has files to remove. IPMPI_ENOMEM; IPMPI_ESYS with errno. */
int ipmpi_start_controller(const struct ipmpi_nanny_task *task,
                           const struct ipmpi_signals *signals, int link_fd,
                           pid_t *pid_out);

/* An engine that embeds Python by itself; killed when the nanny dies. */
int ipmpi_start_engine(const struct ipmpi_nanny_task *task,
                       const struct ipmpi_signals *signals, int link_fd,
                       pid_t *pid_out);

/* The zygote of this host; `keeper_out` keeps it alive. It outlives the nanny
 * while others are connected. */
int ipmpi_start_zygote(const struct ipmpi_nanny_task *task,
                       const struct ipmpi_signals *signals, const char *name,
                       int *keeper_out, pid_t *pid_out);

/* A look at the Python that engines would embed: exit code 0, or
 * IPMPI_EXIT_PYTHON after it has told the user. */
int ipmpi_start_check(const struct ipmpi_nanny_task *task,
                      const struct ipmpi_signals *signals, pid_t *pid_out);

#endif

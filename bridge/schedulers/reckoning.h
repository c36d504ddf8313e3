/* What an engine had begun when it ended. Its nanny's notice tells exactly;
 * where none could tell (a whole node is lost) the reckoning is conservative:
 * what the engine had announced, and the oldest job in flight, count as begun,
 * for a task that kills its engine must not be given to the next one, and the
 * next.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_RECKONING_H
#define IPMPI_SCHEDULERS_RECKONING_H

#include <stdbool.h>

#include "bridge/hub/hub.h"
#include "runtime/bell/bell.h"

struct ipmpi_reckoning {
    const struct ipmpi_exit_notice *notice; /* lent; NULL: it left in order */
    bool complete; /* what the notice does not name has not begun */
    bool first;    /* no job was asked for yet */
};

/* Before the engine's jobs are detached from it. */
void ipmpi_reckoning_begin(struct ipmpi_reckoning *reckoning,
                           const struct ipmpi_hub *hub,
                           const struct ipmpi_engine *engine,
                           const struct ipmpi_exit_notice *notice);

/* How far a job had come that is not HELD; ask oldest first, and of all but
 * control requests. */
enum ipmpi_progress ipmpi_reckon(struct ipmpi_reckoning *reckoning,
                                 const struct ipmpi_job *job);

/* Of a job that had begun: its items before this one had, too; UINT64_MAX: all
 * may have. */
uint64_t ipmpi_reckon_step(const struct ipmpi_reckoning *reckoning,
                           const struct ipmpi_job *job);

/* The evalue of the EngineError that reports it. */
void ipmpi_reckoning_describe(const struct ipmpi_job *job,
                              const struct ipmpi_engine *engine,
                              enum ipmpi_progress progress, char *out,
                              size_t cap);

#endif

/* How tasks ended, and where: what dependencies are judged by. Remembers the
 * last IPMPI_OUTCOMES_CAP tasks; an older one is as if it had never been.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_OUTCOMES_H
#define IPMPI_SCHEDULERS_OUTCOMES_H

#include <stdbool.h>
#include <stddef.h>

#include <uthash.h>

#define IPMPI_OUTCOMES_CAP 131072

struct ipmpi_outcome {
    bool ok;       /* completed; else failed */
    int engine_id; /* -1: decided by the scheduler */
    UT_hash_handle hh;
    char msg_id[];
};

struct ipmpi_outcomes {
    struct ipmpi_outcome *by_id; /* in order of arrival */
};

/* Notes how a task ended; IPMPI_ENOMEM. */
int ipmpi_outcomes_add(struct ipmpi_outcomes *outcomes, const char *msg_id,
                       bool ok, int engine_id);
const struct ipmpi_outcome *
ipmpi_outcomes_find(const struct ipmpi_outcomes *outcomes, const char *msg_id);
void ipmpi_outcomes_clear(struct ipmpi_outcomes *outcomes);

#endif

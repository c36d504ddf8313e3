/* What the balanced scheduler consists of; for its own files only: balanced.c
 * and ahead.c.
 *
 * Threads: rank 0's loop only. */
#ifndef IPMPI_SCHEDULERS_BALANCED_STATE_H
#define IPMPI_SCHEDULERS_BALANCED_STATE_H

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/graph.h"
#include "bridge/schedulers/outcomes.h"
#include "bridge/schedulers/queues.h"

struct ipmpi_balanced {
    enum ipmpi_scheme scheme;
    struct ipmpi_slots slots;
    struct ipmpi_outcomes outcomes;
    struct ipmpi_graph graph;
    struct ipmpi_task_queues queues;
    /* See note [cascades] in balanced.c. */
    struct ipmpi_dependents *settled;
    bool settling, scanning, rescan;
};

#endif

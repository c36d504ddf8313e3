/* What the balanced scheduler consists of, and what its files know of each
 * other; for balanced*.c and ahead.c only.
 *
 * Threads: rank 0's loop only. Nothing blocks. Nothing here fails: what goes
 * wrong with a task is how the task ends. */
#ifndef IPMPI_SCHEDULERS_BALANCED_INTERNAL_H
#define IPMPI_SCHEDULERS_BALANCED_INTERNAL_H

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
    /* See note [cascades] in balanced_end.c. */
    struct ipmpi_dependents *settled;
    bool settling, scanning, rescan;
};

/* ---- balanced.c ------------------------------------------------------ */

/* Puts a NEW task in the queue of `state` (READY or BLOCKED). */
void ipmpi_balanced_enqueue(struct ipmpi_hub *hub, struct ipmpi_task *task,
                            enum ipmpi_task_state state);

/* ---- balanced_assign.c: engines for tasks --------------------------- */

/* Runs a NEW or READY task, ends it (it may be gone afterwards, and others
 * with it), or leaves it in the queue of ready tasks. */
void ipmpi_balanced_try(struct ipmpi_hub *hub, struct ipmpi_task *task);

/* ---- balanced_end.c: the end of a task ------------------------------ */

/* Ends a task in an engine's place, with this error; it is gone afterwards, and
 * others may be. `engine` is NULL when no engine ran it. */
void ipmpi_balanced_fail(struct ipmpi_hub *hub, struct ipmpi_task *task,
                         struct ipmpi_engine *engine, const char *ename,
                         const char *evalue);

/* ---- balanced_owner.c: what engines say of tasks -------------------- */

/* Who hears of balanced tasks' jobs. Lives for ever; one for each answer to
 * whether a client waits for the reply. */
const struct ipmpi_job_owner *ipmpi_balanced_owner(bool has_client);

#endif

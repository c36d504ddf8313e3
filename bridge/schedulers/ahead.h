/* Tasks sent ahead of need. When every engine has as many as --hwm says and
 * more are ready, they go out all the same, up to --prefetch for each engine,
 * so that it finds its next task at hand, and others find something to steal.
 *
 * What a client sees of its tasks' order stays: an engine runs them in the
 * order they came, and of those that were sent ahead the oldest becomes an
 * assigned one when another ends. Only tasks that any engine may run go ahead;
 * while one that is meant for certain engines waits, nothing overtakes it.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_AHEAD_H
#define IPMPI_SCHEDULERS_AHEAD_H

#include "bridge/hub/hub.h"
#include "bridge/schedulers/task.h"

/* Whether any engine may run it, so that it may be sent ahead and be stolen:
 * no targets, no follow, never tried, and not so large that moving it costs
 * more than waiting. What it comes after has ended when it is ready. */
bool ipmpi_task_is_free(const struct ipmpi_task *task);

/* Tells so in the flags of its work. */
void ipmpi_task_mark(const struct ipmpi_task *task);

/* Sends ready tasks ahead, oldest first, as long as there is room. */
void ipmpi_ahead_feed(struct ipmpi_hub *hub);

/* The engine has room for one more: its oldest task ahead is assigned. */
void ipmpi_ahead_promote(struct ipmpi_hub *hub, struct ipmpi_engine *engine);

/* A task is at no engine any more, or has come to one by theft. */
void ipmpi_ahead_left(struct ipmpi_hub *hub, struct ipmpi_task *task,
                      struct ipmpi_engine *engine);
void ipmpi_ahead_came(struct ipmpi_hub *hub, struct ipmpi_task *task,
                      struct ipmpi_engine *engine);

/* A task that was sent ahead has timed out: its engine is to drop it, unless
 * it has begun it. */
void ipmpi_ahead_expire(struct ipmpi_hub *hub, struct ipmpi_task *task);

#endif

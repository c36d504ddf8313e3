/* The balanced scheduler: tasks for whichever engine is free, with
 * dependencies, targets, retries and timeouts. Compat section 6.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_BALANCED_H
#define IPMPI_SCHEDULERS_BALANCED_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/hub/hub.h"
#include "bridge/schedulers/scheme.h"
#include "bridge/schedulers/task.h"

/* Makes the scheduler and hangs it into the hub. IPMPI_ENOMEM. */
int ipmpi_balanced_open(struct ipmpi_hub *hub, enum ipmpi_scheme scheme,
                        size_t hwm);
void ipmpi_balanced_close(struct ipmpi_hub *hub);

/* Takes a request of the task door (lent), or a resubmitted one
 * (`has_client` false: nobody waits for its reply). */
void ipmpi_balanced_submit(struct ipmpi_hub *hub, struct ipmpi_request *request,
                           bool has_client);

/* An engine came, was told to leave, or is about to go (call before its jobs
 * are handed back). */
void ipmpi_balanced_engine_came(struct ipmpi_hub *hub,
                                struct ipmpi_engine *engine);
void ipmpi_balanced_engine_leaves(struct ipmpi_hub *hub,
                                  struct ipmpi_engine *engine);
void ipmpi_balanced_engine_gone(struct ipmpi_hub *hub,
                                struct ipmpi_engine *engine);

/* A task has been stolen from `victim`, by `thief` or, NULL, back to rank 0:
 * the job is the thief's, or HELD. */
void ipmpi_balanced_moved(struct ipmpi_hub *hub, struct ipmpi_job *job,
                          struct ipmpi_engine *victim,
                          struct ipmpi_engine *thief);

/* Takes an unassigned task out of its queue, to be decided by the caller. */
void ipmpi_balanced_take_back(struct ipmpi_hub *hub, struct ipmpi_job *job);

/* Ends the task, which is gone then: the one place where that happens (its
 * reply is lent, its parts may be moved; engine is NULL if none ran it). For
 * bulk jobs and gangs, and the scheduler's own files. */
void ipmpi_balanced_end(struct ipmpi_hub *hub, struct ipmpi_task *task,
                        struct ipmpi_engine *engine, struct ipmpi_reply *reply);
/* An engine is done with its share (it may be gone). */
void ipmpi_balanced_let_go(struct ipmpi_hub *hub, struct ipmpi_engine *engine);
/* An engine got a piece, or is done with one (it may be gone). */
void ipmpi_balanced_add_piece(struct ipmpi_hub *hub,
                              struct ipmpi_engine *engine);
void ipmpi_balanced_drop_piece(struct ipmpi_hub *hub,
                               struct ipmpi_engine *engine);
/* Offers what waits to the engines that are free, oldest first. A nested call
 * only asks the outer one for another round. */
void ipmpi_balanced_scan(struct ipmpi_hub *hub);

/* When the cluster ends, and all engines are forgotten: fails the next task
 * that is undecided, with this EngineError. False: there is none left. */
bool ipmpi_balanced_give_up(struct ipmpi_hub *hub, const char *why);

/* When something is due, such as the time-out of a task (monotonic, us), or
 * INT64_MAX; and what to do then. */
int64_t ipmpi_balanced_deadline_us(const struct ipmpi_hub *hub);
void ipmpi_balanced_fire_timers(struct ipmpi_hub *hub);

/* Tasks neither assigned nor decided; NULL-terminated iteration in order of
 * arrival: pass NULL for the first. */
size_t ipmpi_balanced_unassigned(const struct ipmpi_hub *hub);
const struct ipmpi_job *
ipmpi_balanced_next_unassigned(const struct ipmpi_hub *hub,
                               const struct ipmpi_job *job);

#endif

/* The queues of tasks that no engine has: READY for one, or BLOCKED by what
 * they depend on; and the timers of those that must not wait for ever, at rank
 * 0 or AHEAD of need at an engine.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_QUEUES_H
#define IPMPI_SCHEDULERS_QUEUES_H

#include <stddef.h>
#include <stdint.h>

#include "bridge/schedulers/task.h"

struct ipmpi_task_queues {
    struct ipmpi_task *ready, *blocked; /* in order of arrival */
    struct ipmpi_task *timers;          /* by deadline */
    size_t n;                           /* ready and blocked */
};

/* Puts a NEW task in the queue of `state` (READY or BLOCKED); its timeout
 * counts from now. */
void ipmpi_queues_enter(struct ipmpi_task_queues *queues,
                        struct ipmpi_task *task, enum ipmpi_task_state state,
                        int64_t now_us);

/* BLOCKED to READY; its timeout goes on. */
void ipmpi_queues_promote(struct ipmpi_task_queues *queues,
                          struct ipmpi_task *task);

/* READY to AHEAD and back; its timeout goes on. */
void ipmpi_queues_send_ahead(struct ipmpi_task_queues *queues,
                             struct ipmpi_task *task);
void ipmpi_queues_call_back(struct ipmpi_task_queues *queues,
                            struct ipmpi_task *task);

/* No timeout any more. */
void ipmpi_queues_disarm(struct ipmpi_task_queues *queues,
                         struct ipmpi_task *task);

/* Out of its queue, if it is in one: it is NEW then. */
void ipmpi_queues_leave(struct ipmpi_task_queues *queues,
                        struct ipmpi_task *task);

#endif

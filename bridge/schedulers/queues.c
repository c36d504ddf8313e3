/* Queues of tasks.
 *
 * Invariant: a task is in the queue that its state names and in no other (in
 * none when it is AHEAD); it has a place in `timers` exactly while its deadline
 * is not 0. */
#include "bridge/schedulers/queues.h"

#include <utlist.h>

#include "runtime/base/error.h"

static int by_deadline(const struct ipmpi_task *a, const struct ipmpi_task *b)
{
    return (a->deadline_us > b->deadline_us) -
           (a->deadline_us < b->deadline_us);
}

static int by_arrival(const struct ipmpi_task *a, const struct ipmpi_task *b)
{
    return (a->job->ref > b->job->ref) - (a->job->ref < b->job->ref);
}

/* Both lists grow at their end nearly always: look there first. */
static void insert(struct ipmpi_task **queue, struct ipmpi_task *task)
{
    if (*queue == NULL || by_arrival((*queue)->prev, task) < 0)
        DL_APPEND(*queue, task);
    else
        DL_INSERT_INORDER(*queue, task, by_arrival);
}

static void arm(struct ipmpi_task_queues *queues, struct ipmpi_task *task,
                int64_t now_us)
{
    task->deadline_us = now_us + task->timeout_us;
    if (queues->timers == NULL ||
        by_deadline(queues->timers->timer_prev, task) <= 0)
        DL_APPEND2(queues->timers, task, timer_prev, timer_next);
    else
        DL_INSERT_INORDER2(queues->timers, task, by_deadline, timer_prev,
                           timer_next);
}

void ipmpi_queues_enter(struct ipmpi_task_queues *queues,
                        struct ipmpi_task *task, enum ipmpi_task_state state,
                        int64_t now_us)
{
    IPMPI_ASSERT(task->state == IPMPI_TASK_NEW);
    task->state = state;
    insert(state == IPMPI_TASK_READY ? &queues->ready : &queues->blocked, task);
    queues->n++;
    if (task->timeout_us > 0)
        arm(queues, task, now_us);
}

void ipmpi_queues_promote(struct ipmpi_task_queues *queues,
                          struct ipmpi_task *task)
{
    IPMPI_ASSERT(task->state == IPMPI_TASK_BLOCKED);
    DL_DELETE(queues->blocked, task);
    task->state = IPMPI_TASK_READY;
    insert(&queues->ready, task);
}

void ipmpi_queues_send_ahead(struct ipmpi_task_queues *queues,
                             struct ipmpi_task *task)
{
    IPMPI_ASSERT(task->state == IPMPI_TASK_READY);
    DL_DELETE(queues->ready, task);
    task->state = IPMPI_TASK_AHEAD;
    queues->n--;
}

void ipmpi_queues_call_back(struct ipmpi_task_queues *queues,
                            struct ipmpi_task *task)
{
    IPMPI_ASSERT(task->state == IPMPI_TASK_AHEAD);
    task->state = IPMPI_TASK_READY;
    insert(&queues->ready, task);
    queues->n++;
}

void ipmpi_queues_disarm(struct ipmpi_task_queues *queues,
                         struct ipmpi_task *task)
{
    if (task->deadline_us != 0)
        DL_DELETE2(queues->timers, task, timer_prev, timer_next);
    task->deadline_us = 0;
}

void ipmpi_queues_leave(struct ipmpi_task_queues *queues,
                        struct ipmpi_task *task)
{
    if (task->state == IPMPI_TASK_READY)
        DL_DELETE(queues->ready, task);
    else if (task->state == IPMPI_TASK_BLOCKED)
        DL_DELETE(queues->blocked, task);
    else if (task->state != IPMPI_TASK_AHEAD)
        return;
    queues->n -= task->state != IPMPI_TASK_AHEAD;
    task->state = IPMPI_TASK_NEW;
    ipmpi_queues_disarm(queues, task);
}

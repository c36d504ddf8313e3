/* The balanced scheduler: what it consists of, its engines and its clock. */
#include "bridge/schedulers/balanced.h"

#include <stdlib.h>

#include "bridge/schedulers/ahead.h"
#include "bridge/schedulers/balanced_internal.h"
#include "bridge/schedulers/bulk.h"
#include "bridge/schedulers/gang.h"
#include "bridge/schedulers/thefts.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

static int64_t now_us(const struct ipmpi_hub *hub)
{
    return hub->out.now_us(hub->out.ctx);
}

/* --- engines -------------------------------------------------------- */

void ipmpi_balanced_engine_came(struct ipmpi_hub *hub,
                                struct ipmpi_engine *engine)
{
    if (ipmpi_slots_add(&hub->balanced->slots, engine) != 0) {
        ipmpi_log_error("TASK-MEMORY", "out of memory; engine %d gets no tasks",
                        engine->id);
        return;
    }
    ipmpi_balanced_scan(hub);
    ipmpi_thefts_feed(hub, engine);
}

void ipmpi_balanced_engine_leaves(struct ipmpi_hub *hub,
                                  struct ipmpi_engine *engine)
{
    if (engine->task_slot != NULL)
        ipmpi_slots_leave(&hub->balanced->slots, engine->task_slot);
}

void ipmpi_balanced_engine_gone(struct ipmpi_hub *hub,
                                struct ipmpi_engine *engine)
{
    struct ipmpi_slot *slot = engine->task_slot;

    if (slot != NULL) {
        ipmpi_gang_engine_goes(hub, &hub->balanced->slots, engine);
        ipmpi_slots_remove(&hub->balanced->slots, &slot);
    }
    ipmpi_gang_engine_gone(hub, &hub->balanced->slots);
    ipmpi_bulk_engine_gone(hub);
    /* Tasks for this engine alone have become impossible. */
    ipmpi_balanced_scan(hub);
}

void ipmpi_balanced_let_go(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    if (engine->task_slot != NULL)
        ipmpi_slots_keep(&hub->balanced->slots, engine->task_slot, false);
}

void ipmpi_balanced_add_piece(struct ipmpi_hub *hub,
                              struct ipmpi_engine *engine)
{
    ipmpi_slots_add_piece(&hub->balanced->slots, engine->task_slot);
}

void ipmpi_balanced_drop_piece(struct ipmpi_hub *hub,
                               struct ipmpi_engine *engine)
{
    if (engine->task_slot != NULL)
        ipmpi_slots_drop_piece(&hub->balanced->slots, engine->task_slot);
}

/* --- queues and time ------------------------------------------------ */

void ipmpi_balanced_enqueue(struct ipmpi_hub *hub, struct ipmpi_task *task,
                            enum ipmpi_task_state state)
{
    ipmpi_queues_enter(&hub->balanced->queues, task, state, now_us(hub));
}

void ipmpi_balanced_take_back(struct ipmpi_hub *hub, struct ipmpi_job *job)
{
    ipmpi_queues_leave(&hub->balanced->queues, job->data);
}

static int64_t timeout_us(const struct ipmpi_balanced *b)
{
    return b->queues.timers != NULL ? b->queues.timers->deadline_us : INT64_MAX;
}

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

int64_t ipmpi_balanced_deadline_us(const struct ipmpi_hub *hub)
{
    return earlier(
        timeout_us(hub->balanced),
        earlier(ipmpi_gang_deadline_us(hub), ipmpi_thefts_deadline_us(hub)));
}

void ipmpi_balanced_fire_timers(struct ipmpi_hub *hub)
{
    while (timeout_us(hub->balanced) <= now_us(hub)) {
        struct ipmpi_task *task = hub->balanced->queues.timers;

        if (task->state == IPMPI_TASK_AHEAD)
            ipmpi_ahead_expire(hub, task);
        else
            ipmpi_balanced_fail(hub, task, NULL, "TaskTimeout", "");
    }
    ipmpi_thefts_fire_timers(hub);
    if (ipmpi_gang_deadline_us(hub) <= now_us(hub))
        ipmpi_balanced_scan(hub);
}

size_t ipmpi_balanced_unassigned(const struct ipmpi_hub *hub)
{
    return hub->balanced->queues.n;
}

const struct ipmpi_job *
ipmpi_balanced_next_unassigned(const struct ipmpi_hub *hub,
                               const struct ipmpi_job *job)
{
    const struct ipmpi_balanced *b = hub->balanced;
    const struct ipmpi_task *task = job != NULL ? job->data : NULL;
    const struct ipmpi_task *next;

    if (task == NULL)
        next = b->queues.ready != NULL ? b->queues.ready : b->queues.blocked;
    else if (task->next != NULL)
        next = task->next;
    else
        next = task->state == IPMPI_TASK_READY ? b->queues.blocked : NULL;
    return next != NULL ? next->job : NULL;
}

/* --- its beginning and its end --------------------------------------- */

int ipmpi_balanced_open(struct ipmpi_hub *hub, enum ipmpi_scheme scheme,
                        size_t hwm)
{
    struct ipmpi_balanced *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return IPMPI_ENOMEM;
    b->scheme = scheme;
    ipmpi_slots_init(&b->slots, hwm);
    hub->balanced = b;
    return 0;
}

void ipmpi_balanced_close(struct ipmpi_hub *hub)
{
    struct ipmpi_balanced *b = hub->balanced;

    if (b == NULL)
        return;
    while (b->queues.ready != NULL || b->queues.blocked != NULL) {
        struct ipmpi_task *task =
            b->queues.ready != NULL ? b->queues.ready : b->queues.blocked;
        struct ipmpi_job *job = task->job;

        ipmpi_queues_leave(&b->queues, task);
        ipmpi_bulk_destroy(hub, &task->bulk);
        ipmpi_gang_destroy(&task->gang);
        ipmpi_task_destroy(&task);
        ipmpi_job_destroy(&hub->ledger, &job);
    }
    ipmpi_bulk_close(hub);
    ipmpi_gang_close(hub);
    while (b->slots.lru != NULL) {
        struct ipmpi_slot *slot = b->slots.lru;

        ipmpi_slots_remove(&b->slots, &slot);
    }
    ipmpi_outcomes_clear(&b->outcomes);
    ipmpi_graph_clear(&b->graph);
    free(b);
    hub->balanced = NULL;
}

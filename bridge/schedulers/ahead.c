/* Which engine gets tasks ahead of need.
 *
 * Invariant: slot->ahead counts the tasks in state AHEAD at its engine; such a
 *            task's timer runs on until it is assigned. */
#include "bridge/schedulers/ahead.h"

#include <utlist.h>

#include "bridge/hub/records.h"
#include "bridge/schedulers/abort.h"
#include "bridge/schedulers/balanced_internal.h"
#include "bridge/schedulers/dispatch.h"

/* Larger tasks are sent when they are needed, and not about. */
static const size_t FREE_BYTES_MAX = 1 << 20;

bool ipmpi_task_is_free(const struct ipmpi_task *task)
{
    return ipmpi_task_is_for_any(task) && task->job->kind == IPMPI_WORK_APPLY &&
           ipmpi_frames_bytes(&task->job->request->parts) <= FREE_BYTES_MAX;
}

void ipmpi_task_mark(const struct ipmpi_task *task)
{
    if (ipmpi_task_is_free(task))
        task->job->flags |= IPMPI_WORK_STEALABLE;
    else
        task->job->flags &= ~IPMPI_WORK_STEALABLE;
}

static struct ipmpi_slot *slot_of(const struct ipmpi_engine *engine)
{
    return engine->task_slot;
}

/* The one with the fewest ahead, the least recently used of these; NULL: none
 * has room. */
static struct ipmpi_slot *choose(const struct ipmpi_hub *hub)
{
    struct ipmpi_slot *slot =
        ipmpi_slot_heap_first(&hub->balanced->slots.by_ahead);

    return slot != NULL && slot->ahead < hub->sharing.prefetch ? slot : NULL;
}

static void send(struct ipmpi_hub *hub, struct ipmpi_task *task,
                 struct ipmpi_slot *slot)
{
    ipmpi_queues_send_ahead(&hub->balanced->queues, task);
    ipmpi_slots_add_ahead(&hub->balanced->slots, slot);
    hub->sharing.nahead++;
    ipmpi_task_mark(task);
    ipmpi_records_assigned(hub, task->job, slot->engine);
    ipmpi_dispatch_ahead(hub, slot->engine, task->job);
}

void ipmpi_ahead_feed(struct ipmpi_hub *hub)
{
    struct ipmpi_balanced *b = hub->balanced;
    struct ipmpi_slot *slot;

    if (hub->sharing.prefetch == 0 || hub->held_back)
        return;
    if (hub->bulks != NULL || hub->gangs != NULL)
        return; /* engines with tasks in hand would never get to theirs */
    while (b->queues.ready != NULL && ipmpi_slots_nfree(&b->slots) == 0 &&
           ipmpi_task_is_free(b->queues.ready) && (slot = choose(hub)) != NULL)
        send(hub, b->queues.ready, slot);
}

static void assign(struct ipmpi_hub *hub, struct ipmpi_task *task,
                   struct ipmpi_slot *slot)
{
    ipmpi_queues_leave(&hub->balanced->queues, task);
    task->state = IPMPI_TASK_ASSIGNED;
    ipmpi_slots_assign(&hub->balanced->slots, slot);
    ipmpi_dispatch_is_needed(task->job);
}

void ipmpi_ahead_promote(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    struct ipmpi_slot *slot = slot_of(engine);
    struct ipmpi_held *held;

    if (slot == NULL || slot->ahead == 0)
        return;
    DL_FOREACH (engine->sent.first, held) {
        struct ipmpi_job *job = ipmpi_job_of(held);
        struct ipmpi_task *task = job->data;

        if (!ipmpi_slot_is_free(&hub->balanced->slots, slot))
            return;
        if (!job->ahead)
            continue;
        ipmpi_slots_drop_ahead(&hub->balanced->slots, slot);
        hub->sharing.nahead--;
        assign(hub, task, slot);
    }
}

void ipmpi_ahead_left(struct ipmpi_hub *hub, struct ipmpi_task *task,
                      struct ipmpi_engine *engine)
{
    struct ipmpi_slot *slot = slot_of(engine);

    if (task->state != IPMPI_TASK_AHEAD)
        return;
    hub->sharing.nahead--;
    if (slot != NULL)
        ipmpi_slots_drop_ahead(&hub->balanced->slots, slot);
    ipmpi_queues_call_back(&hub->balanced->queues, task);
}

void ipmpi_ahead_came(struct ipmpi_hub *hub, struct ipmpi_task *task,
                      struct ipmpi_engine *engine)
{
    struct ipmpi_slot *slot = slot_of(engine);

    ipmpi_records_assigned(hub, task->job, engine);
    if (slot != NULL && ipmpi_slot_is_free(&hub->balanced->slots, slot)) {
        assign(hub, task, slot);
        return;
    }
    if (task->state == IPMPI_TASK_READY)
        ipmpi_queues_send_ahead(&hub->balanced->queues, task);
    else
        task->state = IPMPI_TASK_AHEAD; /* it was assigned: no timer */
    hub->sharing.nahead++;
    if (slot != NULL)
        ipmpi_slots_add_ahead(&hub->balanced->slots, slot);
}

void ipmpi_ahead_expire(struct ipmpi_hub *hub, struct ipmpi_task *task)
{
    ipmpi_queues_disarm(&hub->balanced->queues, task);
    if (task->job->held.started)
        return; /* in time */
    task->expired = true;
    ipmpi_abort_ask(hub, task->job);
}

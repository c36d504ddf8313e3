/* The balanced scheduler: which engine gets a ready task, and when. Nothing is
 * chosen here but the moment and the candidates; scheme.c chooses the engine,
 * and gangs and bulk jobs take theirs by themselves. */
#include "bridge/schedulers/balanced_internal.h"

#include "bridge/hub/records.h"
#include "bridge/schedulers/ahead.h"
#include "bridge/schedulers/bulk.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/gang.h"

struct fitting {
    const struct ipmpi_balanced *balanced;
    const struct ipmpi_task *task;
};

static bool fits(void *ctx, const struct ipmpi_slot *slot)
{
    const struct fitting *f = ctx;

    return ipmpi_task_allows(f->task, slot->engine->uuid) &&
           ipmpi_dependency_met(&f->task->follow, &f->balanced->outcomes,
                                slot->engine->id);
}

/* Follow asks for one engine; if what it follows ran on an engine that has
 * left, none will ever fit. */
static bool follows_the_dead(const struct ipmpi_hub *hub,
                             const struct ipmpi_dependency *follow)
{
    for (size_t i = 0; i < follow->n; i++) {
        const struct ipmpi_outcome *o =
            ipmpi_outcomes_find(&hub->balanced->outcomes, follow->ids[i]);
        const bool gone =
            o != NULL && (o->engine_id < 0 ||
                          ipmpi_registry_had(&hub->registry, o->engine_id));

        if (gone && follow->all)
            return true;
        if (!gone && !follow->all)
            return false;
    }
    return follow->n > 0 && !follow->all;
}

/* Judged only while some engine is free (compat 6.5). */
static bool impossible(const struct ipmpi_hub *hub,
                       const struct ipmpi_task *task)
{
    const struct ipmpi_dependency *follow = &task->follow;

    return (follow->all &&
            ipmpi_dependency_scattered(follow, &hub->balanced->outcomes)) ||
           follows_the_dead(hub, follow) ||
           ipmpi_task_targets_gone(task, &hub->registry);
}

static void assign(struct ipmpi_hub *hub, struct ipmpi_task *task,
                   struct ipmpi_slot *slot)
{
    struct ipmpi_balanced *b = hub->balanced;

    ipmpi_queues_leave(&b->queues, task);
    task->state = IPMPI_TASK_ASSIGNED;
    ipmpi_task_mark(task);
    ipmpi_slots_assign(&b->slots, slot);
    ipmpi_records_assigned(hub, task->job, slot->engine);
    ipmpi_dispatch(hub, slot->engine, task->job);
}

/* A bulk job's pieces, or a gang's shares, are given out by
 * ipmpi_balanced_scan(). */
static void begin_shared(struct ipmpi_hub *hub, struct ipmpi_task *task)
{
    struct ipmpi_balanced *b = hub->balanced;
    const char *why = NULL;

    ipmpi_queues_leave(&b->queues, task);
    task->state = IPMPI_TASK_ASSIGNED;
    if (task->bulk != NULL)
        ipmpi_bulk_begin(hub, task->bulk);
    else
        why = ipmpi_gang_begin(hub, &b->slots, task->gang);
    if (why != NULL)
        ipmpi_balanced_fail(hub, task, NULL, "EngineError", why);
    ipmpi_balanced_scan(hub);
}

void ipmpi_balanced_try(struct ipmpi_hub *hub, struct ipmpi_task *task)
{
    struct ipmpi_balanced *b = hub->balanced;
    struct fitting fitting = {b, task};
    struct ipmpi_slot *slot;

    if (task->bulk != NULL || task->gang != NULL) {
        begin_shared(hub, task);
        return;
    }
    slot = ipmpi_scheme_choose(&b->slots, b->scheme,
                               ipmpi_task_is_for_any(task) ? NULL : fits,
                               &fitting);
    if (slot != NULL)
        assign(hub, task, slot);
    else if (ipmpi_slots_nfree(&b->slots) > 0 && impossible(hub, task))
        ipmpi_balanced_fail(hub, task, NULL, "ImpossibleDependency", "");
    else if (task->state != IPMPI_TASK_READY)
        ipmpi_balanced_enqueue(hub, task, IPMPI_TASK_READY);
}

void ipmpi_balanced_scan(struct ipmpi_hub *hub)
{
    struct ipmpi_balanced *b = hub->balanced;

    b->rescan = true;
    if (b->scanning)
        return;
    b->scanning = true;
    while (b->rescan) {
        struct ipmpi_task *task = b->queues.ready;

        b->rescan = false;
        ipmpi_gang_feed(hub, &b->slots,
                        b->queues.ready != NULL || hub->bulks != NULL);
        ipmpi_bulk_feed(hub, &b->slots, IPMPI_BULK_IN_TURN);
        while (task != NULL && ipmpi_slots_nfree(&b->slots) > 0 && !b->rescan) {
            struct ipmpi_task *next = task->next;

            ipmpi_balanced_try(hub, task);
            task = next;
        }
        ipmpi_bulk_feed(hub, &b->slots, IPMPI_BULK_TO_FREE);
        if (b->queues.ready == NULL)
            ipmpi_bulk_feed(hub, &b->slots, IPMPI_BULK_AHEAD);
        ipmpi_gang_feed(hub, &b->slots, false);
    }
    b->scanning = false;
    ipmpi_ahead_feed(hub);
}

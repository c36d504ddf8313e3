/* The victim: what it gives of its queue, and whom it tells.
 *
 * Invariant: what leaves the queue is named in a HANDOVER to its origin before
 *            it is sent. */
#include "runtime/engine/theft_victim.h"

#include <stdlib.h>

#include "runtime/base/error.h"
#include "runtime/engine/children_account.h"
#include "runtime/engine/state.h"
#include "runtime/engine/theft_message.h"

/* Reports those of the list whose origin this is. */
static void report_to(struct ipmpi_engine *engine, int origin,
                      const struct ipmpi_work *list, int thief_rank)
{
    const struct ipmpi_msg_head handover =
        ipmpi_theft_head(IPMPI_MSG_HANDOVER, thief_rank);
    struct ipmpi_refs refs = {0};
    struct ipmpi_frame frame;

    for (const struct ipmpi_work *w = list; w != NULL; w = w->next)
        if (ipmpi_children_origin(engine, w->ref) == origin)
            ipmpi_refs_add(&refs, w->ref);
    frame = ipmpi_refs_frame(&refs);
    if (origin != ipmpi_comm_rank(engine->comm))
        ipmpi_theft_say(engine, origin, &handover, &refs, NULL);
    else if (ipmpi_children_handover(engine, origin, thief_rank, &frame) != 0)
        ipmpi_theft_no_memory();
    free(refs.at);
}

static bool is_first_of_origin(const struct ipmpi_engine *engine,
                               const struct ipmpi_work *list,
                               const struct ipmpi_work *work)
{
    const int origin = ipmpi_children_origin(engine, work->ref);

    while (ipmpi_children_origin(engine, list->ref) != origin)
        list = list->next;
    return list == work;
}

/* Tells the origins first, then sends: note [theft]. */
static void hand_over(struct ipmpi_engine *engine, struct ipmpi_work **list,
                      int thief_rank)
{
    if (*list == NULL) /* rank 0 waits for an answer to its order */
        report_to(engine, 0, NULL, thief_rank);
    for (const struct ipmpi_work *w = *list; w != NULL; w = w->next)
        if (is_first_of_origin(engine, *list, w))
            report_to(engine, ipmpi_children_origin(engine, w->ref), *list,
                      thief_rank);
    for (const struct ipmpi_work *w = *list; w != NULL && thief_rank > 0;
         w = w->next) {
        struct ipmpi_msg_head loot =
            ipmpi_theft_head(IPMPI_MSG_LOOT, w->naborts);

        loot.ref = w->ref;
        loot.kind = w->kind;
        loot.flags = w->flags;
        ipmpi_theft_say(engine, thief_rank, &loot, NULL, &w->frames);
    }
    ipmpi_work_destroy(list);
}

/* After its LEAVING rank 0 hears nothing of an engine, so then it keeps all. */
static struct ipmpi_work *take_half(struct ipmpi_engine *engine)
{
    if (engine->theft.stealer.off || atomic_load(&engine->leaving))
        return NULL;
    return ipmpi_queue_steal(engine->queue, engine->theft.children_only);
}

size_t ipmpi_theft_yield(struct ipmpi_engine *engine, int thief_rank)
{
    struct ipmpi_work *list = take_half(engine);
    size_t n = 0;

    for (const struct ipmpi_work *w = list; w != NULL; w = w->next)
        n++;
    if (n > 0)
        hand_over(engine, &list, thief_rank);
    return n;
}

/* Children are no business of rank 0's. */
static void keep_children(struct ipmpi_engine *engine, struct ipmpi_work **list)
{
    struct ipmpi_work **at = list, *work;

    while ((work = *at) != NULL) {
        if (work->kind != IPMPI_WORK_CHILD) {
            at = &work->next;
            continue;
        }
        *at = work->next;
        ipmpi_queue_push(engine->queue, &work);
    }
}

int ipmpi_theft_give(struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_work *list;

    (void)frames;
    if (head->detail < 0 ||
        head->detail > ipmpi_seating_size(engine->theft.seating))
        return IPMPI_EINVAL;
    engine->theft.children_only = false;
    list = take_half(engine);
    keep_children(engine, &list);
    hand_over(engine, &list, head->detail);
    return 0;
}

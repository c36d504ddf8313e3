/* Gangs: from the request until they start, waiting for engines.
 *
 * Invariant: while a gang waits, its members are the engines that it keeps;
 *            once it has started, those that had a share of it. It lives until
 *            its task is decided and its last share has come to an end. */
#include "bridge/schedulers/gang.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/gang_internal.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    HOLD_US = 5 * 1000 * 1000, /* at first; twice as long each time */
    REST_US = 1000 * 1000,
    DOUBLINGS = 8,
    MEMBERS_MOST = 1 << 16,
};

static int64_t now_us(const struct ipmpi_hub *hub)
{
    return hub->out.now_us(hub->out.ctx);
}

bool ipmpi_gang_is_asked(const struct ipmpi_request *request)
{
    const json_t *size = json_object_get(request->metadata, "ipmpi_mpi");

    return size != NULL && !json_is_null(size) &&
           strcmp(request->msg_type, "apply_request") == 0;
}

int ipmpi_gang_create(struct ipmpi_task *task)
{
    const json_t *size =
        json_object_get(task->job->request->metadata, "ipmpi_mpi");
    const json_int_t n = json_integer_value(size);
    struct ipmpi_gang *gang;

    if (!json_is_integer(size) || n < 1 || n > MEMBERS_MOST)
        return IPMPI_EJSON;
    gang = calloc(1, sizeof(*gang) + (size_t)n * sizeof(gang->member[0]));
    if (gang == NULL)
        return IPMPI_ENOMEM;
    gang->task = task;
    gang->size = (size_t)n;
    for (size_t i = 0; i < gang->size; i++)
        gang->member[i].gang = gang;
    task->gang = gang;
    return 0;
}

void ipmpi_gang_forget(struct ipmpi_gang *gang)
{
    for (size_t i = 0; i < gang->size; i++)
        ipmpi_frames_clear(&gang->member[i].reply.parts);
    free(gang);
}

void ipmpi_gang_destroy(struct ipmpi_gang **gang)
{
    struct ipmpi_gang *g = *gang;

    *gang = NULL;
    if (g != NULL && !g->begun)
        ipmpi_gang_forget(g);
}

/* ---- engines for it ------------------------------------------------- */

static int world_of(struct ipmpi_hub *hub, const struct ipmpi_engine *engine)
{
    int rank;

    return hub->out.place != NULL
               ? hub->out.place(hub->out.ctx, engine->rank, &rank)
               : 0;
}

static size_t count(struct ipmpi_hub *hub, const struct ipmpi_slots *slots,
                    const struct ipmpi_gang *gang, int world)
{
    const struct ipmpi_slot *slot;
    size_t n = 0;

    DL_FOREACH (slots->lru, slot)
        n += ipmpi_task_allows(gang->task, slot->engine->uuid) &&
             world_of(hub, slot->engine) == world;
    return n;
}

/* Whether some world has as many engines; the gang then waits for those. */
static bool choose_world(struct ipmpi_hub *hub, const struct ipmpi_slots *slots,
                         struct ipmpi_gang *gang)
{
    const struct ipmpi_slot *slot;

    DL_FOREACH (slots->lru, slot) {
        const int world = world_of(hub, slot->engine);

        if (world >= 0 && count(hub, slots, gang, world) >= gang->size) {
            gang->world = world;
            return true;
        }
    }
    return false;
}

const char *ipmpi_gang_begin(struct ipmpi_hub *hub,
                             const struct ipmpi_slots *slots,
                             struct ipmpi_gang *gang)
{
    if (!choose_world(hub, slots, gang))
        return "there are not so many engines that were started together";
    gang->begun = true;
    DL_APPEND(hub->gangs, gang);
    return NULL;
}

static void keep(struct ipmpi_slots *slots, struct ipmpi_gang *gang,
                 struct ipmpi_slot *slot)
{
    struct ipmpi_gang_member *member = &gang->member[gang->nmembers++];

    ipmpi_slots_keep(slots, slot, true);
    member->engine = slot->engine;
    member->id = slot->engine->id;
    memcpy(member->uuid, slot->engine->uuid, sizeof(member->uuid));
}

static void let_go(struct ipmpi_slots *slots, struct ipmpi_gang *gang)
{
    for (size_t i = 0; i < gang->nmembers; i++)
        ipmpi_slots_keep(slots, gang->member[i].engine->task_slot, false);
    gang->nmembers = 0;
}

/* ---- its task ------------------------------------------------------- */

void ipmpi_gang_decide(struct ipmpi_hub *hub, struct ipmpi_gang *gang,
                       struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct ipmpi_task *task = gang->task;

    gang->task = NULL;
    ipmpi_balanced_end(hub, task, engine, reply);
}

static void fail_waiting(struct ipmpi_hub *hub, struct ipmpi_gang *gang,
                         const char *ename, const char *evalue)
{
    struct ipmpi_reply reply;

    DL_DELETE(hub->gangs, gang);
    if (ipmpi_hub_make_reply(hub, gang->task->job, NULL, ename, evalue,
                             &reply) != 0)
        ipmpi_log_error("GANG-MEMORY", "out of memory; no answer to %s",
                        gang->task->job->msg_id);
    ipmpi_gang_decide(hub, gang, NULL, &reply);
    ipmpi_frames_clear(&reply.parts);
    ipmpi_gang_forget(gang);
}

static void start(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                  struct ipmpi_gang *gang)
{
    const size_t size = gang->size;

    if (ipmpi_gang_make_shares(hub, gang) != 0) {
        let_go(slots, gang);
        fail_waiting(hub, gang, "MemoryError",
                     "the controller is out of memory");
        return;
    }
    DL_DELETE(hub->gangs, gang);
    gang->started = true;
    for (size_t i = 0; i < size; i++) /* with the last, it may be over */
        ipmpi_dispatch(hub, gang->member[i].engine, gang->member[i].job);
}

/* ---- waiting -------------------------------------------------------- */

/* Lets go for a while of what it has kept for too long. */
static bool may_hold(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                     struct ipmpi_gang *gang)
{
    const int64_t now = now_us(hub);

    if (gang->until_us == 0 || now < gang->until_us)
        return !gang->resting;
    gang->resting = !gang->resting;
    if (gang->resting) {
        let_go(slots, gang);
        gang->until_us = now + REST_US;
        gang->nholds += gang->nholds < DOUBLINGS;
    } else {
        gang->until_us = 0;
    }
    return !gang->resting;
}

void ipmpi_gang_feed(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                     bool others_wait)
{
    struct ipmpi_gang *gang = hub->gangs;
    struct ipmpi_slot *slot;

    if (gang == NULL || !may_hold(hub, slots, gang))
        return;
    DL_FOREACH (slots->lru, slot) {
        if (gang->nmembers < gang->size &&
            ipmpi_slot_is_idle(slot, others_wait) &&
            ipmpi_task_allows(gang->task, slot->engine->uuid) &&
            world_of(hub, slot->engine) == gang->world)
            keep(slots, gang, slot);
    }
    if (gang->nmembers > 0 && gang->until_us == 0)
        gang->until_us = now_us(hub) + ((int64_t)HOLD_US << gang->nholds);
    if (gang->nmembers == gang->size) {
        start(hub, slots, gang);
        ipmpi_gang_feed(hub, slots, others_wait);
    }
}

int64_t ipmpi_gang_deadline_us(const struct ipmpi_hub *hub)
{
    return hub->gangs != NULL && hub->gangs->until_us != 0
               ? hub->gangs->until_us
               : INT64_MAX;
}

bool ipmpi_gang_abort(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                      struct ipmpi_gang *gang)
{
    if (!gang->begun)
        return false;
    if (gang->started)
        return true; /* what runs goes on */
    let_go(slots, gang);
    fail_waiting(hub, gang, NULL, NULL);
    return true;
}

void ipmpi_gang_engine_goes(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                            const struct ipmpi_engine *engine)
{
    struct ipmpi_gang *gang, *next;

    DL_FOREACH_SAFE (hub->gangs, gang, next) {
        for (size_t i = 0; i < gang->nmembers; i++) {
            if (gang->member[i].engine == engine) {
                ipmpi_slots_keep(slots, engine->task_slot, false);
                gang->member[i] = gang->member[--gang->nmembers];
                break;
            }
        }
    }
}

void ipmpi_gang_engine_gone(struct ipmpi_hub *hub, struct ipmpi_slots *slots)
{
    struct ipmpi_gang *gang, *next;

    DL_FOREACH_SAFE (hub->gangs, gang, next) {
        if (count(hub, slots, gang, gang->world) >= gang->size)
            continue;
        let_go(slots, gang);
        if (!choose_world(hub, slots, gang))
            fail_waiting(hub, gang, "EngineError",
                         "so many engines have gone that too few are left");
    }
}

void ipmpi_gang_close(struct ipmpi_hub *hub)
{
    while (hub->gangs != NULL) {
        struct ipmpi_gang *gang = hub->gangs;
        struct ipmpi_task *task = gang->task;
        struct ipmpi_job *job = task->job;

        DL_DELETE(hub->gangs, gang);
        ipmpi_gang_forget(gang);
        ipmpi_task_destroy(&task);
        ipmpi_job_destroy(&hub->ledger, &job);
    }
}

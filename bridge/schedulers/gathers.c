/* Gathers.
 *
 * Invariant: a gather is in hub->gathers, which is in the order of `due_us`,
 * until its trees are given up; then each of its shares replies straight. */
#include "bridge/schedulers/gathers.h"

#include <stdlib.h>

#include <utlist.h>

#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/thefts.h"
#include "bridge/schedulers/tree.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/engine/gathered.h"

enum {
    TREE_MIN = 2,              /* one alone has nothing to combine */
    PATIENCE_US = 1000 * 1000, /* what lasts longer may as well come straight */
};

struct member {
    struct ipmpi_job *job; /* while it is a share */
    int engine_id;
    int world, rank;
    int parent;       /* rank; 0: rank 0 */
    uint32_t replies; /* that come this way; 0: it is in no tree */
};

struct ipmpi_gather {
    uint64_t number;
    int64_t due_us; /* 0: given up */
    struct ipmpi_gather *prev, *next;
    size_t n;
    struct member member[];
};

/* ---- trees ---------------------------------------------------------- */

/* Rooms to lay trees in. */
struct plan {
    struct ipmpi_engine *const *engine;
    struct ipmpi_tree_place *places;
    struct ipmpi_leg *legs;
    size_t *parent;
};

static void find_places(struct ipmpi_hub *hub, struct ipmpi_gather *gather,
                        const struct plan *plan)
{
    for (size_t i = 0; i < gather->n; i++) {
        struct member *member = &gather->member[i];

        member->world = -1;
        if (plan->engine[i] == NULL)
            continue;
        member->engine_id = plan->engine[i]->id;
        member->world =
            hub->out.place(hub->out.ctx, plan->engine[i]->rank, &member->rank);
    }
}

/* Lays a tree over those of one world. Returns whether there is one: not of too
 * few, nor of one engine twice. */
static bool lay_world(struct ipmpi_gather *gather, const struct plan *plan,
                      int world)
{
    size_t n = 0;

    for (size_t i = 0; i < gather->n; i++) {
        struct member *member = &gather->member[i];

        if (member->world != world)
            continue;
        member->world = -1; /* it is dealt with */
        plan->places[n++] =
            (struct ipmpi_tree_place){plan->engine[i]->node, member->rank, i};
    }
    if (n < TREE_MIN)
        return false;
    ipmpi_tree_lay(plan->places, n, plan->legs, plan->parent);
    for (size_t i = 1; i < n; i++)
        if (plan->places[i].rank == plan->places[i - 1].rank)
            return false;
    for (size_t i = 0; i < n; i++) {
        struct member *member = &gather->member[plan->places[i].member];

        member->replies = plan->legs[i].size;
        if (plan->parent[i] != IPMPI_TREE_ROOT)
            member->parent = plan->places[plan->parent[i]].rank;
    }
    return true;
}

/* Returns whether there is any tree. */
static bool lay_all(struct ipmpi_hub *hub, struct ipmpi_gather *gather,
                    const struct plan *plan)
{
    bool any = false;

    find_places(hub, gather, plan);
    for (size_t i = 0; i < gather->n; i++)
        if (gather->member[i].world >= 0 &&
            lay_world(gather, plan, gather->member[i].world))
            any = true;
    return any;
}

struct ipmpi_gather *ipmpi_gather_create(struct ipmpi_hub *hub,
                                         struct ipmpi_engine *const *engine,
                                         size_t n)
{
    struct plan plan = {.engine = engine};
    struct ipmpi_gather *gather;
    bool good;

    if (hub->out.place == NULL || n < TREE_MIN)
        return NULL;
    gather = calloc(1, sizeof(*gather) + n * sizeof(gather->member[0]));
    plan.places = calloc(n, sizeof(*plan.places));
    plan.legs = calloc(n, sizeof(*plan.legs));
    plan.parent = calloc(n, sizeof(*plan.parent));
    good = gather != NULL && plan.places != NULL && plan.legs != NULL &&
           plan.parent != NULL;
    if (good) {
        gather->n = n;
        good = lay_all(hub, gather, &plan);
    }
    free(plan.places);
    free(plan.legs);
    free(plan.parent);
    if (!good) {
        free(gather);
        return NULL;
    }
    gather->number = ++hub->last_gather;
    gather->due_us = hub->out.now_us(hub->out.ctx) + PATIENCE_US;
    DL_APPEND(hub->gathers, gather);
    return gather;
}

static void stop_waiting(struct ipmpi_hub *hub, struct ipmpi_gather *gather)
{
    if (gather->due_us != 0)
        DL_DELETE(hub->gathers, gather);
    gather->due_us = 0;
}

void ipmpi_gather_destroy(struct ipmpi_hub *hub, struct ipmpi_gather **gather)
{
    if (*gather == NULL)
        return;
    stop_waiting(hub, *gather);
    free(*gather);
    *gather = NULL;
}

/* ---- shares --------------------------------------------------------- */

void ipmpi_gather_enter(struct ipmpi_gather *gather, size_t i,
                        struct ipmpi_job *job)
{
    if (gather->member[i].replies == 0)
        return;
    job->gather = gather;
    job->member = i;
    job->flags |= IPMPI_WORK_GATHER;
    gather->member[i].job = job;
}

static void leave(struct ipmpi_job *job)
{
    job->gather->member[job->member].job = NULL;
    job->gather = NULL;
    job->flags &= ~IPMPI_WORK_GATHER;
}

void ipmpi_gather_leave(struct ipmpi_job *job)
{
    if (job->gather != NULL)
        leave(job);
}

/* The lowest ref that its engine has to keep the reply of: shares are sent in
 * the order of their refs. */
static uint64_t lowest_open(const struct ipmpi_job *job,
                            const struct ipmpi_engine *engine)
{
    struct ipmpi_held *held;

    DL_FOREACH (engine->sent.first, held) {
        const struct ipmpi_job *sent = ipmpi_job_of(held);

        if (sent->gather != NULL)
            return sent->ref < job->ref ? sent->ref : job->ref;
    }
    return job->ref;
}

int ipmpi_gather_add_leg(const struct ipmpi_job *job,
                         const struct ipmpi_engine *engine,
                         struct ipmpi_frames *out)
{
    const struct member *member = &job->gather->member[job->member];
    const struct ipmpi_gather_leg leg = {
        .number = job->gather->number,
        .open = lowest_open(job, engine),
        .parent = member->parent,
        .replies = member->replies,
    };

    return ipmpi_frames_add_copy(out, &leg, sizeof(leg));
}

/* ---- replies -------------------------------------------------------- */

/* The parts that a coalesced reply is made of; the others are empty. Those of
 * one who does not speak are its buffers. */
static int make_parts(const struct ipmpi_gathered *gathered,
                      const struct ipmpi_gathered_share *share, size_t buffer,
                      struct ipmpi_frames *out)
{
    const bool speaks = share == ipmpi_gathered_speaker(gathered);
    const size_t said = speaks ? gathered->speech.n : 0;
    int err = 0;

    for (int i = 0; err == 0 && i < 1 + IPMPI_PART_METADATA; i++)
        err = ipmpi_frames_add_static(out, "", 0);
    if (err == 0)
        err = ipmpi_frames_add_from(out, &gathered->speech, 0, said);
    for (size_t i = said; err == 0 && i < 2; i++)
        err = ipmpi_frames_add_static(out, "", 0);
    if (err == 0)
        err = ipmpi_frames_add_from(out, &gathered->buffers, buffer,
                                    share->nbuffers);
    return err;
}

static void take_share(struct ipmpi_hub *hub, uint64_t number,
                       const struct ipmpi_gathered *gathered,
                       const struct ipmpi_gathered_share *share, size_t buffer)
{
    struct ipmpi_job *job = ipmpi_job_by_ref(&hub->ledger, share->ref);
    struct ipmpi_reply reply = {.status = share->status};
    struct ipmpi_engine *engine;

    if (job == NULL)
        return; /* decided before: its second answer disturbs nobody */
    if (job->state != IPMPI_JOB_SENT || job->gather == NULL ||
        job->gather->number != number) {
        ipmpi_log_error("GATHER-REPLY",
                        "reply to %s, which is not gathered; "
                        "dropped",
                        job->msg_id);
        return;
    }
    engine = job->engine;
    if (make_parts(gathered, share, buffer, &reply.parts) != 0)
        ipmpi_log_error("GATHER-MEMORY",
                        "out of memory; part of the reply to "
                        "%s is lost",
                        job->msg_id);
    ipmpi_dispatch_gathered(hub, job, &reply);
    ipmpi_thefts_feed(hub, engine); /* it may be idle now */
}

void ipmpi_gathers_take(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                        const struct ipmpi_msg_head *head,
                        struct ipmpi_frames *frames)
{
    struct ipmpi_gathered gathered;
    size_t buffer = 0;
    int err = ipmpi_gathered_read(frames, &gathered);

    if (err != 0) { /* what it had will come straight */
        ipmpi_log_error("GATHER-REPLY", "replies from engine %d dropped: %s",
                        engine->id, ipmpi_strerror(err));
        return;
    }
    for (size_t i = 0; i < gathered.n; i++) {
        const struct ipmpi_gathered_share *share = &gathered.share[i];

        if (!(share->flags & IPMPI_SHARE_APART))
            take_share(hub, head->ref, &gathered, share, buffer);
        buffer += share->nbuffers;
    }
    ipmpi_gathered_clear(&gathered);
}

/* ---- when something goes wrong -------------------------------------- */

/* The engine replies straight to rank 0, once more if it has done so. */
static void ask(struct ipmpi_hub *hub, const struct ipmpi_job *job)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_STRAIGHT,
                                        .ref = job->ref};

    ipmpi_hub_tell_engine(hub, job->engine, &head, NULL);
}

static void give_up(struct ipmpi_hub *hub, struct ipmpi_gather *gather)
{
    stop_waiting(hub, gather);
    for (size_t i = 0; i < gather->n; i++) {
        struct ipmpi_job *job = gather->member[i].job;

        if (job != NULL && job->state == IPMPI_JOB_SENT)
            ask(hub, job);
        else if (job != NULL) /* it knows of no tree yet */
            leave(job);
    }
}

static bool has_place(const struct ipmpi_gather *gather, int id)
{
    for (size_t i = 0; i < gather->n; i++)
        if (gather->member[i].replies > 0 && gather->member[i].engine_id == id)
            return true;
    return false;
}

void ipmpi_gathers_engine_gone(struct ipmpi_hub *hub, int id)
{
    struct ipmpi_gather *gather, *next;

    DL_FOREACH_SAFE (hub->gathers, gather, next) {
        if (has_place(gather, id))
            give_up(hub, gather);
    }
}

int64_t ipmpi_gathers_deadline_us(const struct ipmpi_hub *hub)
{
    return hub->gathers != NULL ? hub->gathers->due_us : INT64_MAX;
}

void ipmpi_gathers_fire_timers(struct ipmpi_hub *hub)
{
    const int64_t now_us = hub->out.now_us(hub->out.ctx);

    while (ipmpi_gathers_deadline_us(hub) <= now_us)
        give_up(hub, hub->gathers);
}

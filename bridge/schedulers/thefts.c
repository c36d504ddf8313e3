/* The origin's side of thefts.
 *
 * Note [no race]. GIVE travels the way of WORK, so its victim has all that it
 * was sent when it answers; and what it had begun it said before. A victim
 * that had nothing to give (`emptied`), or did not answer, is not asked again
 * until something new is sent there. So orders come to an end. */
#include "bridge/schedulers/thefts.h"

#include <string.h>

#include <utlist.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/givers.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

/* An engine that was not stopped answers at once. */
enum { ORDER_US = 1000 * 1000 };

static int rank_in_world(const struct ipmpi_engine *engine)
{
    return engine->rank - engine->world + 1;
}

static struct ipmpi_engine *find(const struct ipmpi_hub *hub,
                                 const struct ipmpi_engine *of_world, int rank)
{
    struct ipmpi_engine *engine =
        ipmpi_registry_by_rank(&hub->registry, of_world->world + rank - 1);

    return engine != NULL && engine->world == of_world->world ? engine : NULL;
}

static void tell(struct ipmpi_hub *hub, const struct ipmpi_engine *engine,
                 int type, int detail, unsigned flags,
                 struct ipmpi_frames *more)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = (uint16_t)type,
        .flags = (uint16_t)flags,
        .detail = detail,
    };

    ipmpi_hub_tell_engine(hub, engine, &head, more);
}

/* ---- orders --------------------------------------------------------- */

static bool is_idle(const struct ipmpi_engine *engine)
{
    return engine->state == IPMPI_ENGINE_LIVE && engine->sent.n == 0 &&
           engine->waiting == NULL;
}

void ipmpi_thefts_feed(struct ipmpi_hub *hub, struct ipmpi_engine *thief)
{
    struct ipmpi_engine *victim;

    if (!hub->sharing.steal || hub->sharing.nstealable == 0 ||
        !is_idle(thief) || thief->hinted || thief->giver != NULL)
        return;
    victim = ipmpi_givers_choose(hub, thief);
    if (victim == NULL)
        return;
    thief->giver = victim;
    thief->order_due_us = hub->out.now_us(hub->out.ctx) + ORDER_US;
    DL_APPEND2(victim->takers, thief, taker_prev, taker_next);
    DL_APPEND2(hub->sharing.orders, thief, order_prev, order_next);
    tell(hub, victim, IPMPI_MSG_GIVE,
         victim->world == thief->world ? rank_in_world(thief) : 0, 0, NULL);
}

/* The order to give it something is settled. */
static void settle(struct ipmpi_hub *hub, struct ipmpi_engine *thief)
{
    DL_DELETE2(thief->giver->takers, thief, taker_prev, taker_next);
    DL_DELETE2(hub->sharing.orders, thief, order_prev, order_next);
    thief->giver = NULL;
    ipmpi_thefts_feed(hub, thief);
}

/* All orders to `victim` are; some may get new ones, to it, too. */
static void settle_all(struct ipmpi_hub *hub, struct ipmpi_engine *victim)
{
    const struct ipmpi_engine *last =
        victim->takers != NULL ? victim->takers->taker_prev : NULL;
    struct ipmpi_engine *thief;

    while (last != NULL) {
        thief = victim->takers;
        if (thief == last)
            last = NULL;
        settle(hub, thief);
    }
}

int64_t ipmpi_thefts_deadline_us(const struct ipmpi_hub *hub)
{
    return hub->sharing.orders != NULL ? hub->sharing.orders->order_due_us
                                       : INT64_MAX;
}

void ipmpi_thefts_fire_timers(struct ipmpi_hub *hub)
{
    const int64_t now = hub->out.now_us(hub->out.ctx);

    while (ipmpi_thefts_deadline_us(hub) <= now) {
        struct ipmpi_engine *thief = hub->sharing.orders;

        thief->giver->emptied = true;
        ipmpi_givers_note(hub, thief->giver);
        settle(hub, thief);
    }
}

void ipmpi_thefts_hungry(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                         const struct ipmpi_msg_head *head,
                         struct ipmpi_frames *frames)
{
    (void)head;
    (void)frames;
    engine->hinted = false;
    ipmpi_thefts_feed(hub, engine);
}

/* ---- hand-overs ----------------------------------------------------- */

static size_t count_refs(const struct ipmpi_frames *frames)
{
    if (frames->n < 2 || frames->at[1].len % sizeof(uint64_t) != 0)
        return 0;
    return frames->at[1].len / sizeof(uint64_t);
}

static uint64_t ref_at(const struct ipmpi_frames *frames, size_t i)
{
    uint64_t ref;

    memcpy(&ref, frames->at[1].data + i * sizeof(ref), sizeof(ref));
    return ref;
}

/* One task: whether the thief has it now. */
static bool move(struct ipmpi_hub *hub, uint64_t ref,
                 struct ipmpi_engine *victim, struct ipmpi_engine *thief)
{
    struct ipmpi_job *job = ipmpi_job_by_ref(&hub->ledger, ref);
    enum ipmpi_handover verdict = IPMPI_HANDOVER_STALE;

    if (job != NULL)
        verdict = ipmpi_dispatch_hand_over(hub, job, victim, thief);
    if (verdict == IPMPI_HANDOVER_STALE)
        return false;
    ipmpi_balanced_moved(hub, job, victim,
                         verdict == IPMPI_HANDOVER_GRANTED ? thief : NULL);
    return verdict == IPMPI_HANDOVER_GRANTED;
}

/* Both lists of a GRANT; room for all refs in each. */
struct grant {
    uint64_t *granted, *refused;
    size_t ngranted, nrefused;
};

static void move_all(struct ipmpi_hub *hub, const struct ipmpi_frames *frames,
                     struct ipmpi_engine *victim, struct ipmpi_engine *thief,
                     struct grant *grant)
{
    const size_t n = count_refs(frames);

    for (size_t i = 0; i < n; i++) {
        const uint64_t ref = ref_at(frames, i);

        if (move(hub, ref, victim, thief))
            grant->granted[grant->ngranted++] = ref;
        else
            grant->refused[grant->nrefused++] = ref;
    }
}

/* The thief keeps in limbo what it is told nothing of: nothing may be lost
 * here. A thief that cannot be told has to go. */
static void answer(struct ipmpi_hub *hub, const struct ipmpi_engine *victim,
                   struct ipmpi_engine *thief, const struct grant *grant)
{
    struct ipmpi_frames more = {0};
    int err = ipmpi_frames_add_copy(&more, grant->granted,
                                    grant->ngranted * sizeof(uint64_t));

    if (err == 0)
        err = ipmpi_frames_add_copy(&more, grant->refused,
                                    grant->nrefused * sizeof(uint64_t));
    if (err != 0) {
        ipmpi_log_error("THEFT-MEMORY",
                        "out of memory; engine %d is told to "
                        "leave",
                        thief->id);
        ipmpi_frames_clear(&more);
        tell(hub, thief, IPMPI_MSG_SHUTDOWN, 0, 0, NULL);
        return;
    }
    thief->hinted = true;
    tell(hub, thief, IPMPI_MSG_GRANT, rank_in_world(victim), 0, &more);
}

static void count_theft(struct ipmpi_sharing *sharing,
                        const struct ipmpi_engine *thief,
                        const struct grant *grant)
{
    if (thief == NULL) {
        sharing->nreturned += grant->nrefused;
        return;
    }
    sharing->nthefts += grant->ngranted > 0;
    sharing->nstolen += grant->ngranted;
    sharing->nrefused += grant->nrefused;
}

void ipmpi_thefts_handover(struct ipmpi_hub *hub, struct ipmpi_engine *victim,
                           const struct ipmpi_msg_head *head,
                           struct ipmpi_frames *frames)
{
    struct ipmpi_engine *thief =
        head->detail > 0 ? find(hub, victim, head->detail) : NULL;
    const size_t n = count_refs(frames);
    struct grant grant = {0};

    if (n == 0) {
        victim->emptied = true; /* see note [no race] */
        ipmpi_givers_note(hub, victim);
    }
    grant.granted = calloc(2 * n + 1, sizeof(uint64_t));
    if (grant.granted == NULL) {
        ipmpi_log_error("THEFT-MEMORY",
                        "out of memory; engine %d is told to "
                        "leave",
                        victim->id);
        tell(hub, victim, IPMPI_MSG_SHUTDOWN, 0, 0, NULL);
        return;
    }
    grant.refused = grant.granted + n;
    move_all(hub, frames, victim, thief, &grant);
    count_theft(&hub->sharing, thief, &grant);
    if (thief != NULL && n > 0)
        answer(hub, victim, thief, &grant);
    free(grant.granted);
    if (thief == NULL)
        settle_all(hub, victim);
    else if (thief->giver == victim)
        settle(hub, thief);
    ipmpi_balanced_scan(hub);
}

void ipmpi_thefts_missing(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                          const struct ipmpi_msg_head *head,
                          struct ipmpi_frames *frames)
{
    const size_t n = count_refs(frames);

    (void)head;
    for (size_t i = 0; i < n; i++) {
        struct ipmpi_job *job =
            ipmpi_job_by_ref(&hub->ledger, ref_at(frames, i));

        if (job == NULL || job->engine != engine ||
            job->state != IPMPI_JOB_SENT || job->held.started)
            continue;
        hub->sharing.nmissing++;
        ipmpi_dispatch_missing(hub, job);
        ipmpi_balanced_moved(hub, job, engine, NULL);
    }
    ipmpi_balanced_scan(hub);
}

void ipmpi_thefts_engine_gone(struct ipmpi_hub *hub,
                              struct ipmpi_engine *engine)
{
    if (engine->giver != NULL)
        settle(hub, engine);
    settle_all(hub, engine);
}

/* The origin's side of thefts.
 *
 * Note [no race]. GIVE travels the way of WORK, so its victim has all that it
 * was sent when it answers; and what it had begun it said before. A victim
 * that had nothing to give (`emptied`) is not asked again until something new
 * is sent there. So orders come to an end. */
#include "bridge/schedulers/thefts.h"

#include <string.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

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

/* Something waits there behind something else. */
static bool can_give(const struct ipmpi_engine *engine)
{
    return engine->state == IPMPI_ENGINE_LIVE && engine->nstealable > 0 &&
           engine->sent.n > 1 && !engine->emptied;
}

/* Who has most to give: in the thief's world if anybody there has. */
static struct ipmpi_engine *choose_victim(const struct ipmpi_hub *hub,
                                          const struct ipmpi_engine *thief)
{
    struct ipmpi_engine *engine, *next, *best = NULL;

    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        const bool near = engine->world == thief->world;
        const bool best_near = best != NULL && best->world == thief->world;

        if (engine == thief || !can_give(engine))
            continue;
        if (best == NULL || near > best_near ||
            (near == best_near && engine->nstealable > best->nstealable))
            best = engine;
    }
    return best;
}

void ipmpi_thefts_feed(struct ipmpi_hub *hub, struct ipmpi_engine *thief)
{
    struct ipmpi_engine *victim;

    if (!hub->sharing.steal || hub->sharing.nstealable == 0 ||
        !is_idle(thief) || thief->hinted || thief->giver != 0)
        return;
    victim = choose_victim(hub, thief);
    if (victim == NULL)
        return;
    thief->giver = victim->rank;
    tell(hub, victim, IPMPI_MSG_GIVE,
         victim->world == thief->world ? rank_in_world(thief) : 0, 0, NULL);
}

/* The order to `victim` is settled; `thief` NULL: whoever waits for it. */
static void settle_order(struct ipmpi_hub *hub,
                         const struct ipmpi_engine *victim,
                         const struct ipmpi_engine *thief)
{
    struct ipmpi_engine *engine, *next;

    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        if (engine->giver != victim->rank || (thief != NULL && thief != engine))
            continue;
        engine->giver = 0;
        ipmpi_thefts_feed(hub, engine);
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

    if (n == 0)
        victim->emptied = true; /* see note [no race] */
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
    settle_order(hub, victim, thief);
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
                              const struct ipmpi_engine *engine)
{
    settle_order(hub, engine, NULL);
}

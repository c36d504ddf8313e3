/* The rendezvous: events come in, move a member by its table, and with it the
 * round by its own.
 *
 * Threads: one. */
#include "launch/rendezvous/rendezvous.h"

#include <stdio.h>
#include <stdlib.h>

#include "launch/rendezvous/rendezvous_inside.h"
#include "runtime/base/error.h"

/* How many are there: this moves a round that gathers. */
static void count(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    const unsigned n = ipmpi_members_choosable(rdv, now_us);

    if (rdv->state <= IPMPI_ROUND_LAST_CALL && now_us < rdv->pause_us)
        return;
    ipmpi_rounds_step(rdv,
                      n >= rdv->limits.max   ? IPMPI_ROUND_FULL
                      : n >= rdv->limits.min ? IPMPI_ROUND_ENOUGH
                                             : IPMPI_ROUND_BELOW,
                      now_us);
    ipmpi_recruits_look(rdv, now_us);
}

int ipmpi_rendezvous_create(const struct ipmpi_rendezvous_limits *limits,
                            const struct ipmpi_rendezvous_calls *calls,
                            int64_t now_us, struct ipmpi_rendezvous **rdv_out)
{
    struct ipmpi_rendezvous *rdv;

    if (limits->min == 0 || limits->min > limits->max ||
        limits->max > IPMPI_NODES_MAX)
        return IPMPI_EINVAL;
    rdv = calloc(1, sizeof(*rdv));
    if (rdv == NULL)
        return IPMPI_ENOMEM;
    rdv->limits = *limits;
    rdv->calls = *calls;
    rdv->join_end_us = rdv->deadline_us = now_us + limits->join_us;
    *rdv_out = rdv;
    return 0;
}

void ipmpi_rendezvous_destroy(struct ipmpi_rendezvous **rdv)
{
    free(*rdv);
    *rdv = NULL;
}

/* One of the committed is gone. */
static void lose(struct ipmpi_rendezvous *rdv, const struct ipmpi_member *who,
                 int64_t now_us)
{
    unsigned left = 0;

    for (unsigned i = 0; i < rdv->nchosen; i++)
        left += rdv->member[rdv->chosen[i]].state == IPMPI_MEMBER_COMMITTED;
    rdv->headless = rdv->state == IPMPI_ROUND_RUNNING && who->place == 0;
    ipmpi_rounds_step(rdv,
                      who->place == 0 || left < rdv->limits.keep
                          ? IPMPI_ROUND_LOST_LEADER
                          : IPMPI_ROUND_LOST_ONE,
                      now_us);
}

/* A member is gone; what it was decides what that means. */
static void leave(struct ipmpi_rendezvous *rdv, struct ipmpi_member *member,
                  enum ipmpi_member_state before, int64_t now_us)
{
    if (before < IPMPI_MEMBER_ASKED || before > IPMPI_MEMBER_COMMITTED)
        return;
    ipmpi_members_cool(member, now_us);
    if (before == IPMPI_MEMBER_COMMITTED)
        lose(rdv, member, now_us);
    else
        ipmpi_rounds_step(rdv, IPMPI_ROUND_BROKEN, now_us);
}

static void look_ready(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    for (unsigned i = 0; i < rdv->nchosen; i++)
        if (rdv->member[rdv->chosen[i]].state != IPMPI_MEMBER_READY)
            return;
    ipmpi_rounds_step(rdv, IPMPI_ROUND_ALL_READY, now_us);
}

int ipmpi_rendezvous_member(struct ipmpi_rendezvous *rdv, unsigned index,
                            enum ipmpi_member_event event, uint64_t generation,
                            unsigned slots, const char *reason, int64_t now_us)
{
    struct ipmpi_member *member;
    enum ipmpi_member_state before;
    int err;

    if (index >= rdv->nmembers)
        return IPMPI_EINVAL;
    member = &rdv->member[index];
    before = member->state;
    if ((event == IPMPI_MEMBER_IS_READY || event == IPMPI_MEMBER_REFUSED) &&
        generation != rdv->generation)
        return IPMPI_ESTATE;
    err = ipmpi_members_step(member, event);
    if (err != 0)
        return err;
    if (reason != NULL)
        snprintf(member->reason, sizeof(member->reason), "%s", reason);
    switch (event) {
    case IPMPI_MEMBER_OFFER:
        member->slots = slots;
        member->reason[0] = 0;
        if (generation > rdv->newest)
            rdv->newest = generation;
        break;
    case IPMPI_MEMBER_IS_READY:
        if (!ipmpi_recruits_ready(rdv, index))
            look_ready(rdv, now_us);
        break;
    case IPMPI_MEMBER_REFUSED:
        ipmpi_recruits_lost(rdv, index);
        ipmpi_members_cool(member, now_us);
        ipmpi_rounds_step(rdv, IPMPI_ROUND_BROKEN, now_us);
        break;
    case IPMPI_MEMBER_GONE:
        ipmpi_recruits_lost(rdv, index);
        leave(rdv, member, before, now_us);
        break;
    default:
        break;
    }
    count(rdv, now_us);
    return 0;
}

int ipmpi_rendezvous_runs(struct ipmpi_rendezvous *rdv, uint64_t generation,
                          int64_t now_us)
{
    if (generation != rdv->generation)
        return IPMPI_ESTATE;
    ipmpi_rounds_step(rdv, IPMPI_ROUND_RUNS, now_us);
    return 0;
}

int ipmpi_rendezvous_end(struct ipmpi_rendezvous *rdv, uint64_t generation,
                         bool started, int64_t now_us)
{
    if (generation != rdv->generation || rdv->nchosen == 0)
        return IPMPI_ESTATE;
    ipmpi_rounds_step(rdv, started ? IPMPI_ROUND_END : IPMPI_ROUND_FALSE_START,
                      now_us);
    return 0;
}

int ipmpi_rendezvous_stop(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    ipmpi_rounds_step(rdv, IPMPI_ROUND_STOP, now_us);
    return 0;
}

/* Note [back]. A launcher can lose its connections and the job none of its
 * own: a laptop slept, a router was down. So a round that has lost its leader
 * gathers for the next one, and goes back to what it was when the leader shows
 * up before the next has begun. After that whoever works for the old one is
 * drained: of two leaders, the later generation's is the one. */
int ipmpi_rendezvous_back(struct ipmpi_rendezvous *rdv, unsigned index,
                          uint64_t generation, int64_t now_us)
{
    struct ipmpi_member *member;

    if (index >= rdv->nmembers)
        return IPMPI_EINVAL;
    member = &rdv->member[index];
    if (member->state != IPMPI_MEMBER_OPEN || generation == 0 ||
        member->committed != generation)
        return IPMPI_ESTATE;
    if (generation != rdv->generation)
        return IPMPI_EDEAD;
    if (rdv->headless && member->place != 0)
        return IPMPI_EBUSY;
    if (!rdv->headless && rdv->state != IPMPI_ROUND_RUNNING)
        return IPMPI_EDEAD;
    ipmpi_members_step(member, IPMPI_MEMBER_BACK);
    ipmpi_members_include(rdv, index);
    if (rdv->headless)
        ipmpi_rounds_step(rdv, IPMPI_ROUND_BACK, now_us);
    count(rdv, now_us);
    return 0;
}

void ipmpi_rendezvous_forbid_growth(struct ipmpi_rendezvous *rdv)
{
    rdv->limits.grow = false;
}

int64_t ipmpi_rendezvous_tick(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    int64_t next_us;

    if (now_us >= rdv->deadline_us)
        ipmpi_rounds_step(rdv, IPMPI_ROUND_TIMEOUT, now_us);
    ipmpi_recruits_tick(rdv, now_us);
    count(rdv, now_us); /* a cool-down may be over */
    next_us = rdv->deadline_us;
    if (rdv->state <= IPMPI_ROUND_LAST_CALL && rdv->pause_us > now_us &&
        rdv->pause_us < next_us)
        next_us = rdv->pause_us;
    if (rdv->recruiting && rdv->recruit_end_us < next_us)
        next_us = rdv->recruit_end_us;
    if (rdv->state <= IPMPI_ROUND_LAST_CALL ||
        (rdv->state == IPMPI_ROUND_RUNNING && rdv->limits.grow))
        for (unsigned i = 0; i < rdv->nmembers; i++) {
            const struct ipmpi_member *member = &rdv->member[i];

            if (member->state == IPMPI_MEMBER_OFFERED &&
                member->cool_us > now_us && member->cool_us < next_us)
                next_us = member->cool_us;
        }
    return next_us;
}

enum ipmpi_round_state
ipmpi_rendezvous_state(const struct ipmpi_rendezvous *rdv)
{
    return rdv->state;
}

uint64_t ipmpi_rendezvous_generation(const struct ipmpi_rendezvous *rdv)
{
    return rdv->generation;
}

bool ipmpi_rendezvous_headless(const struct ipmpi_rendezvous *rdv)
{
    return rdv->headless;
}

const struct ipmpi_member *
ipmpi_rendezvous_at(const struct ipmpi_rendezvous *rdv, unsigned member)
{
    if (member >= rdv->nmembers ||
        rdv->member[member].state == IPMPI_MEMBER_UNSEEN)
        return NULL;
    return &rdv->member[member];
}

unsigned ipmpi_rendezvous_places(const struct ipmpi_rendezvous *rdv)
{
    return rdv->nmembers;
}

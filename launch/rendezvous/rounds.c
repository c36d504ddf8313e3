/* The round and its table.
 *
 *              ENOUGH            FULL, TIMEOUT          ALL_READY
 *   GATHERING -------> LAST_CALL -------------> PREPARING -------> COMMITTED
 *      ^  ^               | BELOW                   |                  | RUNS
 *      |  +---------------+        BROKEN, TIMEOUT  |                  v
 *      +--------------------------------------------+---------- RUNNING -->
 * ENDED (also FALSE_START and LOST_LEADER, while attempts are left; and BACK
 * from GATHERING or LAST_CALL to RUNNING)
 *
 * Invariant: the generation only grows, and each PREPARE has one of its own,
 * above all that any agent has reported.
 * Threads:   one. */
#include <stdio.h>

#include "launch/rendezvous/rendezvous_inside.h"

static void do_last_call(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    rdv->deadline_us = now_us + rdv->limits.last_call_us;
    if (rdv->deadline_us > rdv->join_end_us && rdv->join_end_us > now_us)
        rdv->deadline_us = rdv->join_end_us;
}

static void do_gather(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    (void)now_us;
    rdv->deadline_us = rdv->join_end_us;
}

static void do_prepare(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    ipmpi_members_choose(rdv, now_us);
    if (rdv->newest > rdv->generation)
        rdv->generation = rdv->newest;
    rdv->generation++;
    rdv->headless = false;
    rdv->nplaces = rdv->nchosen;
    rdv->recruiting = false;
    rdv->deadline_us = now_us + rdv->limits.prepare_us;
    for (unsigned i = 0; i < rdv->nchosen; i++) {
        ipmpi_members_step(&rdv->member[rdv->chosen[i]], IPMPI_MEMBER_ASK);
        rdv->member[rdv->chosen[i]].place = i;
    }
    rdv->calls.prepare(rdv->calls.arg, rdv->generation, rdv->chosen,
                       rdv->nchosen);
}

static void do_commit(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    struct ipmpi_member *leader = &rdv->member[rdv->chosen[0]];

    for (unsigned i = 0; i < rdv->nchosen; i++)
        ipmpi_members_commit(rdv, rdv->chosen[i]);
    snprintf(rdv->last_leader, sizeof(rdv->last_leader), "%s", leader->id);
    rdv->deadline_us = now_us + rdv->limits.start_us;
    rdv->calls.commit(rdv->calls.arg, rdv->generation, rdv->chosen,
                      rdv->nchosen);
}

/* The round did not come about: whoever was in it is told, and it is tried
 * again after a moment. */
static void do_again(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    for (unsigned i = 0; i < rdv->nchosen; i++) {
        const enum ipmpi_member_state state = rdv->member[rdv->chosen[i]].state;

        if (state >= IPMPI_MEMBER_ASKED && state <= IPMPI_MEMBER_COMMITTED)
            rdv->calls.drain(rdv->calls.arg, rdv->generation, rdv->chosen[i]);
    }
    ipmpi_members_release(rdv);
    rdv->attempts++;
    rdv->join_end_us = now_us + rdv->limits.join_us;
    rdv->deadline_us = rdv->join_end_us;
}

/* mpirun did not bring the job about, for a reason that may pass or not: each
 * time it is left alone for longer. */
static void do_again_later(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    do_again(rdv, now_us);
    rdv->pause_us = now_us + ((int64_t)IPMPI_SECOND_US << rdv->attempts);
}

/* The chosen that said nothing in time: they are not asked again soon. */
static void do_drop_slow(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    for (unsigned i = 0; i < rdv->nchosen; i++) {
        struct ipmpi_member *member = &rdv->member[rdv->chosen[i]];

        if (member->state != IPMPI_MEMBER_ASKED)
            continue;
        snprintf(member->reason, sizeof(member->reason),
                 "said nothing to PREPARE");
        rdv->calls.drop(rdv->calls.arg, rdv->chosen[i]);
        ipmpi_members_step(member, IPMPI_MEMBER_GONE);
    }
    do_again(rdv, now_us);
}

static void do_run(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    (void)now_us;
    rdv->attempts = 0;
    rdv->deadline_us = INT64_MAX;
}

static void do_note(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    (void)rdv;
    (void)now_us; /* the member's own state tells it */
}

static void do_restart(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    rdv->restarts++;
    do_again(rdv, now_us);
}

/* As if it had not been lost, see note [back]. */
static void do_resume(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    rdv->headless = false;
    rdv->restarts--;
    do_run(rdv, now_us);
}

/* The leader is told, and its mpirun tells the daemons: one that is told from
 * two sides may end before its ranks (PRRTE's does). */
static void do_drain(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    rdv->deadline_us = now_us + rdv->limits.drain_us;
    rdv->calls.drain(rdv->calls.arg, rdv->generation, rdv->chosen[0]);
}

static void do_end(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    (void)now_us;
    ipmpi_members_release(rdv);
    rdv->deadline_us = INT64_MAX;
}

/* The leader cannot end it. */
static void do_end_each(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    for (unsigned i = 0; i < rdv->nchosen; i++)
        if (rdv->member[rdv->chosen[i]].state == IPMPI_MEMBER_COMMITTED)
            rdv->calls.drain(rdv->calls.arg, rdv->generation, rdv->chosen[i]);
    do_end(rdv, now_us);
}

#define R(name) IPMPI_ROUND_##name

static const struct rule {
    void (*act)(struct ipmpi_rendezvous *rdv, int64_t now_us); /* NULL: empty */
    enum ipmpi_round_state next;
} rules[R(NSTATES)][R(NEVENTS)] = {
    [R(GATHERING)][R(BELOW)] = {do_note, R(GATHERING)},
    [R(GATHERING)][R(ENOUGH)] = {do_last_call, R(LAST_CALL)},
    [R(GATHERING)][R(FULL)] = {do_prepare, R(PREPARING)},
    [R(GATHERING)][R(TIMEOUT)] = {do_end, R(FAILED)},
    [R(GATHERING)][R(BACK)] = {do_resume, R(RUNNING)},
    [R(GATHERING)][R(STOP)] = {do_end, R(ENDED)},

    [R(LAST_CALL)][R(BELOW)] = {do_gather, R(GATHERING)},
    [R(LAST_CALL)][R(ENOUGH)] = {do_note, R(LAST_CALL)},
    [R(LAST_CALL)][R(FULL)] = {do_prepare, R(PREPARING)},
    [R(LAST_CALL)][R(TIMEOUT)] = {do_prepare, R(PREPARING)},
    [R(LAST_CALL)][R(BACK)] = {do_resume, R(RUNNING)},
    [R(LAST_CALL)][R(STOP)] = {do_end, R(ENDED)},

    [R(PREPARING)][R(BELOW)] = {do_note, R(PREPARING)},
    [R(PREPARING)][R(ENOUGH)] = {do_note, R(PREPARING)},
    [R(PREPARING)][R(FULL)] = {do_note, R(PREPARING)},
    [R(PREPARING)][R(ALL_READY)] = {do_commit, R(COMMITTED)},
    [R(PREPARING)][R(BROKEN)] = {do_again, R(GATHERING)},
    [R(PREPARING)][R(TIMEOUT)] = {do_drop_slow, R(GATHERING)},
    [R(PREPARING)][R(STOP)] = {do_end, R(ENDED)},

    [R(COMMITTED)][R(BELOW)] = {do_note, R(COMMITTED)},
    [R(COMMITTED)][R(ENOUGH)] = {do_note, R(COMMITTED)},
    [R(COMMITTED)][R(FULL)] = {do_note, R(COMMITTED)},
    [R(COMMITTED)][R(BROKEN)] = {do_again, R(GATHERING)},
    [R(COMMITTED)][R(RUNS)] = {do_run, R(RUNNING)},
    [R(COMMITTED)][R(LOST_ONE)] = {do_again, R(GATHERING)},
    [R(COMMITTED)][R(LOST_LEADER)] = {do_again, R(GATHERING)},
    [R(COMMITTED)][R(FALSE_START)] = {do_again_later, R(GATHERING)},
    [R(COMMITTED)][R(END)] = {do_end, R(ENDED)},
    [R(COMMITTED)][R(TIMEOUT)] = {do_again_later, R(GATHERING)},
    [R(COMMITTED)][R(STOP)] = {do_drain, R(DRAINING)},

    [R(RUNNING)][R(BELOW)] = {do_note, R(RUNNING)},
    [R(RUNNING)][R(ENOUGH)] = {do_note, R(RUNNING)},
    [R(RUNNING)][R(FULL)] = {do_note, R(RUNNING)},
    [R(RUNNING)][R(RUNS)] = {do_note, R(RUNNING)},
    [R(RUNNING)][R(LOST_ONE)] = {do_note, R(RUNNING)},
    [R(RUNNING)][R(LOST_LEADER)] = {do_restart, R(GATHERING)},
    [R(RUNNING)][R(END)] = {do_end, R(ENDED)},
    [R(RUNNING)][R(STOP)] = {do_drain, R(DRAINING)},

    [R(DRAINING)][R(BELOW)] = {do_note, R(DRAINING)},
    [R(DRAINING)][R(ENOUGH)] = {do_note, R(DRAINING)},
    [R(DRAINING)][R(FULL)] = {do_note, R(DRAINING)},
    [R(DRAINING)][R(RUNS)] = {do_note, R(DRAINING)},
    [R(DRAINING)][R(LOST_ONE)] = {do_note, R(DRAINING)},
    [R(DRAINING)][R(LOST_LEADER)] = {do_end_each, R(ENDED)},
    [R(DRAINING)][R(FALSE_START)] = {do_end, R(ENDED)},
    [R(DRAINING)][R(END)] = {do_end, R(ENDED)},
    [R(DRAINING)][R(TIMEOUT)] = {do_end_each, R(ENDED)},
    [R(DRAINING)][R(STOP)] = {do_note, R(DRAINING)},
};

bool ipmpi_rendezvous_round_rule(enum ipmpi_round_state state,
                                 enum ipmpi_round_event event,
                                 enum ipmpi_round_state *next_out)
{
    const struct rule *rule = &rules[state][event];

    if (rule->act == NULL)
        return false;
    *next_out = rule->next;
    return true;
}

/* A round that is to be tried again, but has been tried often enough, fails:
 * the bound is kept here, for every cell that leads back. */
static void bound(struct ipmpi_rendezvous *rdv)
{
    if (rdv->state == IPMPI_ROUND_GATHERING &&
        (rdv->attempts > rdv->limits.attempts ||
         rdv->restarts > rdv->limits.restarts))
        rdv->state = IPMPI_ROUND_FAILED;
}

void ipmpi_rounds_step(struct ipmpi_rendezvous *rdv,
                       enum ipmpi_round_event event, int64_t now_us)
{
    const struct rule *rule = &rules[rdv->state][event];

    if (rule->act == NULL)
        return;
    rule->act(rdv, now_us);
    rdv->state = rule->next;
    bound(rdv);
}

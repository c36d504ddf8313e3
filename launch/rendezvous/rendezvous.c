/* The rendezvous: two tables, one for a member and one for the round.
 *
 *              ENOUGH            FULL, TIMEOUT          ALL_READY
 *   GATHERING -------> LAST_CALL -------------> PREPARING -------> COMMITTED
 *      ^  ^               | BELOW                   |                  | RUNS
 *      |  +---------------+        BROKEN, TIMEOUT  |                  v
 *      +--------------------------------------------+---------- RUNNING -->
 * ENDED (also FALSE_START and LOST_LEADER, while attempts are left)
 *
 * Invariant: the generation only grows, and each PREPARE has one of its own,
 * above all that any agent has reported.
 * Threads:   one. */
#include "launch/rendezvous/rendezvous.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/channel/protocol.h"
#include "runtime/base/error.h"

enum {
    COOL_FIRST_S = 5, /* doubles with each loss of the same host */
    COOL_MOST_S = 300,
};

struct ipmpi_rendezvous {
    struct ipmpi_rendezvous_limits limits;
    struct ipmpi_rendezvous_calls calls;
    enum ipmpi_round_state state;
    uint64_t generation;
    int64_t join_end_us; /* of this gathering */
    int64_t deadline_us; /* of the state */
    unsigned attempts, restarts;
    struct ipmpi_member member[IPMPI_NODES_MAX];
    unsigned nmembers;
    unsigned chosen[IPMPI_NODES_MAX]; /* of this generation, leader first */
    unsigned nchosen;
    char last_leader[IPMPI_MEMBER_ID_CAP];
};

/* -- the member's table --------------------------------------------------- */

#define M(name) IPMPI_MEMBER_##name

/* The next state plus one, so that 0 is an empty cell. */
static const uint8_t member_rules[M(NSTATES)]
                                 [M(NEVENTS)] = {
                                     [M(UNSEEN)] = {[M(LIST)] = M(LISTED) + 1},
                                     [M(LISTED)] =
                                         {
                                             [M(LIST)] = M(LISTED) + 1,
                                             [M(PROVED)] = M(OPEN) + 1,
                                             [M(GONE)] = M(LOST) + 1,
                                         },
                                     [M(OPEN)] =
                                         {
                                             [M(LIST)] = M(OPEN) + 1,
                                             [M(OFFER)] = M(OFFERED) + 1,
                                             [M(GONE)] = M(LOST) + 1,
                                         },
                                     [M(OFFERED)] =
                                         {
                                             [M(LIST)] = M(OFFERED) + 1,
                                             [M(OFFER)] = M(OFFERED) + 1,
                                             [M(ASK)] = M(ASKED) + 1,
                                             [M(GONE)] = M(LOST) + 1,
                                         },
                                     [M(ASKED)] =
                                         {
                                             [M(LIST)] = M(ASKED) + 1,
                                             [M(IS_READY)] = M(READY) + 1,
                                             [M(REFUSED)] = M(OFFERED) + 1,
                                             [M(RELEASE)] = M(OFFERED) + 1,
                                             [M(GONE)] = M(LOST) + 1,
                                         },
                                     [M(READY)] =
                                         {
                                             [M(LIST)] = M(READY) + 1,
                                             [M(COMMIT)] = M(COMMITTED) + 1,
                                             [M(REFUSED)] = M(OFFERED) + 1,
                                             [M(RELEASE)] = M(OFFERED) + 1,
                                             [M(GONE)] = M(LOST) + 1,
                                         },
                                     [M(COMMITTED)] =
                                         {
                                             [M(LIST)] = M(COMMITTED) + 1,
                                             [M(REFUSED)] = M(OFFERED) + 1,
                                             [M(RELEASE)] = M(OFFERED) + 1,
                                             [M(GONE)] = M(LOST) + 1,
                                         },
                                     [M(LOST)] =
                                         {
                                             [M(LIST)] = M(LISTED) + 1,
                                             [M(GONE)] = M(LOST) + 1,
                                         },
};

bool ipmpi_rendezvous_member_rule(enum ipmpi_member_state state,
                                  enum ipmpi_member_event event,
                                  enum ipmpi_member_state *next_out)
{
    const uint8_t cell = member_rules[state][event];

    if (cell == 0)
        return false;
    *next_out = cell - 1;
    return true;
}

static int step_member(struct ipmpi_member *member,
                       enum ipmpi_member_event event)
{
    enum ipmpi_member_state next;

    if (!ipmpi_rendezvous_member_rule(member->state, event, &next))
        return IPMPI_ESTATE;
    member->state = next;
    return 0;
}

/* -- what the round's table does ------------------------------------------ */

static void step(struct ipmpi_rendezvous *rdv, enum ipmpi_round_event event,
                 int64_t now_us);

/* Who leads: the one that led before, else the most slots, else the smallest
 * id, so that two launchers would choose alike. */
static bool leads_before(const struct ipmpi_rendezvous *rdv, unsigned a,
                         unsigned b)
{
    const struct ipmpi_member *x = &rdv->member[a], *y = &rdv->member[b];
    const bool x_led = strcmp(x->id, rdv->last_leader) == 0;
    const bool y_led = strcmp(y->id, rdv->last_leader) == 0;

    if (x_led != y_led)
        return x_led;
    if (x->slots != y->slots)
        return x->slots > y->slots;
    return strcmp(x->id, y->id) < 0;
}

static bool is_choosable(const struct ipmpi_member *member, int64_t now_us)
{
    return member->state == IPMPI_MEMBER_OFFERED && member->cool_us <= now_us;
}

static unsigned count_choosable(const struct ipmpi_rendezvous *rdv,
                                int64_t now_us)
{
    unsigned n = 0;

    for (unsigned i = 0; i < rdv->nmembers; i++)
        n += is_choosable(&rdv->member[i], now_us);
    return n;
}

/* The best `max` members, by insertion: few, and seldom. */
static void choose(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    rdv->nchosen = 0;
    for (unsigned i = 0; i < rdv->nmembers; i++) {
        unsigned at = rdv->nchosen;

        if (!is_choosable(&rdv->member[i], now_us))
            continue;
        while (at > 0 && leads_before(rdv, i, rdv->chosen[at - 1]))
            at--;
        if (at >= rdv->limits.max)
            continue;
        if (rdv->nchosen < rdv->limits.max)
            rdv->nchosen++;
        memmove(&rdv->chosen[at + 1], &rdv->chosen[at],
                (rdv->nchosen - 1 - at) * sizeof(rdv->chosen[0]));
        rdv->chosen[at] = i;
    }
}

static void release_all(struct ipmpi_rendezvous *rdv)
{
    for (unsigned i = 0; i < rdv->nmembers; i++)
        step_member(&rdv->member[i], IPMPI_MEMBER_RELEASE);
    rdv->nchosen = 0;
}

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
    choose(rdv, now_us);
    rdv->generation++;
    rdv->deadline_us = now_us + rdv->limits.prepare_us;
    for (unsigned i = 0; i < rdv->nchosen; i++) {
        step_member(&rdv->member[rdv->chosen[i]], IPMPI_MEMBER_ASK);
        rdv->member[rdv->chosen[i]].place = i;
    }
    rdv->calls.prepare(rdv->calls.arg, rdv->generation, rdv->chosen,
                       rdv->nchosen);
}

static void do_commit(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    struct ipmpi_member *leader = &rdv->member[rdv->chosen[0]];

    for (unsigned i = 0; i < rdv->nchosen; i++)
        step_member(&rdv->member[rdv->chosen[i]], IPMPI_MEMBER_COMMIT);
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
    release_all(rdv);
    rdv->attempts++;
    rdv->join_end_us = now_us + rdv->limits.join_us;
    rdv->deadline_us = rdv->join_end_us;
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
        step_member(member, IPMPI_MEMBER_GONE);
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

static void do_drain(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    rdv->deadline_us = now_us + rdv->limits.drain_us;
    for (unsigned i = 0; i < rdv->nchosen; i++)
        if (rdv->member[rdv->chosen[i]].state == IPMPI_MEMBER_COMMITTED)
            rdv->calls.drain(rdv->calls.arg, rdv->generation, rdv->chosen[i]);
}

static void do_end(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    (void)now_us;
    release_all(rdv);
    rdv->deadline_us = INT64_MAX;
}

/* -- the round's table ---------------------------------------------------- */

#define R(name) IPMPI_ROUND_##name

static const struct rule {
    void (*act)(struct ipmpi_rendezvous *rdv, int64_t now_us); /* NULL: empty */
    enum ipmpi_round_state next;
} round_rules[R(NSTATES)][R(NEVENTS)] =
    {
        [R(GATHERING)] =
            {
                [R(BELOW)] = {do_note, R(GATHERING)},
                [R(ENOUGH)] = {do_last_call, R(LAST_CALL)},
                [R(FULL)] = {do_prepare, R(PREPARING)},
                [R(TIMEOUT)] = {do_end, R(FAILED)},
                [R(STOP)] = {do_end, R(ENDED)},
            },
        [R(LAST_CALL)] =
            {
                [R(BELOW)] = {do_gather, R(GATHERING)},
                [R(ENOUGH)] = {do_note, R(LAST_CALL)},
                [R(FULL)] = {do_prepare, R(PREPARING)},
                [R(TIMEOUT)] = {do_prepare, R(PREPARING)},
                [R(STOP)] = {do_end, R(ENDED)},
            },
        [R(PREPARING)] =
            {
                [R(BELOW)] = {do_note, R(PREPARING)},
                [R(ENOUGH)] = {do_note, R(PREPARING)},
                [R(FULL)] = {do_note, R(PREPARING)},
                [R(ALL_READY)] = {do_commit, R(COMMITTED)},
                [R(BROKEN)] = {do_again, R(GATHERING)},
                [R(TIMEOUT)] = {do_drop_slow, R(GATHERING)},
                [R(STOP)] = {do_end, R(ENDED)},
            },
        [R(COMMITTED)] =
            {
                [R(BELOW)] = {do_note, R(COMMITTED)},
                [R(ENOUGH)] = {do_note, R(COMMITTED)},
                [R(FULL)] = {do_note, R(COMMITTED)},
                [R(BROKEN)] = {do_again, R(GATHERING)},
                [R(RUNS)] = {do_run, R(RUNNING)},
                [R(LOST_ONE)] = {do_again, R(GATHERING)},
                [R(LOST_LEADER)] = {do_again, R(GATHERING)},
                [R(FALSE_START)] = {do_again, R(GATHERING)},
                [R(END)] = {do_end, R(ENDED)},
                [R(TIMEOUT)] = {do_again, R(GATHERING)},
                [R(STOP)] = {do_drain, R(DRAINING)},
            },
        [R(RUNNING)] =
            {
                [R(BELOW)] = {do_note, R(RUNNING)},
                [R(ENOUGH)] = {do_note, R(RUNNING)},
                [R(FULL)] = {do_note, R(RUNNING)},
                [R(RUNS)] = {do_note, R(RUNNING)},
                [R(LOST_ONE)] = {do_note, R(RUNNING)},
                [R(LOST_LEADER)] = {do_restart, R(GATHERING)},
                [R(END)] = {do_end, R(ENDED)},
                [R(STOP)] = {do_drain, R(DRAINING)},
            },
        [R(DRAINING)] =
            {
                [R(BELOW)] = {do_note, R(DRAINING)},
                [R(ENOUGH)] = {do_note, R(DRAINING)},
                [R(FULL)] = {do_note, R(DRAINING)},
                [R(RUNS)] = {do_note, R(DRAINING)},
                [R(LOST_ONE)] = {do_note, R(DRAINING)},
                [R(LOST_LEADER)] = {do_end, R(ENDED)},
                [R(FALSE_START)] = {do_end, R(ENDED)},
                [R(END)] = {do_end, R(ENDED)},
                [R(TIMEOUT)] = {do_end, R(ENDED)},
                [R(STOP)] = {do_note, R(DRAINING)},
            },
};

bool ipmpi_rendezvous_round_rule(enum ipmpi_round_state state,
                                 enum ipmpi_round_event event,
                                 enum ipmpi_round_state *next_out)
{
    const struct rule *rule = &round_rules[state][event];

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

static void step(struct ipmpi_rendezvous *rdv, enum ipmpi_round_event event,
                 int64_t now_us)
{
    const struct rule *rule = &round_rules[rdv->state][event];

    if (rule->act == NULL)
        return;
    rule->act(rdv, now_us);
    rdv->state = rule->next;
    bound(rdv);
}

/* How many are there: this moves a round that gathers. */
static void count(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    const unsigned n = count_choosable(rdv, now_us);

    step(rdv,
         n >= rdv->limits.max   ? IPMPI_ROUND_FULL
         : n >= rdv->limits.min ? IPMPI_ROUND_ENOUGH
                                : IPMPI_ROUND_BELOW,
         now_us);
}

/* -- public --------------------------------------------------------------- */

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

/* The losses of a host are remembered by whoever was there before. */
static void inherit(struct ipmpi_rendezvous *rdv, struct ipmpi_member *member)
{
    for (unsigned i = 0; i < rdv->nmembers; i++) {
        const struct ipmpi_member *other = &rdv->member[i];

        if (other != member && strcmp(other->host, member->host) == 0 &&
            other->failures > member->failures) {
            member->failures = other->failures;
            member->cool_us = other->cool_us;
        }
    }
}

int ipmpi_rendezvous_list(struct ipmpi_rendezvous *rdv, const char *id,
                          const char *host, int64_t now_us,
                          unsigned *member_out)
{
    struct ipmpi_member *member;
    unsigned i;

    for (i = 0; i < rdv->nmembers; i++)
        if (strcmp(rdv->member[i].id, id) == 0)
            break;
    if (i == IPMPI_NODES_MAX)
        return IPMPI_EFULL;
    member = &rdv->member[i];
    if (i == rdv->nmembers) {
        memset(member, 0, sizeof(*member));
        snprintf(member->id, sizeof(member->id), "%s", id);
        snprintf(member->host, sizeof(member->host), "%s", host);
        rdv->nmembers++;
        inherit(rdv, member);
    }
    *member_out = i;
    (void)now_us;
    return step_member(member, IPMPI_MEMBER_LIST);
}

static void cool(struct ipmpi_member *member, int64_t now_us)
{
    int64_t pause_s = COOL_FIRST_S;

    for (unsigned i = 0; i < member->failures && pause_s < COOL_MOST_S; i++)
        pause_s *= 2;
    if (pause_s > COOL_MOST_S)
        pause_s = COOL_MOST_S;
    member->failures++;
    member->cool_us = now_us + pause_s * IPMPI_SECOND_US;
}

/* One of the committed is gone. */
static void lose(struct ipmpi_rendezvous *rdv, const struct ipmpi_member *who,
                 int64_t now_us)
{
    unsigned left = 0;

    for (unsigned i = 0; i < rdv->nchosen; i++)
        left += rdv->member[rdv->chosen[i]].state == IPMPI_MEMBER_COMMITTED;
    step(rdv,
         who->place == 0 || left < rdv->limits.keep ? IPMPI_ROUND_LOST_LEADER
                                                    : IPMPI_ROUND_LOST_ONE,
         now_us);
}

static void look_ready(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    for (unsigned i = 0; i < rdv->nchosen; i++)
        if (rdv->member[rdv->chosen[i]].state != IPMPI_MEMBER_READY)
            return;
    step(rdv, IPMPI_ROUND_ALL_READY, now_us);
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
    err = step_member(member, event);
    if (err != 0)
        return err;
    if (reason != NULL)
        snprintf(member->reason, sizeof(member->reason), "%s", reason);
    switch (event) {
    case IPMPI_MEMBER_OFFER:
        member->slots = slots;
        member->reason[0] = 0;
        if (generation > rdv->generation)
            rdv->generation = generation;
        break;
    case IPMPI_MEMBER_IS_READY:
        look_ready(rdv, now_us);
        break;
    case IPMPI_MEMBER_REFUSED:
        cool(member, now_us);
        step(rdv, IPMPI_ROUND_BROKEN, now_us);
        break;
    case IPMPI_MEMBER_GONE:
        if (before == IPMPI_MEMBER_ASKED || before == IPMPI_MEMBER_READY) {
            cool(member, now_us);
            step(rdv, IPMPI_ROUND_BROKEN, now_us);
        } else if (before == IPMPI_MEMBER_COMMITTED) {
            cool(member, now_us);
            lose(rdv, member, now_us);
        }
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
    step(rdv, IPMPI_ROUND_RUNS, now_us);
    return 0;
}

int ipmpi_rendezvous_end(struct ipmpi_rendezvous *rdv, uint64_t generation,
                         bool started, int64_t now_us)
{
    if (generation != rdv->generation || rdv->nchosen == 0)
        return IPMPI_ESTATE;
    step(rdv, started ? IPMPI_ROUND_END : IPMPI_ROUND_FALSE_START, now_us);
    return 0;
}

int ipmpi_rendezvous_stop(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    step(rdv, IPMPI_ROUND_STOP, now_us);
    return 0;
}

int64_t ipmpi_rendezvous_tick(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    int64_t next_us;

    if (now_us >= rdv->deadline_us)
        step(rdv, IPMPI_ROUND_TIMEOUT, now_us);
    count(rdv, now_us); /* a cool-down may be over */
    next_us = rdv->deadline_us;
    if (rdv->state <= IPMPI_ROUND_LAST_CALL)
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

unsigned ipmpi_rendezvous_count(const struct ipmpi_rendezvous *rdv,
                                enum ipmpi_member_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < rdv->nmembers; i++)
        n += rdv->member[i].state == state;
    return n;
}

const struct ipmpi_member *
ipmpi_rendezvous_at(const struct ipmpi_rendezvous *rdv, unsigned member)
{
    return member < rdv->nmembers ? &rdv->member[member] : NULL;
}

unsigned ipmpi_rendezvous_places(const struct ipmpi_rendezvous *rdv)
{
    return rdv->nmembers;
}

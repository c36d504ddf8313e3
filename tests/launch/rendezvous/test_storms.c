/* The rendezvous in storms: agents that answer as real ones do, over a network
 * that loses, repeats and re-orders their messages, cuts connections and hides
 * tasks, by thousands of seeds. What must hold in every one of them is checked
 * where it happens; when the storm is over, the job runs. */
#include "launch/rendezvous/rendezvous.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"

enum {
    S = 1000000,
    AGENTS = 5,
    MIN = 2,
    MAX = 4,
    SEEDS = 2000,
    STEPS = 400,
    FLIGHT_CAP = 256,
};

/* What an agent knows: as launch/agent/generation.c. */
struct agent {
    uint64_t generation, runs; /* 0: runs nothing */
    bool connected;
};

struct flight { /* a message of an agent on its way */
    unsigned member;
    enum ipmpi_member_event event;
    uint64_t generation;
};

struct storm {
    struct ipmpi_rendezvous *rdv;
    uint64_t random;
    int64_t now_us;
    struct agent agent[AGENTS];
    struct flight flight[FLIGHT_CAP];
    unsigned nflight;
    uint64_t prepared, committed, ready[AGENTS];
    unsigned chosen[AGENTS], nchosen;
    bool calm;
};

static unsigned below(struct storm *storm, unsigned n)
{
    storm->random ^= storm->random << 13;
    storm->random ^= storm->random >> 7;
    storm->random ^= storm->random << 17;
    return (unsigned)(storm->random % n);
}

static void say(struct storm *storm, unsigned member,
                enum ipmpi_member_event event, uint64_t generation)
{
    if (storm->nflight < FLIGHT_CAP)
        storm->flight[storm->nflight++] =
            (struct flight){member, event, generation};
}

/* -- decisions arrive at the agents ---------------------------------------- */

static void on_ask(void *arg, uint64_t generation, unsigned member)
{
    struct storm *storm = arg;
    struct agent *agent = &storm->agent[member];

    if (!storm->calm && below(storm, 8) == 0)
        return; /* it never came */
    if (generation <= agent->generation) {
        say(storm, member, IPMPI_MEMBER_REFUSED, generation);
        return;
    }
    agent->generation = generation;
    agent->runs = 0; /* whatever ran is ended first */
    say(storm, member, IPMPI_MEMBER_IS_READY, generation);
}

static void on_prepare(void *arg, uint64_t generation, const unsigned *members,
                       size_t n)
{
    struct storm *storm = arg;

    CHECK(generation > storm->prepared);
    CHECK(n >= MIN && n <= MAX);
    for (unsigned i = 0; i < AGENTS; i++)
        CHECK(storm->agent[i].runs < generation);
    storm->prepared = generation;
    storm->nchosen = (unsigned)n;
    memcpy(storm->chosen, members, n * sizeof(*members));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(members[i] != members[k]);
    for (size_t i = 0; i < n; i++)
        on_ask(storm, generation, members[i]);
}

static void on_commit(void *arg, uint64_t generation, const unsigned *members,
                      size_t n)
{
    struct storm *storm = arg;

    /* Once a generation, to those that were asked, when all have said READY. */
    CHECK_EQ(generation, storm->prepared);
    CHECK(generation > storm->committed);
    CHECK_EQ(n, storm->nchosen);
    CHECK_MEM(members, storm->chosen, n * sizeof(*members));
    for (size_t i = 0; i < n; i++) {
        CHECK_EQ(storm->ready[members[i]], generation);
        if (storm->agent[members[i]].generation == generation)
            storm->agent[members[i]].runs = generation;
    }
    storm->committed = generation;
}

static void on_drain(void *arg, uint64_t generation, unsigned member)
{
    struct agent *agent = &((struct storm *)arg)->agent[member];

    if (generation >= agent->generation)
        agent->runs = 0;
}

static void on_take_in(void *arg, uint64_t generation, unsigned member,
                       unsigned leader)
{
    struct storm *storm = arg;

    CHECK_EQ(generation, storm->committed);
    CHECK_EQ(storm->ready[member], generation);
    CHECK_EQ(leader, storm->chosen[0]);
    storm->agent[member].runs = generation;
}

static void on_drop(void *arg, unsigned member)
{
    ((struct storm *)arg)->agent[member].connected = false;
}

/* -- the network ----------------------------------------------------------- */

static int tell(struct storm *storm, unsigned member,
                enum ipmpi_member_event event, uint64_t generation)
{
    return ipmpi_rendezvous_member(storm->rdv, member, event, generation, 2,
                                   NULL, storm->now_us);
}

static void list(struct storm *storm, unsigned i)
{
    unsigned member;
    char id[8];

    snprintf(id, sizeof(id), "a%u", i);
    CHECK_EQ(ipmpi_rendezvous_list(storm->rdv, id, id, storm->now_us, &member),
             0);
    CHECK_EQ(member, i);
}

static void connect(struct storm *storm, unsigned i)
{
    struct agent *agent = &storm->agent[i];
    int err;

    list(storm, i);
    if (agent->connected || tell(storm, i, IPMPI_MEMBER_PROVED, 0) != 0)
        return;
    agent->connected = true;
    if (agent->runs == 0) {
        say(storm, i, IPMPI_MEMBER_OFFER, agent->generation);
        return;
    }
    err = ipmpi_rendezvous_back(storm->rdv, i, agent->runs, storm->now_us);
    if (err == 0) {
        CHECK_EQ(agent->runs, storm->committed);
        return;
    }
    if (err == IPMPI_EDEAD)
        agent->runs = 0; /* drained: it is of the past */
    tell(storm, i, IPMPI_MEMBER_GONE, 0);
    agent->connected = false;
}

static void cut(struct storm *storm, unsigned i)
{
    storm->agent[i].connected = false;
    tell(storm, i, IPMPI_MEMBER_GONE, 0);
}

static void arrive(struct storm *storm, unsigned at)
{
    const struct flight one = storm->flight[at];

    if (one.event == IPMPI_MEMBER_IS_READY &&
        one.generation > storm->ready[one.member])
        storm->ready[one.member] = one.generation;
    tell(storm, one.member, one.event, one.generation);
}

static void deliver(struct storm *storm)
{
    const unsigned at = storm->calm ? 0 : below(storm, storm->nflight);
    const unsigned luck = storm->calm ? 9 : below(storm, 10);

    if (luck > 0) /* or it is lost */
        arrive(storm, at);
    if (luck == 1) /* it comes again later */
        return;
    memmove(&storm->flight[at], &storm->flight[at + 1],
            (--storm->nflight - at) * sizeof(storm->flight[0]));
}

static void news(struct storm *storm)
{
    const uint64_t generation = storm->committed - below(storm, 2);

    if (below(storm, 2))
        ipmpi_rendezvous_runs(storm->rdv, generation, storm->now_us);
    else if (below(storm, 4) == 0)
        ipmpi_rendezvous_end(storm->rdv, generation, false, storm->now_us);
}

static void step(struct storm *storm)
{
    const unsigned i = below(storm, AGENTS);

    switch (below(storm, storm->calm ? 3 : 6)) {
    case 0:
        connect(storm, i);
        break;
    case 1:
    case 2:
        if (storm->nflight > 0)
            deliver(storm);
        break;
    case 3:
        cut(storm, i);
        break;
    case 4:
        news(storm);
        break;
    default:
        storm->now_us += (int64_t)below(storm, 6 * S);
        ipmpi_rendezvous_tick(storm->rdv, storm->now_us);
    }
}

static void begin(struct storm *storm, uint64_t seed)
{
    static const struct ipmpi_rendezvous_limits limits = {
        .min = MIN,
        .max = MAX,
        .keep = 1,
        .attempts = 1000000, /* storms are long */
        .restarts = 1000000,
        .join_us = 1000000LL * S,
        .last_call_us = 10 * S,
        .prepare_us = 15 * S,
        .start_us = 65 * S,
        .drain_us = 17 * S,
        .grow = true,
    };
    const struct ipmpi_rendezvous_calls calls = {.prepare = on_prepare,
                                                 .commit = on_commit,
                                                 .drain = on_drain,
                                                 .drop = on_drop,
                                                 .ask = on_ask,
                                                 .take_in = on_take_in,
                                                 .arg = storm};

    *storm =
        (struct storm){.random = seed * 2654435761u + 1, .now_us = 1000LL * S};
    CHECK_EQ(
        ipmpi_rendezvous_create(&limits, &calls, storm->now_us, &storm->rdv),
        0);
    for (unsigned i = 0; i < AGENTS; i++)
        list(storm, i);
}

/* The sun comes out: connections stay, messages arrive, and time goes on. */
static void calm_down(struct storm *storm)
{
    storm->calm = true;
    for (int i = 0;
         i < 20000 && ipmpi_rendezvous_state(storm->rdv) != IPMPI_ROUND_RUNNING;
         i++) {
        step(storm);
        if (i % 10 == 0) {
            storm->now_us += S;
            ipmpi_rendezvous_tick(storm->rdv, storm->now_us);
        }
        if (ipmpi_rendezvous_state(storm->rdv) == IPMPI_ROUND_COMMITTED)
            ipmpi_rendezvous_runs(storm->rdv, storm->committed, storm->now_us);
    }
}

static void test_storms(void **state)
{
    static struct storm storm;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(&storm, seed);
        for (int i = 0; i < STEPS; i++)
            step(&storm);
        calm_down(&storm);
        if (ipmpi_rendezvous_state(storm.rdv) != IPMPI_ROUND_RUNNING)
            fail_msg("seed %u: state %d after the storm", (unsigned)seed,
                     ipmpi_rendezvous_state(storm.rdv));
        ipmpi_rendezvous_destroy(&storm.rdv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_storms)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

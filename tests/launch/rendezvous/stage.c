/* The stage of the rendezvous' stories. */
#include "tests/launch/rendezvous/stage.h"

#include <stdlib.h>

#include "tests/check.h"

static void count(struct calls *calls, unsigned member)
{
    calls->n++;
    calls->member = member;
}

void check_calls(const struct calls *calls, unsigned n, unsigned member)
{
    CHECK_EQ(calls->n, n);
    CHECK_EQ(calls->member, member);
}

static void on_prepare(void *arg, uint64_t generation, const unsigned *members,
                       size_t n)
{
    struct stage *stage = arg;

    CHECK(generation > stage->prepared); /* the generation only grows */
    stage->prepared = generation;
    stage->nchosen = (unsigned)n;
    memcpy(stage->chosen, members, n * sizeof(*members));
}

static void on_commit(void *arg, uint64_t generation, const unsigned *members,
                      size_t n)
{
    struct stage *stage = arg;

    CHECK_EQ(generation, stage->prepared);
    CHECK_EQ(n, stage->nchosen);
    CHECK_MEM(members, stage->chosen, n * sizeof(*members));
    stage->committed = generation;
}

static void on_drain(void *arg, uint64_t generation, unsigned member)
{
    (void)generation;
    count(&((struct stage *)arg)->drains, member);
}

static void on_drop(void *arg, unsigned member)
{
    count(&((struct stage *)arg)->drops, member);
}

static void on_ask(void *arg, uint64_t generation, unsigned member)
{
    struct stage *stage = arg;

    CHECK_EQ(generation, stage->committed);
    count(&stage->asked, member);
}

static void on_take_in(void *arg, uint64_t generation, unsigned member,
                       unsigned leader)
{
    struct stage *stage = arg;

    CHECK_EQ(generation, stage->committed);
    CHECK_EQ(leader, stage->chosen[0]);
    count(&stage->taken_in, member);
}

int make_stage(void **state)
{
    *state = calloc(1, sizeof(struct stage));
    return *state != NULL ? 0 : -1;
}

int remove_stage(void **state)
{
    struct stage *stage = *state;

    ipmpi_rendezvous_destroy(&stage->rdv);
    free(stage);
    return 0;
}

struct stage *open_with(void **state, unsigned min, unsigned max, bool grow)
{
    struct stage *stage = *state;
    const struct ipmpi_rendezvous_limits limits = {
        .min = min,
        .max = max,
        .keep = 1,
        .attempts = 3,
        .restarts = 1,
        .join_us = 600LL * S,
        .last_call_us = 10 * S,
        .prepare_us = 15 * S,
        .start_us = 65 * S,
        .drain_us = 17 * S,
        .grow = grow,
    };
    const struct ipmpi_rendezvous_calls calls = {.prepare = on_prepare,
                                                 .commit = on_commit,
                                                 .drain = on_drain,
                                                 .drop = on_drop,
                                                 .ask = on_ask,
                                                 .take_in = on_take_in,
                                                 .arg = stage};

    stage->now_us = 1000LL * S;
    CHECK_EQ(
        ipmpi_rendezvous_create(&limits, &calls, stage->now_us, &stage->rdv),
        0);
    return stage;
}

struct stage *open_stage(void **state, unsigned min, unsigned max)
{
    return open_with(state, min, max, false);
}

int tell(struct stage *stage, unsigned member, enum ipmpi_member_event event)
{
    return ipmpi_rendezvous_member(
        stage->rdv, member, event, stage->prepared, 2,
        event >= IPMPI_MEMBER_REFUSED ? "why" : NULL, stage->now_us);
}

/* A member from the scheduler's list to its offer. */
unsigned join_on(struct stage *stage, const char *id, const char *host)
{
    unsigned member;

    CHECK_EQ(
        ipmpi_rendezvous_list(stage->rdv, id, host, stage->now_us, &member), 0);
    CHECK_EQ(tell(stage, member, IPMPI_MEMBER_PROVED), 0);
    CHECK_EQ(tell(stage, member, IPMPI_MEMBER_OFFER), 0);
    return member;
}

unsigned join(struct stage *stage, const char *id)
{
    return join_on(stage, id, id);
}

/* The two that the round waits for are there. */
struct stage *open_pair(void **state, bool grow)
{
    struct stage *stage = open_with(state, 2, 2, grow);

    stage->a = join(stage, "a");
    stage->b = join(stage, "b");
    CHECK_EQ(stage->prepared, 1);
    return stage;
}

enum ipmpi_round_state round_of(const struct stage *stage)
{
    return ipmpi_rendezvous_state(stage->rdv);
}

/* Tells what is in order; what the round makes of it. */
enum ipmpi_round_state told(struct stage *stage, unsigned member,
                            enum ipmpi_member_event event)
{
    CHECK_EQ(tell(stage, member, event), 0);
    return round_of(stage);
}

enum ipmpi_member_state state_of(const struct stage *stage, unsigned member)
{
    return ipmpi_rendezvous_at(stage->rdv, member)->state;
}

int ended(struct stage *stage, uint64_t generation, bool started)
{
    return ipmpi_rendezvous_end(stage->rdv, generation, started, stage->now_us);
}

enum ipmpi_round_state step_s(struct stage *stage, int seconds)
{
    stage->now_us += (int64_t)seconds * S;
    ipmpi_rendezvous_tick(stage->rdv, stage->now_us);
    return round_of(stage);
}

void all_ready(struct stage *stage)
{
    const unsigned n = stage->nchosen;

    for (unsigned i = 0; i < n; i++)
        CHECK_EQ(tell(stage, stage->chosen[i], IPMPI_MEMBER_IS_READY), 0);
}

void run(struct stage *stage)
{
    all_ready(stage);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_COMMITTED);
    CHECK_EQ(ipmpi_rendezvous_runs(stage->rdv, stage->committed, stage->now_us),
             0);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_RUNNING);
}

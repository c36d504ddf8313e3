/* The rendezvous in stories, by a stepped clock. */
#include "launch/rendezvous/rendezvous.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"

enum { S = 1000000 };

/* How often something was called for, and for whom the last time. */
struct calls {
    unsigned n, member;
};

struct stage {
    struct ipmpi_rendezvous *rdv;
    int64_t now_us;
    uint64_t prepared, committed;
    unsigned chosen[16], nchosen;
    struct calls drains, drops, asked, taken_in;
    unsigned a, b; /* open_pair */
};

static void count(struct calls *calls, unsigned member)
{
    calls->n++;
    calls->member = member;
}

static void check_calls(const struct calls *calls, unsigned n, unsigned member)
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

static int make_stage(void **state)
{
    *state = calloc(1, sizeof(struct stage));
    return *state != NULL ? 0 : -1;
}

static int remove_stage(void **state)
{
    struct stage *stage = *state;

    ipmpi_rendezvous_destroy(&stage->rdv);
    free(stage);
    return 0;
}

static struct stage *open_with(void **state, unsigned min, unsigned max,
                               bool grow)
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

static struct stage *open_stage(void **state, unsigned min, unsigned max)
{
    return open_with(state, min, max, false);
}

static int tell(struct stage *stage, unsigned member,
                enum ipmpi_member_event event)
{
    return ipmpi_rendezvous_member(
        stage->rdv, member, event, stage->prepared, 2,
        event >= IPMPI_MEMBER_REFUSED ? "why" : NULL, stage->now_us);
}

/* A member from the scheduler's list to its offer. */
static unsigned join_on(struct stage *stage, const char *id, const char *host)
{
    unsigned member;

    CHECK_EQ(
        ipmpi_rendezvous_list(stage->rdv, id, host, stage->now_us, &member), 0);
    CHECK_EQ(tell(stage, member, IPMPI_MEMBER_PROVED), 0);
    CHECK_EQ(tell(stage, member, IPMPI_MEMBER_OFFER), 0);
    return member;
}

static unsigned join(struct stage *stage, const char *id)
{
    return join_on(stage, id, id);
}

/* The two that the round waits for are there. */
static struct stage *open_pair(void **state, bool grow)
{
    struct stage *stage = open_with(state, 2, 2, grow);

    stage->a = join(stage, "a");
    stage->b = join(stage, "b");
    CHECK_EQ(stage->prepared, 1);
    return stage;
}

static enum ipmpi_round_state round_of(const struct stage *stage)
{
    return ipmpi_rendezvous_state(stage->rdv);
}

/* Tells what is in order; what the round makes of it. */
static enum ipmpi_round_state told(struct stage *stage, unsigned member,
                                   enum ipmpi_member_event event)
{
    CHECK_EQ(tell(stage, member, event), 0);
    return round_of(stage);
}

static enum ipmpi_member_state state_of(const struct stage *stage,
                                        unsigned member)
{
    return ipmpi_rendezvous_at(stage->rdv, member)->state;
}

static int end(struct stage *stage, uint64_t generation, bool started)
{
    return ipmpi_rendezvous_end(stage->rdv, generation, started, stage->now_us);
}

static enum ipmpi_round_state step_s(struct stage *stage, int seconds)
{
    stage->now_us += (int64_t)seconds * S;
    ipmpi_rendezvous_tick(stage->rdv, stage->now_us);
    return round_of(stage);
}

static void all_ready(struct stage *stage)
{
    const unsigned n = stage->nchosen;

    for (unsigned i = 0; i < n; i++)
        CHECK_EQ(tell(stage, stage->chosen[i], IPMPI_MEMBER_IS_READY), 0);
}

static void run(struct stage *stage)
{
    all_ready(stage);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_COMMITTED);
    CHECK_EQ(ipmpi_rendezvous_runs(stage->rdv, stage->committed, stage->now_us),
             0);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_RUNNING);
}

static void test_full_goes_at_once(void **state)
{
    struct stage *stage = open_stage(state, 2, 3);

    join(stage, "b");
    CHECK_EQ(step_s(stage, 1), IPMPI_ROUND_GATHERING);
    join(stage, "a");
    CHECK_EQ(step_s(stage, 1), IPMPI_ROUND_LAST_CALL);
    join(stage, "c");
    CHECK_EQ(step_s(stage, 0), IPMPI_ROUND_PREPARING);
    CHECK_EQ(stage->nchosen, 3);
    CHECK_STR(ipmpi_rendezvous_at(stage->rdv, stage->chosen[0])->id, "a");
    run(stage);
}

static void test_last_call_ends(void **state)
{
    struct stage *stage = open_stage(state, 1, 3);

    join(stage, "a");
    CHECK_EQ(step_s(stage, 9), IPMPI_ROUND_LAST_CALL);
    CHECK_EQ(step_s(stage, 2), IPMPI_ROUND_PREPARING);
    CHECK_EQ(stage->nchosen, 1);
    join(stage, "late"); /* a spare: not in this generation */
    CHECK_EQ(stage->nchosen, 1);
    run(stage);
    CHECK_EQ(ipmpi_rendezvous_count(stage->rdv, IPMPI_MEMBER_OFFERED), 1);
}

static void test_too_few_in_time(void **state)
{
    struct stage *stage = open_stage(state, 2, 2);

    join(stage, "a");
    CHECK_EQ(step_s(stage, 599), IPMPI_ROUND_GATHERING);
    CHECK_EQ(step_s(stage, 1), IPMPI_ROUND_FAILED);
}

static void test_lost_before_the_barrier_is_replaced(void **state)
{
    struct stage *stage = open_pair(state, false);

    told(stage, stage->a, IPMPI_MEMBER_IS_READY);
    CHECK_EQ(told(stage, stage->a, IPMPI_MEMBER_GONE), IPMPI_ROUND_GATHERING);
    check_calls(&stage->drains, 1, stage->b); /* told that it is off */
    join(stage, "c"); /* Marathon's replacement, a new task */
    CHECK_EQ(stage->prepared, 2);
    run(stage);
}

static void test_silence_to_prepare_is_a_loss(void **state)
{
    struct stage *stage = open_pair(state, false);

    told(stage, stage->a, IPMPI_MEMBER_IS_READY);
    CHECK_EQ(step_s(stage, 15), IPMPI_ROUND_GATHERING);
    check_calls(&stage->drops, 1, stage->b);
    CHECK_EQ(state_of(stage, stage->b), IPMPI_MEMBER_LOST);
}

static void test_messages_of_the_past_change_nothing(void **state)
{
    struct stage *stage = open_pair(state, false);

    CHECK_EQ(told(stage, stage->b, IPMPI_MEMBER_REFUSED),
             IPMPI_ROUND_GATHERING);
    CHECK_EQ(tell(stage, stage->a, IPMPI_MEMBER_IS_READY), IPMPI_ESTATE);
    step_s(stage, 6); /* b's cool-down is over */
    CHECK_EQ(stage->prepared, 2);
    /* READY of generation 1, late; then twice of 2; then out of order. */
    CHECK_EQ(ipmpi_rendezvous_member(stage->rdv, stage->a,
                                     IPMPI_MEMBER_IS_READY, 1, 0, NULL,
                                     stage->now_us),
             IPMPI_ESTATE);
    told(stage, stage->a, IPMPI_MEMBER_IS_READY);
    CHECK_EQ(tell(stage, stage->a, IPMPI_MEMBER_IS_READY), IPMPI_ESTATE);
    CHECK_EQ(tell(stage, stage->a, IPMPI_MEMBER_OFFER), IPMPI_ESTATE);
    CHECK_EQ(end(stage, 1, true), IPMPI_ESTATE);
    CHECK_EQ(told(stage, stage->b, IPMPI_MEMBER_IS_READY),
             IPMPI_ROUND_COMMITTED);
    CHECK_EQ(ipmpi_rendezvous_runs(stage->rdv, 1, stage->now_us), IPMPI_ESTATE);
}

static void test_the_generation_is_above_all_reported(void **state)
{
    struct stage *stage = open_stage(state, 1, 1);
    unsigned member;

    CHECK_EQ(
        ipmpi_rendezvous_list(stage->rdv, "a", "a", stage->now_us, &member), 0);
    told(stage, member, IPMPI_MEMBER_PROVED);
    CHECK_EQ(ipmpi_rendezvous_member(stage->rdv, member, IPMPI_MEMBER_OFFER, 41,
                                     2, NULL, stage->now_us),
             0);
    CHECK_EQ(stage->prepared, 42);
}

static void test_after_the_barrier_the_job_goes_on(void **state)
{
    struct stage *stage = open_stage(state, 3, 3);

    join(stage, "a");
    join(stage, "b");
    join(stage, "c");
    run(stage);
    CHECK_EQ(told(stage, stage->chosen[2], IPMPI_MEMBER_GONE),
             IPMPI_ROUND_RUNNING);
    CHECK_EQ(told(stage, stage->chosen[1], IPMPI_MEMBER_GONE),
             IPMPI_ROUND_RUNNING);
    CHECK_EQ(end(stage, 1, true), 0);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_ENDED);
}

static void test_a_lost_leader_begins_a_new_generation(void **state)
{
    struct stage *stage = open_pair(state, false);
    unsigned leader;

    join(stage, "spare");
    leader = stage->chosen[0];
    run(stage);
    CHECK_EQ(told(stage, leader, IPMPI_MEMBER_GONE), IPMPI_ROUND_PREPARING);
    CHECK_EQ(stage->prepared, 2);
    CHECK(stage->chosen[0] != leader && stage->chosen[1] != leader);
    run(stage);
    /* Only one restart is allowed. */
    CHECK_EQ(told(stage, stage->chosen[0], IPMPI_MEMBER_GONE),
             IPMPI_ROUND_FAILED);
}

/* The connection to it is there again. */
static void reach(struct stage *stage, unsigned member)
{
    unsigned same;

    CHECK_EQ(ipmpi_rendezvous_list(stage->rdv,
                                   ipmpi_rendezvous_at(stage->rdv, member)->id,
                                   "", stage->now_us, &same),
             0);
    CHECK_EQ(same, member);
    CHECK_EQ(tell(stage, member, IPMPI_MEMBER_PROVED), 0);
}

static int back(struct stage *stage, unsigned member, uint64_t generation)
{
    return ipmpi_rendezvous_back(stage->rdv, member, generation, stage->now_us);
}

static void test_a_leader_that_was_out_of_reach(void **state)
{
    struct stage *stage = open_pair(state, false);
    unsigned leader, other;

    run(stage);
    leader = stage->chosen[0];
    other = stage->chosen[1];
    for (int times = 0; times < 3; times++) { /* more often than restarts */
        told(stage, other, IPMPI_MEMBER_GONE);
        CHECK_EQ(told(stage, leader, IPMPI_MEMBER_GONE), IPMPI_ROUND_GATHERING);
        reach(stage, other);
        CHECK_EQ(back(stage, other, 1), IPMPI_EBUSY); /* not without leader */
        told(stage, other, IPMPI_MEMBER_GONE);
        reach(stage, leader);
        CHECK_EQ(back(stage, leader, 0), IPMPI_ESTATE);
        CHECK_EQ(back(stage, leader, 7), IPMPI_ESTATE); /* not ours */
        CHECK_EQ(back(stage, leader, 1), 0);
        CHECK_EQ(round_of(stage), IPMPI_ROUND_RUNNING);
        reach(stage, other);
        CHECK_EQ(back(stage, other, 1), 0);
        CHECK_EQ(back(stage, other, 1), IPMPI_ESTATE); /* once is enough */
        CHECK_EQ(ipmpi_rendezvous_count(stage->rdv, IPMPI_MEMBER_COMMITTED), 2);
        CHECK_EQ(stage->prepared, 1);
    }
    CHECK_EQ(end(stage, 1, true), 0);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_ENDED);
}

static void test_a_leader_that_is_back_too_late(void **state)
{
    struct stage *stage = open_pair(state, false);
    unsigned leader;

    join(stage, "spare");
    run(stage);
    leader = stage->chosen[0];
    CHECK_EQ(told(stage, leader, IPMPI_MEMBER_GONE), IPMPI_ROUND_PREPARING);
    reach(stage, leader);
    CHECK_EQ(back(stage, leader, 1), IPMPI_EDEAD);
    CHECK_EQ(state_of(stage, leader), IPMPI_MEMBER_OPEN);
    run(stage);
    CHECK_EQ(back(stage, leader, 1), IPMPI_EDEAD);
    CHECK_EQ(end(stage, 1, true), IPMPI_ESTATE); /* nor is its end ours */
    CHECK_EQ(round_of(stage), IPMPI_ROUND_RUNNING);
}

static void test_a_late_spare_has_seen_more(void **state)
{
    struct stage *stage = open_pair(state, false);
    unsigned spare;

    run(stage);
    CHECK_EQ(ipmpi_rendezvous_list(stage->rdv, "s", "s", stage->now_us, &spare),
             0);
    told(stage, spare, IPMPI_MEMBER_PROVED);
    CHECK_EQ(ipmpi_rendezvous_member(stage->rdv, spare, IPMPI_MEMBER_OFFER, 9,
                                     2, NULL, stage->now_us),
             0);
    /* It is of this round all the same that there is news. */
    CHECK_EQ(ipmpi_rendezvous_generation(stage->rdv), 1);
    CHECK_EQ(told(stage, stage->chosen[0], IPMPI_MEMBER_GONE),
             IPMPI_ROUND_PREPARING);
    CHECK_EQ(stage->prepared, 10);
}

static void test_a_spare_takes_a_lost_place(void **state)
{
    struct stage *stage = open_pair(state, true);
    unsigned lost, spare;

    run(stage);
    lost = stage->chosen[1];
    spare = join(stage, "c");
    CHECK_EQ(stage->asked.n, 0); /* all places are taken */
    told(stage, lost, IPMPI_MEMBER_GONE);
    check_calls(&stage->asked, 1, spare);
    CHECK_EQ(stage->taken_in.n, 0);
    told(stage, spare, IPMPI_MEMBER_IS_READY);
    check_calls(&stage->taken_in, 1, spare);
    CHECK_EQ(tell(stage, spare, IPMPI_MEMBER_IS_READY), IPMPI_ESTATE);
    CHECK_EQ(ipmpi_rendezvous_at(stage->rdv, spare)->place, 2); /* its own */
    CHECK_EQ(round_of(stage), IPMPI_ROUND_RUNNING);
    CHECK_EQ(stage->prepared, 1); /* the same generation */
    /* Whoever took a place can be lost, too. */
    CHECK_EQ(told(stage, spare, IPMPI_MEMBER_GONE), IPMPI_ROUND_RUNNING);
}

static void test_a_spare_that_will_not(void **state)
{
    struct stage *stage = open_pair(state, true);
    unsigned silent, unwilling;

    run(stage);
    told(stage, stage->chosen[1], IPMPI_MEMBER_GONE);
    unwilling = join(stage, "c");
    check_calls(&stage->asked, 1, unwilling);
    told(stage, unwilling, IPMPI_MEMBER_REFUSED);
    silent = join(stage, "d");
    check_calls(&stage->asked, 2, silent);
    step_s(stage, 15);
    check_calls(&stage->drops, 1, silent);
    CHECK_EQ(state_of(stage, silent), IPMPI_MEMBER_LOST);
    check_calls(&stage->asked, 3, unwilling); /* it has cooled down */
    told(stage, unwilling, IPMPI_MEMBER_IS_READY);
    check_calls(&stage->taken_in, 1, unwilling);
    /* The leader is lost while nobody is asked: all begin anew. */
    CHECK_EQ(told(stage, stage->chosen[0], IPMPI_MEMBER_GONE),
             IPMPI_ROUND_GATHERING);
}

static void test_false_starts_are_counted(void **state)
{
    struct stage *stage = open_stage(state, 1, 1);

    join(stage, "a");
    for (int i = 1; i <= 4; i++) {
        CHECK_EQ(stage->prepared, i);
        all_ready(stage);
        CHECK_EQ(end(stage, stage->committed, false), 0);
        /* Each time twice as long is waited: 2 s, 4 s, 8 s. */
        if (i < 4)
            CHECK_EQ(step_s(stage, (1 << i) - 1), IPMPI_ROUND_GATHERING);
        step_s(stage, 1);
    }
    CHECK_EQ(round_of(stage), IPMPI_ROUND_FAILED);
}

/* It is passed over for so long, and no longer. */
static void cools_down(struct stage *stage, int seconds)
{
    CHECK_EQ(step_s(stage, seconds - 1), IPMPI_ROUND_GATHERING);
    CHECK_EQ(step_s(stage, 1), IPMPI_ROUND_PREPARING);
}

static void test_a_host_cools_down_longer_each_time(void **state)
{
    struct stage *stage = open_stage(state, 1, 1);
    const unsigned a = join(stage, "a");

    told(stage, a, IPMPI_MEMBER_REFUSED);
    cools_down(stage, 5);
    told(stage, a, IPMPI_MEMBER_REFUSED);
    cools_down(stage, 10);
    told(stage, a, IPMPI_MEMBER_GONE);
    join_on(stage, "a2", "a"); /* a new task on the same host inherits it */
    cools_down(stage, 20);
}

/* Containers that come and go for days: more than a job ever has at once. */
static void test_places_are_used_again(void **state)
{
    struct stage *stage = open_stage(state, 2, 2);
    char id[32];

    stage->a = join(stage, "a");
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(id, sizeof(id), "task%u", i);
        CHECK_EQ(ipmpi_rendezvous_list(stage->rdv, id, "h", stage->now_us,
                                       &stage->b),
                 0);
        CHECK_STR(ipmpi_rendezvous_at(stage->rdv, stage->b)->id, id);
        told(stage, stage->b, IPMPI_MEMBER_GONE);
        told(stage, stage->b, IPMPI_MEMBER_UNLIST);
        CHECK(ipmpi_rendezvous_at(stage->rdv, stage->b) == NULL);
    }
    CHECK_EQ(tell(stage, stage->b, IPMPI_MEMBER_PROVED), IPMPI_ESTATE);
    join(stage, "b");
    run(stage);
}

static void test_stop_before_it_begins(void **state)
{
    struct stage *stage = open_stage(state, 1, 1);

    ipmpi_rendezvous_stop(stage->rdv, stage->now_us);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_ENDED);
}

static void test_stop_while_it_runs(void **state)
{
    struct stage *stage = open_pair(state, false);

    run(stage);
    ipmpi_rendezvous_stop(stage->rdv, stage->now_us);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_DRAINING);
    check_calls(&stage->drains, 1, stage->chosen[0]); /* the leader */
    CHECK_EQ(step_s(stage, 16), IPMPI_ROUND_DRAINING);
    CHECK_EQ(step_s(stage, 1), IPMPI_ROUND_ENDED); /* whatever they do */
    check_calls(&stage->drains, 3, stage->chosen[1]); /* each */
}

static void test_limits_are_checked(void **state)
{
    const struct ipmpi_rendezvous_calls calls = {0};
    struct ipmpi_rendezvous_limits limits = {.min = 0, .max = 1};
    struct ipmpi_rendezvous *rdv = NULL;

    (void)state;
    CHECK_EQ(ipmpi_rendezvous_create(&limits, &calls, 0, &rdv), IPMPI_EINVAL);
    limits.min = 2;
    CHECK_EQ(ipmpi_rendezvous_create(&limits, &calls, 0, &rdv), IPMPI_EINVAL);
    CHECK(rdv == NULL);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, make_stage, remove_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_full_goes_at_once),
        TEST(test_last_call_ends),
        TEST(test_too_few_in_time),
        TEST(test_lost_before_the_barrier_is_replaced),
        TEST(test_silence_to_prepare_is_a_loss),
        TEST(test_messages_of_the_past_change_nothing),
        TEST(test_the_generation_is_above_all_reported),
        TEST(test_after_the_barrier_the_job_goes_on),
        TEST(test_a_lost_leader_begins_a_new_generation),
        TEST(test_a_leader_that_was_out_of_reach),
        TEST(test_a_leader_that_is_back_too_late),
        TEST(test_a_late_spare_has_seen_more),
        TEST(test_a_spare_takes_a_lost_place),
        TEST(test_a_spare_that_will_not),
        TEST(test_false_starts_are_counted),
        TEST(test_a_host_cools_down_longer_each_time),
        TEST(test_places_are_used_again),
        TEST(test_stop_before_it_begins),
        TEST(test_stop_while_it_runs),
        cmocka_unit_test(test_limits_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

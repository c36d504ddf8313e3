/* The rendezvous, cell by cell and by a stepped clock. */
#include "launch/rendezvous/rendezvous.h"

#include <stdio.h>

#include "runtime/base/error.h"
#include "tests/check.h"

enum { S = 1000000 };

/* -- the tables, against the drawings in DESIGN and rendezvous.h ---------- */

/* Letters of the states, '.' for an empty cell; columns as the events. */
static const char *const member_want[IPMPI_MEMBER_NSTATES] = {
    /*            LIST PROVED OFFER ASK READY REFUSED COMMIT RELEASE GONE */
    /* UNSEEN */ "L........",    /* LISTED */ "LO......X",
    /* OPEN */ "O.F.....X",      /* OFFERED */ "F.FA....X",
    /* ASKED */ "A...RF.FX",     /* READY */ "R....FCFX",
    /* COMMITTED */ "C....F.FX", /* LOST */ "L.......X",
};
static const char member_letter[] = "ULOFARCX";

static const char *const round_want[IPMPI_ROUND_NSTATES] = {
    /* BELOW ENOUGH FULL TIMEOUT ALL_READY BROKEN RUNS ONE LEADER END FALSE
       STOP*/
    /* GATHERING */ "GLPF.......E",
    /* LAST_CALL */ "GLPP.......E",
    /* PREPARING */ "PPPGCG.....E",
    /* COMMITTED */ "CCCG.GRGGEGD",
    /* RUNNING */ "RRR...RRGE.D",
    /* DRAINING */ "DDDE..DDEEED",
    /* ENDED */ "............",
    /* FAILED */ "............",
};
static const char round_letter[] = "GLPCRDEF";

static void test_every_cell_of_the_members(void **state)
{
    (void)state;
    for (int s = 0; s < IPMPI_MEMBER_NSTATES; s++)
        for (int e = 0; e < IPMPI_MEMBER_NEVENTS; e++) {
            enum ipmpi_member_state next = 0;
            const bool full = ipmpi_rendezvous_member_rule(s, e, &next);

            CHECK_EQ(full ? member_letter[next] : '.', member_want[s][e]);
        }
}

static void test_every_cell_of_the_round(void **state)
{
    (void)state;
    for (int s = 0; s < IPMPI_ROUND_NSTATES; s++)
        for (int e = 0; e < IPMPI_ROUND_NEVENTS; e++) {
            enum ipmpi_round_state next = 0;
            const bool full = ipmpi_rendezvous_round_rule(s, e, &next);

            CHECK_EQ(full ? round_letter[next] : '.', round_want[s][e]);
        }
}

/* -- stories -------------------------------------------------------------- */

struct stage {
    struct ipmpi_rendezvous *rdv;
    int64_t now_us;
    uint64_t prepared, committed;
    unsigned chosen[16], nchosen;
    unsigned drains, drops, asked, taken_in;
};

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
    (void)member;
    ((struct stage *)arg)->drains++;
}

static void on_drop(void *arg, unsigned member)
{
    (void)member;
    ((struct stage *)arg)->drops++;
}

static void on_ask(void *arg, uint64_t generation, unsigned member)
{
    struct stage *stage = arg;

    (void)member;
    CHECK_EQ(generation, stage->committed);
    stage->asked++;
}

static void on_take_in(void *arg, uint64_t generation, unsigned member,
                       unsigned leader)
{
    struct stage *stage = arg;

    (void)member;
    CHECK_EQ(generation, stage->committed);
    CHECK_EQ(leader, stage->chosen[0]);
    stage->taken_in++;
}

static void open_with(struct stage *stage, unsigned min, unsigned max,
                      bool grow)
{
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

    memset(stage, 0, sizeof(*stage));
    stage->now_us = 1000LL * S;
    CHECK_EQ(
        ipmpi_rendezvous_create(&limits, &calls, stage->now_us, &stage->rdv),
        0);
}

static void open_stage(struct stage *stage, unsigned min, unsigned max)
{
    open_with(stage, min, max, false);
}

static void open_growing(struct stage *stage, unsigned min, unsigned max)
{
    open_with(stage, min, max, true);
}

static int tell(struct stage *stage, unsigned member,
                enum ipmpi_member_event event)
{
    return ipmpi_rendezvous_member(
        stage->rdv, member, event, stage->prepared, 2,
        event >= IPMPI_MEMBER_REFUSED ? "why" : NULL, stage->now_us);
}

/* A member from the scheduler's list to its offer. */
static unsigned join(struct stage *stage, const char *id)
{
    unsigned member;

    CHECK_EQ(ipmpi_rendezvous_list(stage->rdv, id, id, stage->now_us, &member),
             0);
    CHECK_EQ(tell(stage, member, IPMPI_MEMBER_PROVED), 0);
    CHECK_EQ(tell(stage, member, IPMPI_MEMBER_OFFER), 0);
    return member;
}

static enum ipmpi_round_state step_s(struct stage *stage, int seconds)
{
    stage->now_us += (int64_t)seconds * S;
    ipmpi_rendezvous_tick(stage->rdv, stage->now_us);
    return ipmpi_rendezvous_state(stage->rdv);
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
    CHECK_EQ(ipmpi_rendezvous_state(stage->rdv), IPMPI_ROUND_COMMITTED);
    CHECK_EQ(ipmpi_rendezvous_runs(stage->rdv, stage->committed, stage->now_us),
             0);
    CHECK_EQ(ipmpi_rendezvous_state(stage->rdv), IPMPI_ROUND_RUNNING);
}

static void test_full_goes_at_once(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage, 2, 3);
    join(&stage, "b");
    CHECK_EQ(step_s(&stage, 1), IPMPI_ROUND_GATHERING);
    join(&stage, "a");
    CHECK_EQ(step_s(&stage, 1), IPMPI_ROUND_LAST_CALL);
    join(&stage, "c");
    CHECK_EQ(step_s(&stage, 0), IPMPI_ROUND_PREPARING);
    CHECK_EQ(stage.nchosen, 3);
    CHECK_STR(ipmpi_rendezvous_at(stage.rdv, stage.chosen[0])->id, "a");
    run(&stage);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_last_call_ends(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage, 1, 3);
    join(&stage, "a");
    CHECK_EQ(step_s(&stage, 9), IPMPI_ROUND_LAST_CALL);
    CHECK_EQ(step_s(&stage, 2), IPMPI_ROUND_PREPARING);
    CHECK_EQ(stage.nchosen, 1);
    join(&stage, "late"); /* a spare: not in this generation */
    CHECK_EQ(stage.nchosen, 1);
    run(&stage);
    CHECK_EQ(ipmpi_rendezvous_count(stage.rdv, IPMPI_MEMBER_OFFERED), 1);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_too_few_in_time(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage, 2, 2);
    join(&stage, "a");
    CHECK_EQ(step_s(&stage, 599), IPMPI_ROUND_GATHERING);
    CHECK_EQ(step_s(&stage, 1), IPMPI_ROUND_FAILED);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_lost_before_the_barrier_is_replaced(void **state)
{
    struct stage stage;
    unsigned a;

    (void)state;
    open_stage(&stage, 2, 2);
    a = join(&stage, "a");
    join(&stage, "b");
    CHECK_EQ(stage.prepared, 1);
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_IS_READY), 0);
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_GATHERING);
    CHECK_EQ(stage.drains, 1); /* b is told that it is off */
    join(&stage, "c");         /* Marathon's replacement, a new task */
    CHECK_EQ(stage.prepared, 2);
    run(&stage);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_silence_to_prepare_is_a_loss(void **state)
{
    struct stage stage;
    unsigned a;

    (void)state;
    open_stage(&stage, 2, 2);
    a = join(&stage, "a");
    join(&stage, "b");
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_IS_READY), 0);
    CHECK_EQ(step_s(&stage, 15), IPMPI_ROUND_GATHERING);
    CHECK_EQ(stage.drops, 1);
    CHECK_EQ(ipmpi_rendezvous_at(stage.rdv, 1)->state, IPMPI_MEMBER_LOST);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_messages_of_the_past_change_nothing(void **state)
{
    struct stage stage;
    unsigned a, b;

    (void)state;
    open_stage(&stage, 2, 2);
    a = join(&stage, "a");
    b = join(&stage, "b");
    CHECK_EQ(tell(&stage, b, IPMPI_MEMBER_REFUSED), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_GATHERING);
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_IS_READY), IPMPI_ESTATE);
    step_s(&stage, 6); /* b's cool-down is over */
    CHECK_EQ(stage.prepared, 2);
    /* READY of generation 1, late; then twice of 2; then out of order. */
    CHECK_EQ(ipmpi_rendezvous_member(stage.rdv, a, IPMPI_MEMBER_IS_READY, 1, 0,
                                     NULL, stage.now_us),
             IPMPI_ESTATE);
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_IS_READY), 0);
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_IS_READY), IPMPI_ESTATE);
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_OFFER), IPMPI_ESTATE);
    CHECK_EQ(ipmpi_rendezvous_end(stage.rdv, 1, true, stage.now_us),
             IPMPI_ESTATE);
    CHECK_EQ(tell(&stage, b, IPMPI_MEMBER_IS_READY), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_COMMITTED);
    CHECK_EQ(ipmpi_rendezvous_runs(stage.rdv, 1, stage.now_us), IPMPI_ESTATE);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_the_generation_is_above_all_reported(void **state)
{
    struct stage stage;
    unsigned member;

    (void)state;
    open_stage(&stage, 1, 1);
    ipmpi_rendezvous_list(stage.rdv, "a", "a", stage.now_us, &member);
    tell(&stage, member, IPMPI_MEMBER_PROVED);
    ipmpi_rendezvous_member(stage.rdv, member, IPMPI_MEMBER_OFFER, 41, 2, NULL,
                            stage.now_us);
    CHECK_EQ(stage.prepared, 42);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_after_the_barrier_the_job_goes_on(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage, 3, 3);
    join(&stage, "a");
    join(&stage, "b");
    join(&stage, "c");
    run(&stage);
    CHECK_EQ(tell(&stage, stage.chosen[2], IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_RUNNING);
    CHECK_EQ(tell(&stage, stage.chosen[1], IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_RUNNING);
    CHECK_EQ(ipmpi_rendezvous_end(stage.rdv, 1, true, stage.now_us), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_ENDED);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_a_lost_leader_begins_a_new_generation(void **state)
{
    struct stage stage;
    unsigned leader;

    (void)state;
    open_stage(&stage, 2, 2);
    join(&stage, "a");
    join(&stage, "b");
    join(&stage, "spare");
    leader = stage.chosen[0];
    run(&stage);
    CHECK_EQ(tell(&stage, leader, IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_PREPARING);
    CHECK_EQ(stage.prepared, 2);
    CHECK(stage.chosen[0] != leader && stage.chosen[1] != leader);
    run(&stage);
    /* Only one restart is allowed. */
    CHECK_EQ(tell(&stage, stage.chosen[0], IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_FAILED);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_a_spare_takes_a_lost_place(void **state)
{
    struct stage stage;
    unsigned lost, spare;

    (void)state;
    open_growing(&stage, 2, 2);
    join(&stage, "a");
    join(&stage, "b");
    run(&stage);
    lost = stage.chosen[1];
    spare = join(&stage, "c");
    CHECK_EQ(stage.asked, 0); /* all places are taken */
    CHECK_EQ(tell(&stage, lost, IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(stage.asked, 1);
    CHECK_EQ(stage.taken_in, 0);
    CHECK_EQ(tell(&stage, spare, IPMPI_MEMBER_IS_READY), 0);
    CHECK_EQ(stage.taken_in, 1);
    CHECK_EQ(tell(&stage, spare, IPMPI_MEMBER_IS_READY), IPMPI_ESTATE);
    CHECK_EQ(ipmpi_rendezvous_at(stage.rdv, spare)->place, 2); /* its own */
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_RUNNING);
    CHECK_EQ(stage.prepared, 1); /* the same generation */
    /* Whoever took a place can be lost, too. */
    CHECK_EQ(tell(&stage, spare, IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_RUNNING);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_a_spare_that_will_not(void **state)
{
    struct stage stage;
    unsigned silent, unwilling;

    (void)state;
    open_growing(&stage, 2, 2);
    join(&stage, "a");
    join(&stage, "b");
    run(&stage);
    CHECK_EQ(tell(&stage, stage.chosen[1], IPMPI_MEMBER_GONE), 0);
    unwilling = join(&stage, "c");
    CHECK_EQ(stage.asked, 1);
    CHECK_EQ(tell(&stage, unwilling, IPMPI_MEMBER_REFUSED), 0);
    silent = join(&stage, "d");
    CHECK_EQ(stage.asked, 2);
    step_s(&stage, 15);
    CHECK_EQ(stage.drops, 1);
    CHECK_EQ(ipmpi_rendezvous_at(stage.rdv, silent)->state, IPMPI_MEMBER_LOST);
    CHECK_EQ(stage.asked, 3); /* the other has cooled down meanwhile */
    CHECK_EQ(tell(&stage, unwilling, IPMPI_MEMBER_IS_READY), 0);
    CHECK_EQ(stage.taken_in, 1);
    /* The leader is lost while nobody is asked: all begin anew. */
    CHECK_EQ(tell(&stage, stage.chosen[0], IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_GATHERING);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_false_starts_are_counted(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage, 1, 1);
    join(&stage, "a");
    for (int i = 1; i <= 4; i++) {
        CHECK_EQ(stage.prepared, i);
        all_ready(&stage);
        CHECK_EQ(ipmpi_rendezvous_end(stage.rdv, stage.committed, false,
                                      stage.now_us),
                 0);
        /* Each time twice as long is waited: 2 s, 4 s, 8 s. */
        if (i < 4)
            CHECK_EQ(step_s(&stage, (1 << i) - 1), IPMPI_ROUND_GATHERING);
        step_s(&stage, 1);
    }
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_FAILED);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_a_host_cools_down_longer_each_time(void **state)
{
    struct stage stage;
    unsigned a, again;

    (void)state;
    open_stage(&stage, 1, 1);
    a = join(&stage, "a");
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_REFUSED), 0);
    CHECK_EQ(step_s(&stage, 4), IPMPI_ROUND_GATHERING);
    CHECK_EQ(step_s(&stage, 1), IPMPI_ROUND_PREPARING);
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_REFUSED), 0);
    CHECK_EQ(step_s(&stage, 9), IPMPI_ROUND_GATHERING);
    CHECK_EQ(step_s(&stage, 1), IPMPI_ROUND_PREPARING);
    /* A new task on the same host inherits it. */
    CHECK_EQ(tell(&stage, a, IPMPI_MEMBER_GONE), 0);
    CHECK_EQ(ipmpi_rendezvous_list(stage.rdv, "a2", "a", stage.now_us, &again),
             0);
    tell(&stage, again, IPMPI_MEMBER_PROVED);
    tell(&stage, again, IPMPI_MEMBER_OFFER);
    CHECK_EQ(step_s(&stage, 19), IPMPI_ROUND_GATHERING);
    CHECK_EQ(step_s(&stage, 1), IPMPI_ROUND_PREPARING);
    ipmpi_rendezvous_destroy(&stage.rdv);
}

static void test_stop_in_every_state(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage, 1, 1);
    ipmpi_rendezvous_stop(stage.rdv, stage.now_us);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_ENDED);
    ipmpi_rendezvous_destroy(&stage.rdv);

    open_stage(&stage, 1, 1);
    join(&stage, "a");
    run(&stage);
    ipmpi_rendezvous_stop(stage.rdv, stage.now_us);
    CHECK_EQ(ipmpi_rendezvous_state(stage.rdv), IPMPI_ROUND_DRAINING);
    CHECK_EQ(stage.drains, 1);
    CHECK_EQ(step_s(&stage, 17), IPMPI_ROUND_ENDED); /* whatever it does */
    ipmpi_rendezvous_destroy(&stage.rdv);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell_of_the_members),
        cmocka_unit_test(test_every_cell_of_the_round),
        cmocka_unit_test(test_full_goes_at_once),
        cmocka_unit_test(test_last_call_ends),
        cmocka_unit_test(test_too_few_in_time),
        cmocka_unit_test(test_lost_before_the_barrier_is_replaced),
        cmocka_unit_test(test_silence_to_prepare_is_a_loss),
        cmocka_unit_test(test_messages_of_the_past_change_nothing),
        cmocka_unit_test(test_the_generation_is_above_all_reported),
        cmocka_unit_test(test_after_the_barrier_the_job_goes_on),
        cmocka_unit_test(test_a_lost_leader_begins_a_new_generation),
        cmocka_unit_test(test_a_spare_takes_a_lost_place),
        cmocka_unit_test(test_a_spare_that_will_not),
        cmocka_unit_test(test_false_starts_are_counted),
        cmocka_unit_test(test_a_host_cools_down_longer_each_time),
        cmocka_unit_test(test_stop_in_every_state),
        cmocka_unit_test(test_limits_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

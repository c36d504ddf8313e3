/* The rendezvous in stories, by a stepped clock: while the job runs. */
#include "tests/launch/rendezvous/stage.h"

#include "runtime/base/error.h"
#include "tests/check.h"

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
    CHECK_EQ(ended(stage, 1, true), 0);
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
    CHECK_EQ(ended(stage, 1, true), 0);
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
    CHECK_EQ(ended(stage, 1, true), IPMPI_ESTATE); /* nor is its end ours */
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

static void test_stop_while_it_runs(void **state)
{
    struct stage *stage = open_pair(state, false);

    run(stage);
    ipmpi_rendezvous_stop(stage->rdv, stage->now_us);
    CHECK_EQ(round_of(stage), IPMPI_ROUND_DRAINING);
    check_calls(&stage->drains, 1, stage->chosen[0]); /* the leader */
    CHECK_EQ(step_s(stage, 16), IPMPI_ROUND_DRAINING);
    CHECK_EQ(step_s(stage, 1), IPMPI_ROUND_ENDED);    /* whatever they do */
    check_calls(&stage->drains, 3, stage->chosen[1]); /* each */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_after_the_barrier_the_job_goes_on),
        TEST(test_a_lost_leader_begins_a_new_generation),
        TEST(test_a_leader_that_was_out_of_reach),
        TEST(test_a_leader_that_is_back_too_late),
        TEST(test_a_late_spare_has_seen_more),
        TEST(test_a_spare_takes_a_lost_place),
        TEST(test_a_spare_that_will_not),
        TEST(test_stop_while_it_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

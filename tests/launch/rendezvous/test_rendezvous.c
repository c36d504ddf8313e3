/* The rendezvous in stories, by a stepped clock: until the job runs. */
#include "tests/launch/rendezvous/stage.h"

#include <stdio.h>

#include "runtime/base/error.h"
#include "tests/check.h"

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
    CHECK_EQ(ended(stage, 1, true), IPMPI_ESTATE);
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

static void test_false_starts_are_counted(void **state)
{
    struct stage *stage = open_stage(state, 1, 1);

    join(stage, "a");
    for (int i = 1; i <= 4; i++) {
        CHECK_EQ(stage->prepared, i);
        all_ready(stage);
        CHECK_EQ(ended(stage, stage->committed, false), 0);
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
        TEST(test_full_goes_at_once),
        TEST(test_last_call_ends),
        TEST(test_too_few_in_time),
        TEST(test_lost_before_the_barrier_is_replaced),
        TEST(test_silence_to_prepare_is_a_loss),
        TEST(test_messages_of_the_past_change_nothing),
        TEST(test_the_generation_is_above_all_reported),
        TEST(test_false_starts_are_counted),
        TEST(test_a_host_cools_down_longer_each_time),
        TEST(test_places_are_used_again),
        TEST(test_stop_before_it_begins),
        cmocka_unit_test(test_limits_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The scale model, small: every task is decided exactly once whatever happens,
 * and where the ideal is known, it is reached. */
#include "tests/check.h"
#include "tests/model/world.h"

static const struct model_settings usual = {
    .engines = 200,
    .per_node = 64,
    .tasks = 4000,
    .mean_ns = 10 * 1000 * 1000,
    .overhead_ns = 60 * 1000,
    .near_ns = 5 * 1000,
    .far_ns = 20 * 1000,
    .rank0_ns = 1000,
    .client_ns = 2000,
    .prefetch = 4,
    .steal = true,
    .notice_ns = 20 * 1000 * 1000,
    .seed = 1,
};

static struct model_result run(const struct model_settings *set)
{
    struct model_result result;

    CHECK(model_run(set, &result));
    CHECK_EQ(result.decided, result.tasks);
    CHECK_EQ(result.twice, 0);
    CHECK_EQ(result.lost, 0);
    CHECK(result.makespan_ns >= result.ideal_ns);
    return result;
}

static void every_task_is_decided_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct model_settings set = usual;
        struct model_result result;

        set.steal = i & 1;
        set.shape = i & 2 ? MODEL_PARETO : MODEL_UNIFORM;
        set.prefetch = i & 4 ? 32 : 0;
        set.fail = i & 8 ? 0.2 : 0;
        set.seed = i + 1;
        result = run(&set);
        CHECK_EQ(result.deaths, i & 8 ? 40 : 0);
        if (!(i & 8))
            CHECK_EQ(result.again, 0);
    }
}

/* Nobody is told of a death before the notice, however long that takes. */
static void late_notices_lose_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct model_settings set = usual;

        set.shape = MODEL_PARETO;
        set.tasks = 8000;
        set.prefetch = 16;
        set.fail = 0.3;
        set.notice_ns = 200 * 1000 * 1000;
        set.far_ns = 5 * 1000 * 1000;
        set.seed = seed;
        run(&set);
    }
}

static void a_tree_is_searched_whole(void **state)
{
    struct model_settings set = usual;
    struct model_result result;
    struct model_sum sum;

    (void)state;
    set.shape = MODEL_TREE;
    set.tasks = 20;
    model_load_sum(set.shape, set.seed, set.tasks, set.mean_ns, &sum);
    CHECK(sum.tasks > 1000);
    result = run(&set);
    CHECK_EQ(result.tasks, sum.tasks);
    CHECK(result.stolen > 0);
}

/* Equal tasks, a free rank 0 and free messages: there is nothing to lose. */
static void equal_tasks_reach_the_ideal(void **state)
{
    struct model_settings set = usual;
    struct model_result result;

    (void)state;
    set.overhead_ns = set.near_ns = set.far_ns = 0;
    set.rank0_ns = set.client_ns = 0;
    result = run(&set);
    CHECK_EQ(result.makespan_ns, result.ideal_ns);
}

/* Where nothing is stolen: the task out; its beginning in, and its reply. */
static void rank_0_has_three_messages_a_task(void **state)
{
    struct model_settings set = usual;
    struct model_result result;

    (void)state;
    set.steal = false;
    result = run(&set);
    CHECK_EQ(result.rank0_out, result.tasks);
    CHECK(result.rank0_in <= 2 * result.tasks); /* the last may be queued */
    CHECK(result.rank0_in + 200 > 2 * result.tasks);
}

/* Much is sent ahead, and some of it lies behind a long task. */
static void stealing_repairs_what_was_sent_ahead(void **state)
{
    struct model_settings set = usual;
    struct model_result with, without;

    (void)state;
    set.shape = MODEL_PARETO;
    set.prefetch = 32;
    with = run(&set);
    set.steal = false;
    without = run(&set);
    CHECK(with.stolen > 0);
    CHECK(with.makespan_ns < without.makespan_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_decided_once),
        cmocka_unit_test(late_notices_lose_nothing),
        cmocka_unit_test(a_tree_is_searched_whole),
        cmocka_unit_test(equal_tasks_reach_the_ideal),
        cmocka_unit_test(rank_0_has_three_messages_a_task),
        cmocka_unit_test(stealing_repairs_what_was_sent_ahead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

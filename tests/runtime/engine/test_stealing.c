/* Thefts between engines, each phase under the eyes of a controller that can
 * take its time. With one engine: what it does when rank 0 asks it. */
#include <signal.h>
#include <stdlib.h>

#include "tests/runtime/engine/controller.h"
#include "tests/runtime/engine/requests.h"
#include "tests/runtime/engine/thefts.h"
#include "tests/runtime/engine/transcript.h"

enum { GOT_CAP = 8 }; /* refs that one message may have */

/* Rank of an engine in its world. */
static int rank_of(int engine)
{
    return engine + 1;
}

static void await_done_by(uint64_t ref, int engine)
{
    struct transcript t;

    controller_await(ref, &t);
    CHECK_EQ(t.nreplies, 1);
    CHECK_EQ(t.head.kind, IPMPI_STATUS_OK);
    CHECK_EQ(controller_where(ref), engine);
    transcript_clear(&t);
}

/* Engine 0 is busy, and has `n` tasks waiting; returns what it is busy with.
 * It answers the control when the tasks have come: a thief's question takes
 * another way, and could be there before them. */
static uint64_t fill(uint64_t *refs, int n)
{
    const uint64_t held = controller_task(0, 0, "hold");
    struct transcript t;

    controller_await_busy(held);
    for (int i = 0; i < n; i++)
        refs[i] = controller_task(0, 0, "nothing");
    controller_await(controller_control(0, "clear_request"), &t);
    transcript_clear(&t);
    return held;
}

/* Every search ends with loot or with one HUNGRY. A test that sets one off
 * waits for its end, or the thief would take from the next test. */
static void await_hungry(int engine)
{
    uint64_t none[1];
    int detail;

    controller_take_refs(engine, IPMPI_MSG_HUNGRY, none, 1, &detail);
}

static void release(uint64_t held)
{
    struct transcript t;

    controller_signal(0, SIGUSR1);
    controller_await(held, &t);
    transcript_clear(&t);
}

static void grant(int thief, int victim, const uint64_t *refs, int n,
                  const uint64_t *refused, int nrefused)
{
    controller_say(thief, IPMPI_MSG_GRANT, rank_of(victim), refs, n, refused,
                   nrefused);
}

/* Tells engine 0 to give tasks to a rank. */
static void order(int rank)
{
    controller_say(0, IPMPI_MSG_GIVE, rank, NULL, 0, NULL, 0);
}

/* Waits until engine 0 says that it has handed tasks over, to this rank;
 * returns how many. */
static int handed_to(int rank, uint64_t got[GOT_CAP])
{
    int to;
    const int n =
        controller_take_refs(0, IPMPI_MSG_HANDOVER, got, GOT_CAP, &to);

    CHECK_EQ(to, rank);
    return n;
}

/* Skips a test for which there are too few. */
static void need_engines(int n)
{
    if (controller_engines() < n)
        skip();
}

static void back_to_rank_0(void **state)
{
    uint64_t refs[4], got[GOT_CAP], held = fill(refs, 4);

    (void)state;
    order(0);
    CHECK_EQ(handed_to(0, got), 2);
    CHECK(got[0] == refs[2] && got[1] == refs[3]);
    release(held);
    await_done_by(refs[0], 0);
    await_done_by(refs[1], 0);
    CHECK_EQ(controller_where(refs[2]), -1);
    order(0);
    CHECK_EQ(handed_to(0, got), 0);
}

static void who_finds_nothing_says_so_once(void **state)
{
    uint64_t ref = controller_task(0, IPMPI_WORK_MORE, "nothing");

    (void)state;
    await_done_by(ref, 0);
    await_hungry(0);
    ref = controller_task(0, 0, "nothing"); /* no hint: no search */
    await_done_by(ref, 0);
    ref = controller_task(0, IPMPI_WORK_MORE, "nothing");
    await_done_by(ref, 0);
    await_hungry(0);
}

static void strangers_are_refused(void **state)
{
    (void)state; /* the engine logs it and goes on */
    controller_say(0, IPMPI_MSG_GIVE, 99, NULL, 0, NULL, 0);
    controller_say(0, IPMPI_MSG_GIVE, -1, NULL, 0, NULL, 0);
    controller_say(0, IPMPI_MSG_GONE, 99, NULL, 0, NULL, 0);
    controller_say(0, IPMPI_MSG_GONE, 1, NULL, 0, NULL, 0); /* itself */
    await_done_by(controller_task(0, 0, "nothing"), 0);
}

/* What a thief has runs when rank 0 grants it, and not before. */
static void ordered(void **state)
{
    uint64_t refs[4], got[GOT_CAP], held;

    (void)state;
    need_engines(2);
    held = fill(refs, 4);
    order(rank_of(1));
    CHECK_EQ(handed_to(rank_of(1), got), 2);
    await_done_by(controller_task(1, 0, "nothing"), 1); /* time for a mistake */
    CHECK_EQ(controller_where(refs[2]), -1);
    grant(1, 0, &refs[2], 1, &refs[3], 1);
    await_done_by(refs[2], 1);
    CHECK_EQ(controller_where(refs[3]), -1); /* refused: dropped */
    controller_grant_until_done(refs, 2);    /* it comes back for more */
    CHECK_EQ(controller_where(refs[0]), 1);
    CHECK_EQ(controller_where(refs[1]), 1);
    await_hungry(1);
    release(held);
}

/* An engine that was told that there is more helps itself. */
static void by_the_thief(void **state)
{
    uint64_t refs[4], got[GOT_CAP], held, own;
    int n;

    (void)state;
    need_engines(2);
    held = fill(refs, 3);
    own = controller_task(1, IPMPI_WORK_MORE, "nothing");
    await_done_by(own, 1);
    n = handed_to(rank_of(1), got);
    CHECK_EQ(n, 2);
    grant(1, 0, got, n, NULL, 0);
    await_done_by(refs[1], 1);
    await_done_by(refs[2], 1);
    n = handed_to(rank_of(1), got);
    CHECK_EQ(n, 1); /* it came back for the last one */
    grant(1, 0, got, n, NULL, 0);
    await_done_by(refs[0], 1);
    await_hungry(1);
    release(held);
}

static void the_stolen_is_aborted(void **state)
{
    uint64_t refs[2], got[GOT_CAP], held;
    struct transcript t;

    (void)state;
    need_engines(2);
    held = fill(refs, 2);
    order(rank_of(1));
    CHECK_EQ(handed_to(rank_of(1), got), 1);
    controller_abort(0, got, 1); /* crossed: the victim has it no more */
    controller_task(1, 0, "hold");
    grant(1, 0, got, 1, NULL, 0);
    controller_abort(1, got, 1);
    controller_await(got[0], &t);
    CHECK_EQ(t.head.kind, IPMPI_STATUS_ABORTED);
    CHECK_EQ(t.nreplies, 1);
    CHECK_EQ(t.busy, -1);
    transcript_clear(&t);
    controller_signal(1, SIGUSR1);
    controller_grant_until_done(refs, 1);
    await_hungry(1);
    release(held);
}

static void with_a_third_one(void **state)
{
    uint64_t refs[8], got[GOT_CAP], held;
    int n, by[3] = {0};

    (void)state;
    need_engines(3);
    held = fill(refs, 8);
    order(rank_of(1));
    order(rank_of(2));
    n = handed_to(rank_of(1), got);
    CHECK_EQ(n, 4);
    grant(1, 0, got, n, NULL, 0);
    n = handed_to(rank_of(2), got);
    CHECK_EQ(n, 2);
    grant(2, 0, got, n, NULL, 0);
    controller_grant_until_done(refs, 8);
    for (int i = 0; i < 8; i++)
        by[controller_where(refs[i])]++;
    CHECK(by[0] == 0 && by[1] > 0 && by[2] > 0);
    await_hungry(1);
    await_hungry(2);
    release(held);
}

/* Last: engine 1 hears that engine 0 is dead, and believes it. */
static void deaths(void **state)
{
    uint64_t refs[2], got[GOT_CAP], held, never = UINT64_C(1) << 40;
    int whose;

    (void)state;
    need_engines(2);
    held = fill(refs, 2);
    order(rank_of(1));
    CHECK_EQ(handed_to(rank_of(1), got), 1);
    await_done_by(controller_task(1, 0, "nothing"), 1);
    grant(1, 0, &never, 1, NULL, 0);
    controller_say(1, IPMPI_MSG_GONE, rank_of(0), NULL, 0, NULL, 0);
    CHECK_EQ(controller_take_refs(1, IPMPI_MSG_MISSING, got, GOT_CAP, &whose),
             1);
    CHECK(got[0] == never); /* was granted and will not come */
    /* what came and was not granted is dropped: rank 0 gives it out again */
    await_done_by(controller_task(1, 0, "nothing"), 1);
    CHECK_EQ(controller_where(refs[1]), -1);
    release(held);
    await_done_by(refs[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(back_to_rank_0),
        cmocka_unit_test(who_finds_nothing_says_so_once),
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(ordered),
        cmocka_unit_test(by_the_thief),
        cmocka_unit_test(the_stolen_is_aborted),
        cmocka_unit_test(with_a_third_one),
        cmocka_unit_test(deaths),
    };

    return cmocka_run_group_tests(tests, controller_open, controller_close);
}

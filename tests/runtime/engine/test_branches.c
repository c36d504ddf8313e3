/* Replies that come by a tree of four engines: all of them, once or more, in
 * few messages, whoever is late, stands still or dies. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/engine/gathered.h"
#include "tests/runtime/engine/controller.h"
#include "tests/runtime/engine/kept.h"
#include "tests/runtime/engine/requests.h"
#include "tests/runtime/engine/transcript.h"

enum { ENGINES = 4 };

static uint64_t last_number;

/* Engine 0 passes on for 1, and for 2, which does so for 3. */
static const struct {
    int32_t parent;
    uint32_t replies;
} place[ENGINES] = {{0, 4}, {1, 1}, {1, 2}, {3, 1}};

static uint64_t work(int engine, uint64_t number, uint64_t open,
                     const char *order)
{
    const struct ipmpi_gather_leg leg = {.number = number,
                                         .open = open,
                                         .parent = place[engine].parent,
                                         .replies = place[engine].replies};

    return controller_gathered_work(engine, &leg, order);
}

/* One share for each engine; no reply before them is needed. */
static void work_all(uint64_t number, const char *order, uint64_t refs[ENGINES])
{
    for (int e = 0; e < ENGINES; e++)
        refs[e] = work(e, number, 0, order);
}

/* The share of this ref, APART or not, and how often it has come. */
static int find(uint64_t ref, unsigned flags,
                struct ipmpi_gathered_share *share_out)
{
    const struct kept *k;
    int n = 0;

    for (int i = 0; (k = kept_at(i)) != NULL; i++) {
        struct ipmpi_gathered g;

        if (k->head.type != IPMPI_MSG_GATHERED)
            continue;
        CHECK_EQ(ipmpi_gathered_read(&k->frames, &g), 0);
        for (size_t s = 0; s < g.n; s++) {
            if (g.share[s].ref != ref || g.share[s].flags != flags)
                continue;
            *share_out = g.share[s];
            n++;
        }
        ipmpi_gathered_clear(&g);
    }
    return n;
}

static void await_share(uint64_t ref, unsigned flags, int times, int status)
{
    const int64_t deadline = kept_deadline();
    struct ipmpi_gathered_share share;

    while (find(ref, flags, &share) < times)
        kept_turn(deadline);
    CHECK_EQ(find(ref, flags, &share), times);
    CHECK_EQ(share.status, status);
}

static void await_all(const uint64_t refs[ENGINES])
{
    for (int e = 0; e < ENGINES; e++)
        await_share(refs[e], 0, 1, IPMPI_STATUS_OK);
}

static bool has_come(uint64_t ref)
{
    struct ipmpi_gathered_share share;

    return find(ref, 0, &share) > 0;
}

static void release(int engine)
{
    controller_signal(engine, SIGUSR1);
}

/* How often an engine has said that it is busy or idle. */
static int count_statuses(void)
{
    const struct kept *k;
    int n = 0;

    for (int i = 0; (k = kept_at(i)) != NULL; i++)
        n += k->head.type == IPMPI_MSG_IOPUB &&
             (k->head.kind == IPMPI_IOPUB_BUSY ||
              k->head.kind == IPMPI_IOPUB_IDLE);
    return n;
}

/* When nobody is late, one message has them all. */
static void all_come_as_one(void **state)
{
    uint64_t refs[ENGINES];
    int least = ENGINES;

    (void)state;
    for (int round = 0; round < 50 && least > 1; round++) {
        const int before = controller_count(IPMPI_MSG_GATHERED);
        int now;

        work_all(++last_number, "nothing", refs);
        await_all(refs);
        now = controller_count(IPMPI_MSG_GATHERED) - before;
        CHECK(now <= ENGINES);
        least = now < least ? now : least;
    }
    CHECK_EQ(least, 1); /* unless the machine is slow, the first time */
    CHECK_EQ(controller_count(IPMPI_MSG_REPLY), 0);
    CHECK_EQ(count_statuses(), 0);
}

static void who_is_late_holds_nobody_up(void **state)
{
    (void)state;
    for (int late = 0; late < ENGINES; late++) {
        const uint64_t number = ++last_number;
        uint64_t refs[ENGINES];

        for (int e = 0; e < ENGINES; e++)
            refs[e] = work(e, number, 0, e == late ? "hold" : "nothing");
        for (int e = 0; e < ENGINES; e++)
            if (e != late)
                await_share(refs[e], 0, 1, IPMPI_STATUS_OK);
        CHECK(!has_come(refs[late]));
        release(late);
        await_share(refs[late], 0, 1, IPMPI_STATUS_OK);
    }
}

/* Its place is not known before; its children's replies find their way. */
static void work_may_come_after_others_replies(void **state)
{
    const uint64_t number = ++last_number;
    uint64_t refs[ENGINES];

    (void)state;
    for (int e = ENGINES - 1; e >= 0; e--) {
        refs[e] = work(e, number, 0, "nothing");
        await_share(refs[e], 0, 1, IPMPI_STATUS_OK);
    }
}

static void failures_and_aborts_come_by_the_tree(void **state)
{
    const uint64_t number = ++last_number;
    uint64_t refs[ENGINES], held, wanted;

    (void)state;
    held = controller_work(3, IPMPI_WORK_APPLY, "apply_request", "hold");
    controller_await_busy(held);
    for (int e = 0; e < ENGINES; e++)
        refs[e] = work(e, number, 0, e == 1 ? "unmet" : "nothing");
    wanted = refs[3];
    controller_abort(3, &wanted, 1);
    await_share(refs[0], 0, 1, IPMPI_STATUS_OK);
    await_share(refs[1], 0, 1, IPMPI_STATUS_UNMET);
    await_share(refs[2], 0, 1, IPMPI_STATUS_OK);
    await_share(refs[3], 0, 1, IPMPI_STATUS_ABORTED);
    release(3);
}

static uint64_t large(int engine, uint64_t number)
{
    static const size_t len[] = {100000};
    const struct ipmpi_gather_leg leg = {.number = number,
                                         .parent = place[engine].parent,
                                         .replies = place[engine].replies};

    return controller_gathered_buffers(engine, &leg, "echo", len, 1);
}

static int replies_to(uint64_t ref)
{
    const struct kept *k;
    int n = 0;

    for (int i = 0; (k = kept_at(i)) != NULL; i++)
        n += k->head.type == IPMPI_MSG_REPLY && k->head.ref == ref;
    return n;
}

static void await_reply(uint64_t ref)
{
    const int64_t deadline = kept_deadline();

    while (replies_to(ref) == 0)
        kept_turn(deadline);
    CHECK_EQ(replies_to(ref), 1);
}

static void large_ones_come_straight(void **state)
{
    const uint64_t number = ++last_number;
    uint64_t refs[ENGINES];

    (void)state;
    for (int e = 0; e < ENGINES; e++)
        refs[e] = e < 2 ? work(e, number, 0, "nothing") : large(e, number);
    for (int e = 0; e < ENGINES; e++) {
        if (e >= 2)
            await_reply(refs[e]);
        await_share(refs[e], e < 2 ? 0 : IPMPI_SHARE_APART, 1, IPMPI_STATUS_OK);
    }
}

static void straight(int engine, uint64_t ref)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_STRAIGHT, .ref = ref};
    struct ipmpi_frames none = {0};

    controller_send(engine, &head, &none);
}

static void rank_0_gives_the_tree_up(void **state)
{
    const uint64_t number = ++last_number;
    uint64_t refs[ENGINES], later;

    (void)state;
    for (int e = 0; e < ENGINES; e++)
        refs[e] = work(e, number, 0, e == 3 ? "hold" : "nothing");
    for (int e = 0; e < 3; e++)
        await_share(refs[e], 0, 1, IPMPI_STATUS_OK);
    straight(2, refs[2]); /* it has ended, and says it again */
    await_share(refs[2], 0, 2, IPMPI_STATUS_OK);
    straight(3, refs[3]);
    release(3);
    await_reply(refs[3]);
    await_share(refs[3], IPMPI_SHARE_APART, 1, IPMPI_STATUS_OK);
    /* what rank 0 says that it has is not kept */
    later = work(2, ++last_number, refs[2] + 1, "nothing");
    await_share(later, 0, 1, IPMPI_STATUS_OK);
    straight(2, refs[2]);
    straight(2, later);
    await_share(later, 0, 2, IPMPI_STATUS_OK);
    await_share(refs[2], 0, 2, IPMPI_STATUS_OK);
}

static void nonsense_is_dropped(void **state)
{
    static const struct ipmpi_gather_leg bad[] = {
        {.number = 1, .parent = 99, .replies = 1},
        {.number = 1, .parent = -1, .replies = 1},
        {.number = 1, .parent = 1, .replies = 1}, /* itself */
        {.number = 1, .parent = 0, .replies = 0},
        {.number = 1, .parent = 0, .replies = 1, .open = UINT64_MAX},
    };
    const struct ipmpi_gather_leg good = {.number = 1, .replies = 1};
    const struct ipmpi_msg_head cut = {.type = IPMPI_MSG_WORK,
                                       .kind = IPMPI_WORK_APPLY,
                                       .flags = IPMPI_WORK_GATHER,
                                       .ref = UINT64_MAX};
    const uint64_t number = ++last_number;
    struct ipmpi_frames frames = {0};
    uint64_t refs[ENGINES];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refs[0] = controller_gathered_work(0, &bad[i], "nothing");
    for (int i = 0; i < 4; i++)
        controller_add_text(&frames, "{}"); /* the last is no leg */
    controller_send(0, &cut, &frames);
    for (int i = 0; i < 2; i++)
        controller_add_text(&frames, "{}"); /* a leg, but no content */
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &good, sizeof(good)), 0);
    controller_send(0, &cut, &frames);
    straight(0, refs[0]);
    work_all(number, "nothing", refs);
    await_all(refs);
}

/* The last, since that engine is dead to the others from now on. */
static void a_dead_parent_is_passed_by(void **state)
{
    const struct ipmpi_msg_head gone = {.type = IPMPI_MSG_GONE, .detail = 3};
    const uint64_t number = ++last_number;
    struct ipmpi_frames none = {0};
    uint64_t refs[ENGINES];

    (void)state;
    controller_send(3, &gone, &none);
    work_all(number, "nothing", refs);
    await_all(refs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_come_as_one),
        cmocka_unit_test(who_is_late_holds_nobody_up),
        cmocka_unit_test(work_may_come_after_others_replies),
        cmocka_unit_test(failures_and_aborts_come_by_the_tree),
        cmocka_unit_test(large_ones_come_straight),
        cmocka_unit_test(rank_0_gives_the_tree_up),
        cmocka_unit_test(nonsense_is_dropped),
        cmocka_unit_test(a_dead_parent_is_passed_by),
    };

    return cmocka_run_group_tests(tests, controller_open, controller_close);
}

/* Tasks sent ahead of need, and rank 0's part in thefts: what it grants, what
 * it orders, and that no task is lost or decided twice, whoever dies between
 * which phases. */
#include "bridge/schedulers/thefts.h"

#include <stdio.h>
#include <utlist.h>

#include "bridge/engines.h"
#include "bridge/schedulers/abort.h"
#include "bridge/schedulers/balanced.h"
#include "tests/bridge/fake_hub.h"

/* All are of one world. */
static int place(void *ctx, int rank, int *rank_out)
{
    (void)ctx;
    *rank_out = rank;
    return 0;
}

/* n engines, and tasks t0, t1, .. in that order. */
static struct fake_hub *open_hub(int engines, size_t prefetch, int tasks)
{
    struct fake_hub *fake = fake_hub_open(1);
    char id[8];

    fake->hub.out.place = place;
    fake->hub.sharing.steal = true;
    fake->hub.sharing.prefetch = prefetch;
    for (int i = 0; i < engines; i++)
        fake_engine(fake);
    for (int i = 0; i < tasks; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        fake_task(fake, id, NULL);
    }
    return fake;
}

static void drop_told(struct fake_hub *fake)
{
    while (fake_told(fake, NULL, NULL) != 0)
        ;
}

/* The next message to an engine that is no WORK, as "give 2 1" (type, rank,
 * detail) with the ids of the refs in its frames; "" if there is none. */
static const char *order(struct fake_hub *fake)
{
    static const struct {
        int type;
        const char *name;
    } names[] = {{IPMPI_MSG_GIVE, "give"},
                 {IPMPI_MSG_GRANT, "grant"},
                 {IPMPI_MSG_GONE, "gone"},
                 {IPMPI_MSG_ABORT, "abort"}};
    static char text[128];
    struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK};

    text[0] = '\0';
    while (fake->to_ranks != NULL && head.type == IPMPI_MSG_WORK) {
        struct ipmpi_frames *frames = &fake->to_ranks->frames;

        memcpy(&head, frames->at[0].data, sizeof(head));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (names[i].type == head.type)
                snprintf(text, sizeof(text), "%s %d %d", names[i].name,
                         fake->to_ranks->where, head.detail);
        }
        if (head.type == IPMPI_MSG_GRANT)
            snprintf(text + strlen(text), sizeof(text) - strlen(text),
                     ": %zu, not %zu", frames->at[1].len / sizeof(uint64_t),
                     frames->at[2].len / sizeof(uint64_t));
        fake_told(fake, NULL, NULL);
    }
    return text;
}

/* The engine says so; ids ends with NULL. */
static void says(struct fake_hub *fake, int engine, int type, int detail,
                 const char *const *ids)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = (uint16_t)type,
                                        .detail = detail};
    struct ipmpi_frames frames = {0};
    uint64_t refs[16];
    size_t n = 0;

    for (; ids != NULL && ids[n] != NULL; n++)
        refs[n] = fake_ref(fake, ids[n]);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, refs, n * sizeof(refs[0])), 0);
    ipmpi_engines_receive(&fake->hub, engine + 1, &frames);
    ipmpi_frames_clear(&frames);
}

#define HANDS_OVER(fake, victim, thief_rank, ...)      \
    says(fake, victim, IPMPI_MSG_HANDOVER, thief_rank, \
         (const char *const[]){__VA_ARGS__, NULL})

static void started(struct fake_hub *fake, const char *msg_id)
{
    const struct ipmpi_job *job = ipmpi_job_by_id(&fake->hub.ledger, msg_id);
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_IOPUB,
                                        .kind = IPMPI_IOPUB_BUSY,
                                        .ref = job->ref};
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(ipmpi_frames_add_static(&frames, "{}", 2), 0);
    ipmpi_engines_receive(&fake->hub, job->engine->rank, &frames);
    ipmpi_frames_clear(&frames);
    while (fake_answer(fake)[0] != '\0')
        ;
}

static size_t tasks_of(struct fake_hub *fake, int id)
{
    return ipmpi_registry_by_id(&fake->hub.registry, id)->ntasks;
}

/* ---- ahead of need -------------------------------------------------- */

static void ahead_only_when_none_is_free(void **state)
{
    struct fake_hub *fake = open_hub(2, 2, 9);

    (void)state;
    CHECK_EQ(fake_where(fake, "t0"), 1); /* as ever: the newest, .. */
    CHECK_EQ(fake_where(fake, "t1"), 0); /* .. then the least recent */
    CHECK_EQ(tasks_of(fake, 0), 3);
    CHECK_EQ(tasks_of(fake, 1), 3);
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 3);
    CHECK_EQ(fake->hub.sharing.nahead, 4);
    CHECK_EQ(fake_where(fake, "t6"), -1);
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "t6"), 1); /* takes the place */
    CHECK_EQ(tasks_of(fake, 1), 3);
    CHECK_EQ(fake->hub.sharing.nahead, 4);
    fake_hub_close(fake);
}

static void without_prefetch_nothing_goes_ahead(void **state)
{
    struct fake_hub *fake = open_hub(1, 0, 3);

    (void)state;
    CHECK_EQ(tasks_of(fake, 0), 1);
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 2);
    fake_hub_close(fake);
}

/* What is meant for one engine is not overtaken by what comes after it. */
static void a_task_with_a_target_keeps_its_place(void **state)
{
    struct fake_hub *fake = open_hub(1, 4, 2);
    char metadata[64];

    (void)state;
    snprintf(metadata, sizeof(metadata), "{\"targets\":[\"%s\"]}",
             ipmpi_registry_by_id(&fake->hub.registry, 0)->uuid);
    fake_task(fake, "x", metadata);
    fake_task(fake, "y", NULL);
    CHECK_EQ(fake_where(fake, "x"), -1); /* not sent ahead */
    CHECK_EQ(fake_where(fake, "y"), -1);
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "x"), -1);
    fake_reply(fake, "t1", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "x"), 0);
    CHECK_EQ(fake_where(fake, "y"), 0); /* ahead, behind it */
    fake_reply(fake, "x", IPMPI_STATUS_OK);
    fake_reply(fake, "y", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void what_is_ahead_times_out(void **state)
{
    struct fake_hub *fake = open_hub(1, 2, 1);

    (void)state;
    fake_task(fake, "slow", "{\"timeout\":1}");
    fake_task(fake, "late", "{\"timeout\":1}");
    CHECK_EQ(fake_where(fake, "late"), 0);
    fake_reply(fake, "t0", IPMPI_STATUS_OK); /* slow is assigned: no timeout */
    CHECK_STR(fake_answer(fake), "task apply_reply t0 ok");
    fake->now_us += 2000000;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK_STR(order(fake), "abort 1 0");
    CHECK_STR(order(fake), "");
    CHECK_STR(fake_answer(fake), "");
    fake_reply(fake, "late", IPMPI_STATUS_ABORTED);
    CHECK_STR(fake_answer(fake), "task apply_reply late TaskTimeout");
    fake_reply(fake, "slow", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "task apply_reply slow ok");
    fake_hub_close(fake);
}

static void what_has_begun_does_not_time_out(void **state)
{
    struct fake_hub *fake = open_hub(1, 2, 1);

    (void)state;
    fake_task(fake, "late", "{\"timeout\":1}");
    fake->now_us += 2000000;
    ipmpi_balanced_fire_timers(&fake->hub);
    fake_reply(fake, "late", IPMPI_STATUS_OK); /* crossed with the order */
    CHECK_STR(fake_answer(fake), "task apply_reply late ok");
    fake_hub_close(fake);
}

static void ahead_and_lost(void **state)
{
    struct fake_hub *fake = open_hub(1, 2, 3);

    (void)state;
    fake_engine_killed(fake, 0, 0, NULL);
    CHECK_EQ(ipmpi_balanced_unassigned(&fake->hub), 3);
    CHECK_EQ(fake->hub.sharing.nahead, 0);
    CHECK_EQ(fake->hub.sharing.nstealable, 0);
    fake_engine(fake);
    CHECK_EQ(tasks_of(fake, 1), 3);
    fake_hub_close(fake);
}

/* ---- thefts --------------------------------------------------------- */

/* Engine 0 has t0, t1 and t2; engine 1 came later and has nothing. */
static struct fake_hub *open_skewed(void)
{
    struct fake_hub *fake = open_hub(1, 4, 3);

    started(fake, "t0");
    fake_engine(fake);
    return fake;
}

static void an_idle_engine_is_fed(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    CHECK_STR(order(fake), "give 1 2");
    HANDS_OVER(fake, 0, 2, "t2");
    CHECK_STR(order(fake), "grant 2 1: 1, not 0");
    CHECK_EQ(fake_where(fake, "t2"), 1);
    CHECK_EQ(tasks_of(fake, 0), 2);
    CHECK_EQ(tasks_of(fake, 1), 1);
    CHECK_EQ(fake->hub.sharing.nahead, 1); /* t1; t2 is assigned now */
    CHECK_EQ(fake->hub.sharing.nstolen, 1);
    fake_reply(fake, "t2", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "task apply_reply t2 ok");
    /* granted: it searches by itself now */
    CHECK_STR(order(fake), "");
    says(fake, 1, IPMPI_MSG_HUNGRY, 0, NULL);
    CHECK_STR(order(fake), "give 1 2");
    HANDS_OVER(fake, 0, 2, "t1");
    fake_reply(fake, "t1", IPMPI_STATUS_OK);
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void orders_come_to_an_end(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    CHECK_STR(order(fake), "give 1 2");
    says(fake, 0, IPMPI_MSG_HANDOVER, 2, NULL); /* nothing to give */
    CHECK_STR(order(fake), "");
    says(fake, 1, IPMPI_MSG_HUNGRY, 0, NULL);
    CHECK_STR(order(fake), "");
    fake_hub_close(fake);
}

/* A client that does not know where it is asks all engines, one after the
 * other, and the task moves meanwhile. */
static void an_abort_finds_it_anywhere(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    drop_told(fake);
    ipmpi_abort(&fake->hub, ipmpi_registry_by_id(&fake->hub.registry, 1), "t2");
    CHECK_STR(order(fake), "abort 1 0");
    HANDS_OVER(fake, 0, 2, "t2");
    CHECK_STR(fake_answer(fake), "task apply_reply t2 aborted");
    /* what cannot move is meant by those alone who know where it is */
    ipmpi_abort(&fake->hub, ipmpi_registry_by_id(&fake->hub.registry, 1), "t0");
    CHECK_STR(order(fake), "grant 2 1: 0, not 1");
    CHECK_STR(order(fake), "");
    fake_hub_close(fake);
}

static void the_stolen_is_aborted_where_it_is(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    HANDS_OVER(fake, 0, 2, "t2");
    drop_told(fake);
    ipmpi_abort(&fake->hub, ipmpi_registry_by_id(&fake->hub.registry, 1), "t2");
    CHECK_STR(order(fake), "abort 2 0");
    fake_reply(fake, "t2", IPMPI_STATUS_ABORTED);
    CHECK_STR(fake_answer(fake), "task apply_reply t2 aborted");
    fake_hub_close(fake);
}

/* Abort and hand-over cross: the victim has it no more, the thief must not. */
static void an_abort_overtakes_a_hand_over(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    ipmpi_abort(&fake->hub, ipmpi_registry_by_id(&fake->hub.registry, 0), "t2");
    drop_told(fake);
    HANDS_OVER(fake, 0, 2, "t1", "t2");
    CHECK_STR(order(fake), "grant 2 1: 1, not 1");
    CHECK_STR(fake_answer(fake), "task apply_reply t2 aborted");
    CHECK_EQ(fake_where(fake, "t1"), 1);
    fake_hub_close(fake);
}

static void a_timeout_overtakes_a_hand_over(void **state)
{
    struct fake_hub *fake = open_hub(1, 4, 1);

    (void)state;
    fake_task(fake, "late", "{\"timeout\":1}");
    fake_engine(fake);
    fake->now_us += 2000000;
    ipmpi_balanced_fire_timers(&fake->hub);
    HANDS_OVER(fake, 0, 2, "late");
    CHECK_STR(fake_answer(fake), "task apply_reply late TaskTimeout");
    fake_hub_close(fake);
}

static void retries_of_the_stolen_go_elsewhere(void **state)
{
    struct fake_hub *fake = open_hub(1, 4, 1);

    (void)state;
    started(fake, "t0");
    fake_task(fake, "again", "{\"retries\":1}");
    fake_engine(fake);
    HANDS_OVER(fake, 0, 2, "again");
    fake_reply(fake, "again", IPMPI_STATUS_ERROR);
    CHECK_STR(fake_answer(fake), "");
    CHECK_EQ(fake_where(fake, "again"), -1); /* waits for engine 0 */
    fake_reply(fake, "t0", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "again"), 0);
    CHECK_EQ(ipmpi_registry_by_id(&fake->hub.registry, 0)->nstealable, 0);
    fake_hub_close(fake);
}

static void between_worlds_by_way_of_rank_0(void **state)
{
    struct fake_hub *fake = open_hub(1, 4, 3);

    (void)state;
    started(fake, "t0");
    fake_engine(fake)->world = 2;
    says(fake, 1, IPMPI_MSG_HUNGRY, 0, NULL);
    CHECK_STR(order(fake), "give 1 2"); /* before it had another world */
    HANDS_OVER(fake, 0, 0, "t1", "t2");
    CHECK_EQ(fake_where(fake, "t1"), 1);
    CHECK(fake_where(fake, "t2") >= 0); /* ahead of need, somewhere */
    CHECK_EQ(fake->hub.sharing.nreturned, 2);
    fake_hub_close(fake);
}

/* Engines 0, 1 and 2 run a, b and c and have 1, 3 and 2 tasks behind that;
 * returns the hub when engine 3 has come, and asks for something to do. */
static struct fake_hub *open_rich_and_poor(void)
{
    static const char *const ids[] = {"a", "b", "c"};
    struct fake_hub *fake = open_hub(3, 4, 0);

    for (int i = 0; i < 3; i++) {
        fake_task(fake, ids[i], NULL);
        started(fake, ids[i]);
    }
    for (int i = 0; i < 9; i++) {
        char id[8];

        snprintf(id, sizeof(id), "t%d", i);
        fake_task(fake, id, NULL);
    }
    for (int i = 0; i < 9; i++) {
        static const bool ends[9] = {[0] = true, [2] = true, [3] = true};
        char id[8];

        snprintf(id, sizeof(id), "t%d", i);
        if (ends[i])
            fake_reply(fake, id, IPMPI_STATUS_OK);
    }
    while (fake_answer(fake)[0] != '\0')
        ;
    drop_told(fake);
    fake_engine(fake);
    return fake;
}

/* Rank of the one that was told to give. */
static int giver(struct fake_hub *fake)
{
    int rank, detail;

    CHECK_EQ(sscanf(order(fake), "give %d %d", &rank, &detail), 2);
    return rank;
}

static size_t behind(struct fake_hub *fake, int id)
{
    return tasks_of(fake, id) - 1;
}

static void who_has_most_is_to_give(void **state)
{
    struct fake_hub *fake = open_rich_and_poor();
    const int first = giver(fake) - 1;

    (void)state;
    for (int id = 0; id < 3; id++)
        CHECK(behind(fake, id) <= behind(fake, first));
    CHECK_EQ(behind(fake, 0) + behind(fake, 1) + behind(fake, 2), 6);
    /* it has nothing after all: whoever has most of the others is asked, until
     * nobody is left */
    says(fake, first, IPMPI_MSG_HANDOVER, 4, NULL);
    says(fake, giver(fake) - 1, IPMPI_MSG_HANDOVER, 4, NULL);
    says(fake, giver(fake) - 1, IPMPI_MSG_HANDOVER, 4, NULL);
    CHECK_STR(order(fake), "");
    fake_hub_close(fake);
}

/* It may have been stopped: others are asked, and what it gives late counts. */
static void the_giver_does_not_answer(void **state)
{
    struct fake_hub *fake = open_rich_and_poor();
    const int silent = giver(fake);
    const char *last = NULL;

    (void)state;
    CHECK_EQ(ipmpi_balanced_deadline_us(&fake->hub), fake->now_us + 1000000);
    fake->now_us += 999999;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK_STR(order(fake), "");
    fake->now_us += 1;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK(giver(fake) != silent);
    CHECK(ipmpi_balanced_deadline_us(&fake->hub) > fake->now_us);
    last = ipmpi_job_of(ipmpi_registry_by_rank(&fake->hub.registry, silent)
                            ->sent.first->prev)
               ->msg_id;
    HANDS_OVER(fake, silent - 1, 4, last);
    CHECK_STR(order(fake) + strlen("grant 4 N"), ": 1, not 0");
    CHECK_EQ(fake_where(fake, last), 3);
    fake_hub_close(fake);
}

static void the_giver_dies(void **state)
{
    struct fake_hub *fake = open_rich_and_poor();
    const int dead = giver(fake);
    const uint64_t begun =
        ipmpi_job_of(
            ipmpi_registry_by_rank(&fake->hub.registry, dead)->sent.first)
            ->ref;

    (void)state;
    fake_engine_killed(fake, dead - 1, 1, &begun);
    CHECK(ipmpi_registry_by_rank(&fake->hub.registry, 4)->sent.n > 0);
    fake_hub_close(fake);
}

static void the_taker_dies(void **state)
{
    struct fake_hub *fake = open_rich_and_poor();
    const int rank = giver(fake);

    (void)state;
    fake_engine_killed(fake, 3, 0, NULL);
    drop_told(fake);
    says(fake, rank - 1, IPMPI_MSG_HANDOVER, 4, NULL);
    fake_engine(fake);
    CHECK(giver(fake) != rank); /* which had nothing */
    fake_hub_close(fake);
}

/* ---- deaths --------------------------------------------------------- */

static void the_thief_dies_before_the_hand_over_comes(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    drop_told(fake);
    fake_engine_killed(fake, 1, 0, NULL);
    CHECK_STR(order(fake), "gone 1 2");
    HANDS_OVER(fake, 0, 2, "t2");
    CHECK_EQ(fake_where(fake, "t2"), 0); /* given out again */
    CHECK_STR(order(fake), "");
    fake_hub_close(fake);
}

static void the_thief_dies_after_the_grant(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    HANDS_OVER(fake, 0, 2, "t2");
    fake_engine_killed(fake, 1, 0, NULL);
    CHECK_EQ(fake_where(fake, "t2"), 0);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "");
    fake_hub_close(fake);
}

static void the_thief_dies_running_it(void **state)
{
    struct fake_hub *fake = open_skewed();
    uint64_t begun;

    (void)state;
    HANDS_OVER(fake, 0, 2, "t2");
    begun = fake_ref(fake, "t2");
    fake_engine_killed(fake, 1, 1, &begun);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task apply_reply t2 EngineError");
    fake_hub_close(fake);
}

/* It has reported the hand-over: t2 is the thief's, if it got it. */
static void the_victim_dies_after_the_hand_over(void **state)
{
    struct fake_hub *fake = open_skewed();
    const uint64_t begun = fake_ref(fake, "t0");

    (void)state;
    HANDS_OVER(fake, 0, 2, "t2");
    drop_told(fake);
    fake_engine_killed(fake, 0, 1, &begun);
    CHECK_STR(order(fake), "gone 2 1");
    CHECK_EQ(fake_where(fake, "t1"), 1); /* was not begun */
    CHECK_EQ(fake_where(fake, "t2"), 1);
    says(fake, 1, IPMPI_MSG_MISSING, 0, (const char *const[]){"t2", NULL});
    CHECK_EQ(fake->hub.sharing.nmissing, 1);
    CHECK_EQ(fake_where(fake, "t2"), 1); /* sent again */
    fake_reply(fake, "t2", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

/* It dies before: the thief is told before t2 is given to it again. */
static void the_victim_dies_before_the_hand_over_comes(void **state)
{
    struct fake_hub *fake = open_skewed();
    const uint64_t begun = fake_ref(fake, "t0");
    int rank;

    (void)state;
    drop_told(fake);
    fake_engine_killed(fake, 0, 1, &begun);
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_GONE);
    CHECK_EQ(rank, 2);
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_WORK);
    CHECK_EQ(fake_told(fake, &rank, NULL), IPMPI_MSG_WORK);
    CHECK_EQ(fake_told(fake, &rank, NULL), 0);
    fake_hub_close(fake);
}

/* What peers can send at any time changes nothing that is not theirs. */
static void nonsense_is_refused(void **state)
{
    struct fake_hub *fake = open_skewed();

    (void)state;
    drop_told(fake);
    HANDS_OVER(fake, 1, 1, "t0", "t1"); /* does not have them */
    CHECK_STR(order(fake), "grant 1 2: 0, not 2");
    HANDS_OVER(fake, 0, 2, "t0"); /* has begun it */
    CHECK_STR(order(fake), "grant 2 1: 0, not 1");
    says(fake, 1, IPMPI_MSG_MISSING, 0, (const char *const[]){"t1", NULL});
    CHECK_EQ(fake_where(fake, "t0"), 0);
    CHECK_EQ(fake_where(fake, "t1"), 0);
    HANDS_OVER(fake, 0, 77, "t1"); /* to nobody: given out again */
    CHECK(fake_where(fake, "t1") >= 0);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ahead_only_when_none_is_free),
        cmocka_unit_test(without_prefetch_nothing_goes_ahead),
        cmocka_unit_test(a_task_with_a_target_keeps_its_place),
        cmocka_unit_test(what_is_ahead_times_out),
        cmocka_unit_test(what_has_begun_does_not_time_out),
        cmocka_unit_test(ahead_and_lost),
        cmocka_unit_test(an_idle_engine_is_fed),
        cmocka_unit_test(orders_come_to_an_end),
        cmocka_unit_test(an_abort_finds_it_anywhere),
        cmocka_unit_test(the_stolen_is_aborted_where_it_is),
        cmocka_unit_test(an_abort_overtakes_a_hand_over),
        cmocka_unit_test(a_timeout_overtakes_a_hand_over),
        cmocka_unit_test(retries_of_the_stolen_go_elsewhere),
        cmocka_unit_test(between_worlds_by_way_of_rank_0),
        cmocka_unit_test(who_has_most_is_to_give),
        cmocka_unit_test(the_giver_does_not_answer),
        cmocka_unit_test(the_giver_dies),
        cmocka_unit_test(the_taker_dies),
        cmocka_unit_test(the_thief_dies_before_the_hand_over_comes),
        cmocka_unit_test(the_thief_dies_after_the_grant),
        cmocka_unit_test(the_thief_dies_running_it),
        cmocka_unit_test(the_victim_dies_after_the_hand_over),
        cmocka_unit_test(the_victim_dies_before_the_hand_over_comes),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

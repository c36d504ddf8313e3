/* Replies of coalescing broadcasts by trees: who is told which place, what is
 * made of what comes, and what is asked for when it does not. */
#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "bridge/engines.h"
#include "bridge/schedulers/broadcast.h"
#include "bridge/schedulers/gathers.h"
#include "runtime/engine/gathered.h"
#include "tests/bridge/fake_hub.h"
#include "tests/bridge/schedulers/shares.h"

enum { MOST = 8, SECOND = 1000 * 1000 };

/* One world of all ranks but those from 50 on, which are another. */
static int place(void *ctx, int rank, int *rank_out)
{
    (void)ctx;
    *rank_out = rank < 50 ? rank : rank - 49;
    return rank < 50 ? 0 : 1;
}

static struct fake_hub *open_hub(struct ipmpi_engine **engine, int n)
{
    struct fake_hub *fake = fake_hub_open(1);

    fake->hub.out.place = place;
    for (int i = 0; i < n; i++)
        engine[i] = fake_engine(fake);
    return fake;
}

static void close_hub(struct fake_hub *fake)
{
    CHECK(fake->hub.gathers == NULL);
    fake_hub_close(fake);
}

static void broadcast(struct fake_hub *fake, const char *msg_type,
                      const char *msg_id, const char *how,
                      struct ipmpi_engine **engine, int n)
{
    char metadata[1024];
    int at = snprintf(metadata, sizeof(metadata),
                      "{\"is_broadcast\":true,%s,\"targets\":[", how);
    struct ipmpi_request *request;

    for (int i = 0; i < n; i++)
        at += snprintf(metadata + at, sizeof(metadata) - (size_t)at,
                       "%s[\"%s\",%d]", i > 0 ? "," : "", engine[i]->uuid,
                       engine[i]->id);
    snprintf(metadata + at, sizeof(metadata) - (size_t)at, "]}");
    request = fake_request(fake, msg_type, msg_id, NULL, metadata, NULL);
    ipmpi_broadcast_submit(&fake->hub, request);
    ipmpi_request_release(&request);
}

static void coalesce(struct fake_hub *fake, const char *msg_id,
                     struct ipmpi_engine **engine, int n)
{
    broadcast(fake, "apply_request", msg_id, "\"is_coalescing\":true", engine,
              n);
}

static uint64_t ref_of(struct fake_hub *fake, const char *msg_id,
                       const struct ipmpi_engine *engine)
{
    char id[128];

    snprintf(id, sizeof(id), "%s_%s", msg_id, engine->uuid);
    return fake_ref(fake, id);
}

static size_t put_leg(const struct ipmpi_frames *frames, char *out, size_t cap)
{
    struct ipmpi_gather_leg leg;

    CHECK_EQ(frames->at[frames->n - 1].len, sizeof(leg));
    memcpy(&leg, frames->at[frames->n - 1].data, sizeof(leg));
    return (size_t)snprintf(out, cap, " #%u to %d x%u open %u",
                            (unsigned)leg.number, leg.parent, leg.replies,
                            (unsigned)leg.open);
}

/* What was sent since, as "1 work #1 to 0 x4 open 1, 2 straight 2". */
static const char *sent(struct fake_hub *fake)
{
    static char text[1024];
    size_t at = 0;
    struct fake_sent *one;

    text[0] = '\0';
    while ((one = fake->to_ranks) != NULL) {
        struct ipmpi_msg_head head;

        memcpy(&head, one->frames.at[0].data, sizeof(head));
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%d %s",
                               at > 0 ? ", " : "", one->where,
                               head.type == IPMPI_MSG_WORK       ? "work"
                               : head.type == IPMPI_MSG_STRAIGHT ? "straight"
                               : head.type == IPMPI_MSG_GONE     ? "gone"
                                                                 : "?");
        if (head.type == IPMPI_MSG_STRAIGHT)
            at += (size_t)snprintf(text + at, sizeof(text) - at, " %u",
                                   (unsigned)head.ref);
        if (head.flags & IPMPI_WORK_GATHER)
            at += put_leg(&one->frames, text + at, sizeof(text) - at);
        DL_DELETE(fake->to_ranks, one);
        ipmpi_frames_clear(&one->frames);
        free(one);
    }
    return text;
}

/* A GATHERED from `from`: a reply of one buffer for each letter of `how` that
 * is not '.', to the shares of these engines: o(k), e(rror), - apart. */
static void gathered(struct fake_hub *fake, const struct ipmpi_engine *from,
                     uint64_t number, const uint64_t *refs, const char *how)
{
    static const struct ipmpi_frame
        ok = {(const uint8_t *)"{\"status\":\"ok\"}", 15, NULL},
        boom = {(const uint8_t *)"{\"status\":"
                                 "\"error\",\"ename\":\"Boom\"}",
                33, NULL},
        none = {(const uint8_t *)"{}", 2, NULL};
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_GATHERED,
                                        .ref = number};
    struct ipmpi_gathered all = {0};
    struct ipmpi_frames frames = {0};

    for (size_t i = 0; how[i] != '\0'; i++) {
        const struct ipmpi_gathered_share share = {
            .ref = refs[i],
            .status = how[i] == 'e' ? IPMPI_STATUS_ERROR : IPMPI_STATUS_OK,
            .flags = how[i] == '-' ? IPMPI_SHARE_APART : 0};
        struct ipmpi_frames buffer = {0};
        struct ipmpi_gathered one;
        char text[16];

        if (how[i] == '.')
            continue;
        snprintf(text, sizeof(text), "r%u", (unsigned)refs[i]);
        CHECK_EQ(ipmpi_frames_add_copy(&buffer, text, strlen(text)), 0);
        CHECK_EQ(ipmpi_gathered_begin(&share, how[i] == '-' ? NULL : &none,
                                      how[i] == 'e' ? &boom : &ok, &buffer,
                                      &one),
                 0);
        CHECK_EQ(ipmpi_gathered_merge(&all, &one), 0);
        ipmpi_frames_clear(&buffer);
    }
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    CHECK_EQ(ipmpi_gathered_write(&all, &frames), 0);
    ipmpi_engines_receive(&fake->hub, from->rank, &frames);
    ipmpi_frames_clear(&frames);
    ipmpi_gathered_clear(&all);
}

/* The answer to the client and its buffers: "... ok r1 r2". */
static const char *answer(struct fake_hub *fake)
{
    static char text[512];
    char buffers[256] = "";
    size_t at = 0;

    if (fake->to_clients != NULL) {
        const struct ipmpi_frames *f = &fake->to_clients->frames;

        for (size_t i = 1 + 1 + 5; i < f->n; i++)
            at += (size_t)snprintf(buffers + at, sizeof(buffers) - at, " %.*s",
                                   (int)f->at[i].len,
                                   (const char *)f->at[i].data);
    }
    snprintf(text, sizeof(text), "%s%s", fake_answer(fake), buffers);
    return text;
}

/* The client has its one reply, with this, and hears that all are idle. */
static void check_answer(struct fake_hub *fake, const char *msg_id,
                         const char *text)
{
    char want[128];

    snprintf(want, sizeof(want), "broadcast apply_reply %s %s", msg_id, text);
    CHECK_STR(answer(fake), want);
    snprintf(want, sizeof(want), "iopub status %s ", msg_id);
    CHECK_STR(fake_answer(fake), want);
    CHECK_STR(fake_answer(fake), "");
}

static void refs_of(struct fake_hub *fake, const char *msg_id,
                    struct ipmpi_engine **engine, int n, uint64_t *refs)
{
    for (int i = 0; i < n; i++)
        refs[i] = ref_of(fake, msg_id, engine[i]);
}

static void each_share_has_its_place(void **state)
{
    struct ipmpi_engine *e[MOST];
    struct fake_hub *fake = open_hub(e, 6);
    uint64_t refs[MOST];

    (void)state;
    for (int i = 0; i < 6; i++)
        e[i]->node[0] = i % 2 ? 'b' : 'a';
    coalesce(fake, "b", e, 6);
    CHECK_STR(sent(fake), "1 work #1 to 0 x6 open 1, 2 work #1 to 1 x3 open 2, "
                          "3 work #1 to 1 x1 open 3, 4 work #1 to 2 x1 open 4, "
                          "5 work #1 to 1 x1 open 5, 6 work #1 to 2 x1 open 6");
    refs_of(fake, "b", e, 6, refs);
    coalesce(fake, "c", e, 4); /* its replies to the first are not here */
    CHECK(strstr(sent(fake), "1 work #2 to 0 x4 open 1, ") != NULL);
    gathered(fake, e[0], 1, refs, "oooooo");
    check_answer(fake, "b", "ok r1 r2 r3 r4 r5 r6");
    coalesce(fake, "d", e, 4);
    CHECK(strstr(sent(fake), "1 work #3 to 0 x4 open 7, ") != NULL);
    refs_of(fake, "c", e, 4, refs);
    gathered(fake, e[0], 2, refs, "oooo");
    check_answer(fake, "c", "ok r7 r8 r9 r10");
    refs_of(fake, "d", e, 4, refs);
    gathered(fake, e[0], 3, refs, "oooo");
    check_answer(fake, "d", "ok r11 r12 r13 r14");
    close_hub(fake);
}

static void others_reply_by_themselves(void **state)
{
    static const struct {
        const char *msg_type, *how;
        int n;
    } rows[] = {
        {"apply_request", "\"is_coalescing\":true", 1}, /* too few */
        {"apply_request", "\"is_coalescing\":false", 4},
        {"apply_request", "\"is_coalescing\":true,\"ipmpi_collective\":true",
         4},
        {"execute_request", "\"is_coalescing\":true", 4},
    };
    struct ipmpi_engine *e[MOST], *twice[5];
    struct fake_hub *fake = open_hub(e, 4);
    char id[8];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(id, sizeof(id), "b%zu", i);
        broadcast(fake, rows[i].msg_type, id, rows[i].how, e, rows[i].n);
        CHECK(strstr(sent(fake), " to ") == NULL);
        for (int k = 0; k < rows[i].n; k++)
            reply_share(fake, id, e[k]);
    }
    memcpy(twice, e, 4 * sizeof(e[0]));
    twice[4] = e[2];
    coalesce(fake, "t", twice, 5); /* nobody is its own parent */
    CHECK_STR(sent(fake), "1 work, 2 work, 3 work, 4 work");
    close_hub(fake);
}

static void each_world_has_a_tree(void **state)
{
    struct ipmpi_engine *e[MOST];
    struct fake_hub *fake = open_hub(e, 4);
    uint64_t refs[MOST];

    (void)state;
    for (int i = 4; i < 6; i++) {
        CHECK_EQ(ipmpi_registry_add(&fake->hub.registry, 46 + i, -1, &e[i]), 0);
        ipmpi_registry_ready(&fake->hub.registry, e[i]);
    }
    coalesce(fake, "b", e, 6);
    CHECK_STR(sent(fake), "1 work #1 to 0 x4 open 1, 2 work #1 to 1 x1 open 2, "
                          "3 work #1 to 1 x1 open 3, 4 work #1 to 1 x1 open 4, "
                          "50 work #1 to 0 x2 open 5, "
                          "51 work #1 to 1 x1 open 6");
    refs_of(fake, "b", e, 6, refs);
    gathered(fake, e[4], 1, refs, "....oo");
    gathered(fake, e[0], 1, refs, "oooo");
    check_answer(fake, "b", "ok r1 r2 r3 r4 r5 r6");
    coalesce(fake, "c", e + 3, 2); /* one of each: nothing to combine */
    CHECK_STR(sent(fake), "4 work, 50 work");
    reply_share(fake, "c", e[3]);
    reply_share(fake, "c", e[4]);
    check_answer(fake, "c", "ok result result");
    close_hub(fake);
}

/* However it comes: the first that failed speaks, else the buffers of all. */
static void it_may_come_in_parts(void **state)
{
    static const struct {
        const char *part[4];
        const char *text;
    } rows[] = {
        {{".o.o", "o.o."}, "ok r1 r2 r3 r4"},
        {{"...o", "..o.", ".o..", "o..."}, "ok r1 r2 r3 r4"},
        {{"o.e.", ".o.e"}, "Boom"},
        {{"..oe", "oo.."}, "Boom"},
        {{"oooo", "oooo"}, "ok r1 r2 r3 r4"}, /* twice */
        {{".ooo", "oooo"}, "ok r1 r2 r3 r4"},
        {{"-ooo", "o..."}, "ok r1 r2 r3 r4"},
    };
    struct ipmpi_engine *e[MOST];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fake_hub *fake = open_hub(e, 4);
        uint64_t refs[MOST];

        coalesce(fake, "b", e, 4);
        refs_of(fake, "b", e, 4, refs);
        for (int k = 0; k < 4 && rows[i].part[k] != NULL; k++)
            gathered(fake, e[k], 1, refs, rows[i].part[k]);
        check_answer(fake, "b", rows[i].text);
        close_hub(fake);
    }
}

/* An engine on the way may stand still: after a second nothing more is
 * expected of trees. */
static void what_lasts_long_comes_straight(void **state)
{
    struct ipmpi_engine *e[MOST];
    struct fake_hub *fake = open_hub(e, 4);
    uint64_t refs[MOST];

    (void)state;
    CHECK(ipmpi_gathers_deadline_us(&fake->hub) == INT64_MAX);
    coalesce(fake, "b", e, 4);
    CHECK(ipmpi_gathers_deadline_us(&fake->hub) == fake->now_us + SECOND);
    refs_of(fake, "b", e, 4, refs);
    sent(fake);
    gathered(fake, e[2], 1, refs, "..o.");
    fake->now_us += SECOND - 1;
    ipmpi_gathers_fire_timers(&fake->hub);
    CHECK_STR(sent(fake), "");
    fake->now_us++;
    ipmpi_gathers_fire_timers(&fake->hub);
    CHECK_STR(sent(fake), "1 straight 1, 2 straight 2, 4 straight 4");
    CHECK(ipmpi_gathers_deadline_us(&fake->hub) == INT64_MAX);
    reply_share(fake, "b", e[0]);          /* had not ended */
    gathered(fake, e[1], 1, refs, ".o.."); /* had */
    gathered(fake, e[3], 1, refs, "..oo"); /* the way is free again */
    check_answer(fake, "b", "ok result r2 r3 r4");
    close_hub(fake);
}

/* What waits on rank 0 until then never hears of the tree. */
static void who_is_late_has_no_place(void **state)
{
    struct ipmpi_engine *e[MOST];
    struct fake_hub *fake = open_hub(e, 4);
    uint64_t refs[MOST];

    (void)state;
    submit_direct(fake, "x", e[1]);
    submit_direct(fake, "y", e[1]);
    sent(fake);
    coalesce(fake, "b", e, 4);
    CHECK(strstr(sent(fake), "2 work") == NULL);
    refs_of(fake, "b", e, 4, refs);
    gathered(fake, e[0], 1, refs, "o.oo");
    fake->now_us += SECOND;
    ipmpi_gathers_fire_timers(&fake->hub);
    fake_reply(fake, "x", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "mux apply_reply x ok");
    CHECK_STR(sent(fake), "2 work");
    reply_share(fake, "b", e[1]);
    check_answer(fake, "b", "ok r3 result r5 r6");
    close_hub(fake);
}

static void without_one_of_its_engines_no_tree_counts(void **state)
{
    struct ipmpi_engine *e[MOST];
    struct fake_hub *fake = open_hub(e, 5);
    uint64_t refs[MOST];

    (void)state;
    coalesce(fake, "b", e, 4);
    coalesce(fake, "c", e + 1, 4); /* is not concerned */
    refs_of(fake, "b", e, 4, refs);
    sent(fake);
    gathered(fake, e[0], 1, refs, "o...");
    fake_engine_dies(fake, 0);
    CHECK_STR(sent(fake), "2 gone, 3 gone, 4 gone, 5 gone, 2 straight 2, "
                          "3 straight 3, 4 straight 4");
    /* the client hears that it is gone, and fails it itself, if it still can */
    CHECK_STR(answer(fake), "notification unregistration_notification - ");
    gathered(fake, e[1], 1, refs, ".o..");
    gathered(fake, e[2], 1, refs, "..oo");
    check_answer(fake, "b", "ok r1 r2 r3 r4");
    refs_of(fake, "c", e + 1, 4, refs);
    gathered(fake, e[1], 2, refs, "o.o.");
    fake_engine_dies(fake, 2);
    CHECK_STR(sent(fake), "2 gone, 4 gone, 5 gone, 5 straight 8");
    gathered(fake, e[4], 2, refs, "...o");
    CHECK_STR(answer(fake), "notification unregistration_notification - ");
    CHECK_STR(answer(fake), ""); /* it can no longer complete */
    close_hub(fake);
}

static void nonsense_is_dropped(void **state)
{
    struct ipmpi_engine *e[MOST];
    struct fake_hub *fake = open_hub(e, 4);
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_GATHERED,
                                        .ref = 1};
    struct ipmpi_frames frames = {0};
    uint64_t refs[MOST];

    (void)state;
    coalesce(fake, "b", e, 4);
    refs_of(fake, "b", e, 4, refs);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    ipmpi_engines_receive(&fake->hub, e[0]->rank, &frames);
    ipmpi_frames_clear(&frames);
    gathered(fake, e[0], 2, refs, "oooo"); /* no such gather */
    CHECK_STR(answer(fake), "");
    gathered(fake, e[0], 1, refs, "oooo");
    check_answer(fake, "b", "ok r1 r2 r3 r4");
    close_hub(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_share_has_its_place),
        cmocka_unit_test(others_reply_by_themselves),
        cmocka_unit_test(each_world_has_a_tree),
        cmocka_unit_test(it_may_come_in_parts),
        cmocka_unit_test(what_lasts_long_comes_straight),
        cmocka_unit_test(who_is_late_has_no_place),
        cmocka_unit_test(without_one_of_its_engines_no_tree_counts),
        cmocka_unit_test(nonsense_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

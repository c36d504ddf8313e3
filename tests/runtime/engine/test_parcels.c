/* Bodies that come by a tree: whatever their way, work has its own bytes, in
 * its order, and who cannot be served is named. Four engines. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/segment.h"
#include "tests/runtime/engine/controller.h"
#include "tests/runtime/engine/requests.h"
#include "tests/runtime/engine/transcript.h"

enum { ENGINES = 4 };

static uint64_t last_number;

struct tree {
    struct ipmpi_leg leg[8];
    size_t n;
};

/* 0 passes it to 1 and to 2, which passes it to 3; all on one node. */
static const struct tree whole = {{{1, 4, 0}, {2, 1, 1}, {3, 2, 1}, {4, 1, 1}},
                                  4};
/* The same, as if 2 and 3 were on another node. */
static const struct tree apart = {{{1, 4, 0}, {2, 1, 1}, {3, 2, 0}, {4, 1, 1}},
                                  4};
static const struct tree root_alone = {{{1, 1, 0}}, 1};

/* The same bytes as controller_work_buffers. */
static void add_body(struct ipmpi_frames *frames, const char *order,
                     const size_t *len, int n)
{
    char text[64];

    snprintf(text, sizeof(text), "{\"do\": \"%s\"}", order);
    CHECK_EQ(ipmpi_frames_add_copy(frames, text, strlen(text)), 0);
    for (int i = 0; i < n; i++) {
        uint8_t *data = malloc(len[i] + 1);

        CHECK(data != NULL);
        for (size_t at = 0; at < len[i]; at++)
            data[at] = (uint8_t)(at + (size_t)i);
        CHECK_EQ(ipmpi_frames_add_copy(frames, data, len[i]), 0);
        free(data);
    }
}

static void send_tree(int engine, enum ipmpi_msg_type type, uint64_t number,
                      uint16_t flags, const struct tree *tree,
                      struct ipmpi_frames *body)
{
    const struct ipmpi_msg_head head = {
        .type = (uint16_t)type, .ref = number, .flags = flags};
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&frames, tree->leg,
                                   tree->n * sizeof(tree->leg[0])),
             0);
    if (body != NULL)
        CHECK_EQ(ipmpi_frames_add_from(&frames, body, 0, body->n), 0);
    controller_send(engine, &head, &frames);
}

static void send_parcel(int engine, uint64_t number, uint16_t flags,
                        const struct tree *tree, const char *order,
                        const size_t *len, int n)
{
    struct ipmpi_frames body = {0};

    add_body(&body, order, len, n);
    send_tree(engine, IPMPI_MSG_PARCEL, number, flags, tree, &body);
    ipmpi_frames_clear(&body);
}

static void drop(int engine, uint64_t number)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_DROP, .ref = number};
    struct ipmpi_frames none = {0};

    controller_send(engine, &head, &none);
}

/* All that the work should say; its buffers' bytes are checked on the way. */
static void check_echo(uint64_t ref, const size_t *len, int n)
{
    struct transcript t;
    size_t bytes = 0;

    for (int i = 0; i < n; i++)
        bytes += len[i];
    controller_await(ref, &t);
    CHECK_EQ(t.head.kind, IPMPI_STATUS_OK);
    CHECK_EQ(t.nbuffers, n);
    CHECK_EQ(t.buffer_bytes, bytes);
    transcript_clear(&t);
}

static void work_gets_what_the_tree_brings(void **state)
{
    static const struct {
        size_t len[3];
        int n;
        uint16_t flags;
        bool work_first;
        const struct tree *tree;
    } rows[] = {
        {{0}, 0, 0, true, &whole},
        {{10, 0, 3000}, 3, 0, false, &whole},
        {{20000, 100, 40000}, 3, 0, true, &whole},
        {{3 << 20, 100, 40000}, 3, 0, false, &whole},
        {{3 << 20, 100, 40000}, 3, IPMPI_PARCEL_KEEP, true, &whole},
        {{5000, (1 << 20) + 3, 2 << 20}, 3, IPMPI_PARCEL_KEEP, false, &whole},
        {{1000, 20000, 40000}, 3, IPMPI_PARCEL_KEEP, true, &whole},
        {{3 << 20, 100, 40000}, 3, IPMPI_PARCEL_KEEP, true, &apart},
        {{5000, 1 << 20, 2 << 20}, 3, IPMPI_PARCEL_KEEP, false, &apart},
        {{20000, 100}, 2, 0, true, &apart},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint64_t number = ++last_number;
        uint64_t ref[ENGINES];

        for (int pass = 0; pass < 2; pass++) {
            if (pass == rows[i].work_first)
                send_parcel(0, number, rows[i].flags, rows[i].tree, "spoil",
                            rows[i].len, rows[i].n);
            for (int e = 0; e < ENGINES && pass != rows[i].work_first; e++)
                ref[e] = controller_parcel_work(e, number);
        }
        for (int e = 0; e < ENGINES; e++)
            check_echo(ref[e], rows[i].len, rows[i].n);
        drop(0, number);
        drop(2, number);
    }
}

static void work_keeps_its_order(void **state)
{
    const size_t len[] = {30000};
    const uint64_t first = ++last_number, second = ++last_number;
    uint64_t a, b, c;

    (void)state;
    a = controller_parcel_work(0, first);
    b = controller_work(0, IPMPI_WORK_APPLY, "apply_request", "ok");
    c = controller_parcel_work(0, second);
    send_parcel(0, second, 0, &root_alone, "echo", len, 1);
    send_parcel(0, second, 0, &root_alone, "echo", len, 1); /* again */
    CHECK(!controller_is_done(b));
    send_parcel(0, first, 0, &root_alone, "echo", len, 1);
    check_echo(c, len, 1);
    CHECK(controller_is_done(a));
    CHECK(controller_is_done(b));
    send_parcel(0, first, 0, &root_alone, "echo", len, 1); /* too late */
}

static void what_waits_can_be_aborted(void **state)
{
    const size_t len[] = {30000};
    const uint64_t number = ++last_number;
    struct transcript t;
    uint64_t ref, behind;

    (void)state;
    ref = controller_parcel_work(1, number);
    behind = controller_work(1, IPMPI_WORK_APPLY, "apply_request", "ok");
    controller_abort(1, &ref, 1);
    controller_await(ref, &t);
    CHECK_EQ(t.head.kind, IPMPI_STATUS_ABORTED);
    transcript_clear(&t);
    check_echo(behind, NULL, 0);
    /* it comes all the same, and others need it */
    ref = controller_parcel_work(2, number);
    send_parcel(1, number, 0, &(struct tree){{{2, 2, 0}, {3, 1, 1}}, 2}, "echo",
                len, 1);
    check_echo(ref, len, 1);
}

static void who_keeps_it_passes_it_to_late_ones(void **state)
{
    const struct tree late = {{{1, 3, 0}, {4, 1, 1}, {3, 1, 1}}, 3};
    const size_t len[] = {2 << 20, 17};
    const uint64_t number = ++last_number;
    int lacks = controller_count(IPMPI_MSG_LACKS);
    uint64_t ref[ENGINES];

    (void)state;
    send_parcel(0, number, IPMPI_PARCEL_KEEP, &root_alone, "spoil", len, 2);
    ref[0] = controller_parcel_work(0, number);
    check_echo(ref[0], len, 2);
    ref[2] = controller_parcel_work(2, number);
    ref[3] = controller_parcel_work(3, number);
    send_tree(0, IPMPI_MSG_PASS, number, 0, &late, NULL);
    if (getenv(IPMPI_SEGMENT_ENV) != NULL &&
        strcmp(getenv(IPMPI_SEGMENT_ENV), "no") == 0) { /* nothing to keep */
        controller_await_count(IPMPI_MSG_LACKS, lacks += 2);
        for (int e = 2; e < 4; e++)
            send_parcel(e, number, 0, &(struct tree){{{e + 1, 1, 0}}, 1},
                        "spoil", len, 2);
    }
    check_echo(ref[2], len, 2);
    check_echo(ref[3], len, 2);
    drop(0, number);
    send_tree(0, IPMPI_MSG_PASS, number, 0, &late, NULL);
    controller_await_count(IPMPI_MSG_LACKS, lacks + 2);
    CHECK(controller_has(IPMPI_MSG_LACKS, number, 3));
    CHECK(controller_has(IPMPI_MSG_LACKS, number, 4));
}

static void an_address_out_of_reach_is_told(void **state)
{
    const struct ipmpi_segment_address nowhere = {1, 2, 3, 4, 5};
    const struct ipmpi_extent extent = {0, 3};
    const struct tree both = {{{1, 2, 0}, {2, 1, 1}}, 2};
    const int lacks = controller_count(IPMPI_MSG_LACKS);
    const uint64_t number = ++last_number;
    struct ipmpi_frames body = {0};

    (void)state;
    CHECK_EQ(ipmpi_frames_add_copy(&body, &nowhere, sizeof(nowhere)), 0);
    CHECK_EQ(ipmpi_frames_add_copy(&body, &extent, sizeof(extent)), 0);
    send_tree(0, IPMPI_MSG_PARCEL, number, IPMPI_PARCEL_AT, &both, &body);
    ipmpi_frames_clear(&body);
    controller_await_count(IPMPI_MSG_LACKS, lacks + 2); /* itself, the next */
    CHECK(controller_has(IPMPI_MSG_LACKS, number, 1));
    CHECK(controller_has(IPMPI_MSG_LACKS, number, 2));
}

static void nonsense_is_dropped(void **state)
{
    static const struct tree rows[] = {
        {{{1, 2, 0}}, 1},                       /* more than there are */
        {{{1, 0, 0}}, 1},                       /* not even itself */
        {{{1, 3, 0}, {2, 2, 0}, {3, 2, 0}}, 3}, /* not nested */
        {{{0, 1, 0}}, 1},                       /* rank 0 */
        {{{0, 0, 0}}, 0},
    };
    const size_t len[] = {10};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        send_parcel(0, ++last_number, 0, &rows[i], "echo", len, 1);
        send_tree(0, IPMPI_MSG_PASS, last_number, 0, &rows[i], NULL);
    }
    send_tree(0, IPMPI_MSG_PARCEL, ++last_number, IPMPI_PARCEL_AT, &root_alone,
              NULL);
    check_echo(controller_work(0, IPMPI_WORK_APPLY, "apply_request", "ok"),
               NULL, 0);
}

/* The last, since that engine is dead to the others from now on. */
static void who_is_gone_is_left_out_and_named(void **state)
{
    const struct ipmpi_msg_head gone = {.type = IPMPI_MSG_GONE, .detail = 3};
    const struct ipmpi_msg_head odd = {.type = IPMPI_MSG_GONE, .detail = 99};
    const int lacks = controller_count(IPMPI_MSG_LACKS);
    const size_t len[] = {30000};
    const uint64_t number = ++last_number;
    struct ipmpi_frames none = {0};
    uint64_t ref[ENGINES];

    (void)state;
    controller_send(0, &odd, &none);
    controller_send(0, &gone, &none);
    for (int e = 0; e < ENGINES; e++)
        ref[e] = controller_parcel_work(e, number);
    send_parcel(0, number, 0, &whole, "echo", len, 1);
    check_echo(ref[0], len, 1);
    check_echo(ref[1], len, 1);
    controller_await_count(IPMPI_MSG_LACKS, lacks + 2);
    CHECK(controller_has(IPMPI_MSG_LACKS, number, 3));
    CHECK(controller_has(IPMPI_MSG_LACKS, number, 4));
    send_parcel(3, number, 0, &(struct tree){{{4, 1, 0}}, 1}, "echo", len, 1);
    send_parcel(2, number, 0, &(struct tree){{{3, 1, 0}}, 1}, "echo", len, 1);
    check_echo(ref[2], len, 1);
    check_echo(ref[3], len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_gets_what_the_tree_brings),
        cmocka_unit_test(work_keeps_its_order),
        cmocka_unit_test(what_waits_can_be_aborted),
        cmocka_unit_test(who_keeps_it_passes_it_to_late_ones),
        cmocka_unit_test(an_address_out_of_reach_is_told),
        cmocka_unit_test(nonsense_is_dropped),
        cmocka_unit_test(who_is_gone_is_left_out_and_named),
    };

    return cmocka_run_group_tests(tests, controller_open, controller_close);
}

/* Bodies of broadcasts by trees: who is sent what, and what happens when an
 * engine on the way is late, lacks it, or dies. */
#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "bridge/engines.h"
#include "bridge/schedulers/broadcast.h"
#include "runtime/base/segment.h"
#include "tests/bridge/fake_hub.h"
#include "tests/bridge/schedulers/shares.h"

enum { SMALL = 100, MIDDLE = 100 * 1000, LARGE = 2 * 1024 * 1024 };

/* One world of all ranks but those from 50 on, which are another. */
static int place(void *ctx, int rank, int *rank_out)
{
    (void)ctx;
    *rank_out = rank < 50 ? rank : rank - 49;
    return rank < 50 ? 0 : 1;
}

static struct fake_hub *open_hub(struct ipmpi_engine **engine, int n,
                                 const char *nodes)
{
    struct fake_hub *fake = fake_hub_open(1);

    fake->hub.out.place = place;
    for (int i = 0; i < n; i++) {
        engine[i] = fake_engine(fake);
        engine[i]->node[0] = nodes[i];
    }
    return fake;
}

static void broadcast(struct fake_hub *fake, const char *msg_id, size_t bytes,
                      struct ipmpi_engine **engine, int n)
{
    char *content = malloc(bytes + 64), metadata[1024];
    int at = snprintf(metadata, sizeof(metadata),
                      "{\"is_broadcast\":true,\"is_coalescing\":false,"
                      "\"targets\":[");
    struct ipmpi_request *request;

    for (int i = 0; i < n; i++)
        at += snprintf(metadata + at, sizeof(metadata) - (size_t)at,
                       "%s[\"%s\",%d]", i > 0 ? "," : "", engine[i]->uuid,
                       engine[i]->id);
    snprintf(metadata + at, sizeof(metadata) - (size_t)at, "]}");
    memset(content, ' ', bytes + 64);
    memcpy(content, "{\"x\":", 5);
    strcpy(content + bytes, "1}");
    request =
        fake_request(fake, "apply_request", msg_id, NULL, metadata, content);
    ipmpi_broadcast_submit(&fake->hub, request);
    ipmpi_request_release(&request);
    free(content);
}

static void lacks(struct fake_hub *fake, const struct ipmpi_engine *from,
                  uint64_t number, int rank)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_LACKS,
                                        .ref = number,
                                        .detail = rank};
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    ipmpi_engines_receive(&fake->hub, from->rank, &frames);
    ipmpi_frames_clear(&frames);
}

static size_t put_legs(const struct ipmpi_frame *frame, char *out, size_t cap)
{
    const struct ipmpi_leg *legs = (const struct ipmpi_leg *)frame->data;
    size_t at = 0;

    for (size_t i = 0; i < frame->len / sizeof(*legs); i++)
        at += (size_t)snprintf(out + at, cap - at, " %d:%u%s", legs[i].rank,
                               legs[i].size, legs[i].local ? "l" : "");
    return at;
}

/* What was sent since, as "1 work#1, 1 parcel#1 keep 1:2 2:1l". */
static const char *sent(struct fake_hub *fake)
{
    static char text[1024];
    size_t at = 0;
    struct fake_sent *one;

    text[0] = '\0';
    while ((one = fake->to_ranks) != NULL) {
        const struct ipmpi_frames *f = &one->frames;
        const char *comma = at > 0 ? ", " : "";
        struct ipmpi_msg_head head;
        uint64_t number = 0;

        memcpy(&head, f->at[0].data, sizeof(head));
        if (head.type == IPMPI_MSG_WORK && (head.flags & IPMPI_WORK_PARCEL))
            memcpy(&number, f->at[3].data, sizeof(number));
        at += (size_t)snprintf(
            text + at, sizeof(text) - at, "%s%d %s#%llu%s", comma, one->where,
            head.type == IPMPI_MSG_WORK     ? "work"
            : head.type == IPMPI_MSG_PARCEL ? "parcel"
            : head.type == IPMPI_MSG_PASS   ? "pass"
            : head.type == IPMPI_MSG_DROP   ? "drop"
            : head.type == IPMPI_MSG_GONE   ? "gone"
            : head.type == IPMPI_MSG_ABORT  ? "abort"
                                            : "?",
            (unsigned long long)(head.type == IPMPI_MSG_WORK ? number
                                 : head.type == IPMPI_MSG_GONE
                                     ? (uint64_t)head.detail
                                     : head.ref),
            head.type == IPMPI_MSG_PARCEL && head.flags != 0 ? " keep" : "");
        if (head.type == IPMPI_MSG_PARCEL || head.type == IPMPI_MSG_PASS)
            at += put_legs(&f->at[1], text + at, sizeof(text) - at);
        if (head.type == IPMPI_MSG_PARCEL)
            CHECK(f->n > 2);
        DL_DELETE(fake->to_ranks, one);
        ipmpi_frames_clear(&one->frames);
        free(one);
    }
    return text;
}

static void small_bodies_go_with_the_shares(void **state)
{
    struct ipmpi_engine *e[2];
    struct fake_hub *fake = open_hub(e, 2, "aa");

    (void)state;
    broadcast(fake, "b", SMALL, e, 2);
    CHECK_STR(sent(fake), "1 work#0, 2 work#0");
    broadcast(fake, "c", LARGE, e, 1); /* to one alone: no tree */
    CHECK_STR(sent(fake), "1 work#0");
    fake_hub_close(fake);
}

static void large_ones_go_once(void **state)
{
    struct ipmpi_engine *e[6];
    struct fake_hub *fake = open_hub(e, 6, "ababab");

    (void)state;
    broadcast(fake, "b", MIDDLE, e, 6);
    CHECK_STR(sent(fake),
              "1 work#1, 2 work#1, 3 work#1, 4 work#1, 5 work#1, 6 work#1, "
              "1 parcel#1 1:6 3:1l 5:1l 2:3 4:1l 6:1l");
    for (int i = 0; i < 6; i++)
        reply_share(fake, "b", e[i]);
    CHECK_STR(sent(fake), ""); /* nobody kept it */
    broadcast(fake, "c", LARGE, e, 6);
    CHECK(strstr(sent(fake), "1 parcel#2 keep 1:6 3:1l") != NULL);
    for (int i = 0; i < 6; i++)
        reply_share(fake, "c", e[i]);
    CHECK_STR(sent(fake), "1 drop#2, 2 drop#2");
    fake_hub_close(fake);
}

static void each_world_has_a_tree(void **state)
{
    struct ipmpi_engine *e[3];
    struct fake_hub *fake = open_hub(e, 2, "aa");

    (void)state;
    CHECK_EQ(ipmpi_registry_add(&fake->hub.registry, 50, -1, &e[2]), 0);
    ipmpi_registry_ready(&fake->hub.registry, e[2]);
    e[2]->node[0] = 'a';
    broadcast(fake, "b", MIDDLE, e, 3);
    CHECK_STR(sent(fake), "1 work#1, 2 work#1, 50 work#1, "
                          "1 parcel#1 1:2 2:1l, 50 parcel#1 1:1");
    for (int i = 0; i < 3; i++)
        reply_share(fake, "b", e[i]);
    ipmpi_engines_lost(&fake->hub, 50, NULL);
    CHECK_STR(sent(fake), ""); /* none of its world is left to be told */
    fake_hub_close(fake);
}

static void late_ones_have_it_from_their_node(void **state)
{
    struct ipmpi_engine *e[4];
    struct fake_hub *fake = open_hub(e, 4, "aaab");

    (void)state;
    for (int i = 2; i < 4; i++) { /* past the window of the last two */
        char id[16];

        snprintf(id, sizeof(id), "x%d", i);
        submit_direct(fake, id, e[i]);
        snprintf(id, sizeof(id), "y%d", i);
        submit_direct(fake, id, e[i]);
    }
    sent(fake);
    broadcast(fake, "b", LARGE, e, 4);
    CHECK_STR(sent(fake), "1 work#1, 2 work#1, 1 parcel#1 keep 1:2 2:1l");
    fake_reply(fake, "x2", IPMPI_STATUS_OK);
    CHECK_STR(sent(fake), "1 pass#1 1:2 3:1l, 3 work#1");
    fake_reply(fake, "x3", IPMPI_STATUS_OK); /* the first of its node */
    CHECK_STR(sent(fake), "4 parcel#1 keep 4:1, 4 work#1");
    lacks(fake, e[0], 1, 3);
    CHECK_STR(sent(fake), "3 parcel#1 3:1");
    reply_share(fake, "b", e[2]);
    lacks(fake, e[0], 1, 3); /* over */
    CHECK_STR(sent(fake), "");
    fake_hub_close(fake);
}

static void what_a_dead_engine_had_to_pass_on_is_sent_again(void **state)
{
    struct ipmpi_engine *e[6];
    struct fake_hub *fake = open_hub(e, 6, "ababab");

    (void)state;
    broadcast(fake, "b", LARGE, e, 6);
    sent(fake);
    reply_share(fake, "b", e[3]); /* has it, from engine 1 */
    fake_engine_dies(fake, 1);
    CHECK_STR(sent(fake), "1 gone#2, 3 gone#2, 4 gone#2, 5 gone#2, 6 gone#2, "
                          "6 parcel#1 keep 6:1");
    fake_engine_dies(fake, 0); /* the root */
    CHECK_STR(sent(fake), "3 gone#1, 4 gone#1, 5 gone#1, 6 gone#1, "
                          "3 parcel#1 keep 3:2 5:1l");
    reply_share(fake, "b", e[2]);
    reply_share(fake, "b", e[4]);
    CHECK_STR(sent(fake), "");
    reply_share(fake, "b", e[5]);
    CHECK_STR(sent(fake), "3 drop#1, 6 drop#1");
    fake_hub_close(fake);
}

static void who_never_gets_it_is_given_up(void **state)
{
    struct ipmpi_engine *e[2];
    struct fake_hub *fake = open_hub(e, 2, "aa");

    (void)state;
    broadcast(fake, "b", MIDDLE, e, 2);
    sent(fake);
    for (int i = 0; i < 3; i++) {
        lacks(fake, e[1], 1, 2);
        CHECK_STR(sent(fake), "2 parcel#1 2:1");
    }
    lacks(fake, e[1], 1, 2);
    CHECK_STR(sent(fake), "2 abort#0");
    lacks(fake, e[1], 7, 2); /* no such parcel */
    CHECK_STR(sent(fake), "");
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_bodies_go_with_the_shares),
        cmocka_unit_test(large_ones_go_once),
        cmocka_unit_test(each_world_has_a_tree),
        cmocka_unit_test(late_ones_have_it_from_their_node),
        cmocka_unit_test(what_a_dead_engine_had_to_pass_on_is_sent_again),
        cmocka_unit_test(who_never_gets_it_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

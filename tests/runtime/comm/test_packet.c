/* Packets: what is written is read again, and nothing else is taken for one.
 * The corrupt rows are what a broken rank could send. */
#include <stdlib.h>

#include "runtime/base/error.h"
#include "runtime/comm/packet.h"
#include "tests/check.h"

/* head, record head, table of two, 8 bytes of small frame */
#define WORDS 7

struct words {
    struct ipmpi_packet_head head;
    struct ipmpi_record_head record;
    uint64_t table[2];
    uint64_t bytes;
};

_Static_assert(sizeof(struct words) == WORDS * 8, "no holes");

static struct words good(void)
{
    return (struct words){
        .head = {IPMPI_PACKET_MAGIC, 1, 0, 0},
        .record = {2, 1, 24},
        .table = {5, 70000 | IPMPI_FRAME_LARGE},
    };
}

static void leave(struct words *w)
{
    (void)w;
}

static void magic(struct words *w)
{
    w->head.magic++;
}

static void more_records(struct words *w)
{
    w->head.n_records = 2;
}

static void fewer_records(struct words *w)
{
    w->head.n_records = 0;
}

static void long_frame(struct words *w)
{
    w->table[0] = 9;
}

static void huge_frame(struct words *w)
{
    w->table[0] = ~IPMPI_FRAME_LARGE;
}

static void short_frame(struct words *w)
{
    w->table[0] = 0;
}

static void huge_large(struct words *w)
{
    w->table[1] = IPMPI_FRAME_LARGE | (IPMPI_FRAME_MAX + 1);
}

static void empty_large(struct words *w)
{
    w->table[1] = IPMPI_FRAME_LARGE;
}

static void too_many_frames(struct words *w)
{
    w->record.n_frames = UINT32_MAX;
}

static void fewer_frames(struct words *w)
{
    w->record.n_frames = 1;
}

static void wrong_large(struct words *w)
{
    w->record.n_large = 0;
}

static void long_body(struct words *w)
{
    w->record.body = UINT64_MAX - 7;
}

static void odd_body(struct words *w)
{
    w->record.body = 23;
}

static const struct row {
    const char *name;
    void (*spoil)(struct words *w);
    size_t len;
    int err;
} rows[] = {
    {"good", leave, sizeof(struct words), 0},
    {"nothing", leave, 0, IPMPI_EFRAME},
    {"half a head", leave, 8, IPMPI_EFRAME},
    {"head only", leave, 16, IPMPI_EFRAME},
    {"cut in the table", leave, 40, IPMPI_EFRAME},
    {"cut in the bytes", leave, 55, IPMPI_EFRAME},
    {"magic", magic, sizeof(struct words), IPMPI_EFRAME},
    {"a record too many", more_records, sizeof(struct words), IPMPI_EFRAME},
    {"bytes left over", fewer_records, sizeof(struct words), IPMPI_EFRAME},
    {"frame past the end", long_frame, sizeof(struct words), IPMPI_EFRAME},
    {"frame that wraps", huge_frame, sizeof(struct words), IPMPI_EFRAME},
    {"bytes of no frame", short_frame, sizeof(struct words), IPMPI_EFRAME},
    {"large beyond all", huge_large, sizeof(struct words), IPMPI_EFRAME},
    {"large and empty", empty_large, sizeof(struct words), IPMPI_EFRAME},
    {"table past the end", too_many_frames, sizeof(struct words), IPMPI_EFRAME},
    {"table too short", fewer_frames, sizeof(struct words), IPMPI_EFRAME},
    {"large not counted", wrong_large, sizeof(struct words), IPMPI_EFRAME},
    {"body that wraps", long_body, sizeof(struct words), IPMPI_EFRAME},
    {"odd body", odd_body, sizeof(struct words), IPMPI_EFRAME},
};

static void only_packets_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_packet_reader reader;
        struct words w = good();
        void *exact; /* so that a sanitizer sees a read past the end */

        rows[i].spoil(&w);
        exact = malloc(rows[i].len + 1);
        memcpy(exact, &w, rows[i].len);
        exact = realloc(exact, rows[i].len > 0 ? rows[i].len : 1);
        if (ipmpi_packet_check(exact, rows[i].len, &reader) != rows[i].err)
            fail_msg("%s", rows[i].name);
        free(exact);
    }
}

/* Every change of one byte either is noticed or leaves a readable packet. */
static void any_byte_may_be_wrong(void **state)
{
    struct ipmpi_buffer *buffer;
    uint8_t *bytes;

    (void)state;
    CHECK_EQ(ipmpi_buffer_alloc(sizeof(struct words), &buffer), 0);
    bytes = ipmpi_buffer_data(buffer);
    for (size_t at = 0; at < sizeof(struct words); at++)
        for (int value = 0; value < 256; value++) {
            struct ipmpi_packet_reader reader;
            struct ipmpi_frames frames = {0};
            const struct words w = good();

            memcpy(bytes, &w, sizeof(w));
            bytes[at] = (uint8_t)value;
            if (ipmpi_packet_check(bytes, sizeof(w), &reader) != 0)
                continue;
            /* a large frame may now be huge: that is the allocator's matter */
            if (at >= 42 && at < 48)
                continue;
            CHECK_EQ(ipmpi_packet_read(&reader, true, buffer, NULL, &frames),
                     0);
            ipmpi_frames_clear(&frames);
        }
    ipmpi_buffer_release(&buffer);
}

struct asked {
    struct ipmpi_buffer *give; /* NULL: no room */
    char first[8];
    size_t bytes;
};

static struct ipmpi_buffer *
give_room(void *ctx, const struct ipmpi_frame *first, size_t bytes)
{
    struct asked *asked = ctx;

    CHECK_EQ(first->len, 5);
    memcpy(asked->first, first->data, first->len);
    asked->bytes = bytes;
    return asked->give != NULL ? ipmpi_buffer_share(asked->give) : NULL;
}

/* Two large frames lie in the room one behind the other, or where the
 * transport likes. */
static void large_frames_lie_where_they_shall(void **state)
{
    struct {
        struct ipmpi_packet_head head;
        struct ipmpi_record_head record;
        uint64_t table[3];
        char bytes[8];
    } packet = {{IPMPI_PACKET_MAGIC, 1, 0, 0},
                {3, 2, 32},
                {5, 100 | IPMPI_FRAME_LARGE, 7 | IPMPI_FRAME_LARGE},
                "first"};
    struct ipmpi_buffer *buffer;

    (void)state;
    CHECK_EQ(ipmpi_buffer_alloc(sizeof(packet), &buffer), 0);
    memcpy(ipmpi_buffer_data(buffer), &packet, sizeof(packet));
    for (int with = 0; with < 2; with++) {
        struct asked asked = {.give = NULL};
        const struct ipmpi_room room = {give_room, &asked};
        struct ipmpi_packet_reader reader;
        struct ipmpi_frames frames = {0};
        const uint8_t *start = NULL;

        if (with) {
            CHECK_EQ(ipmpi_buffer_alloc(128 + 64, &asked.give), 0);
            start = ipmpi_buffer_data(asked.give);
        }
        CHECK_EQ(ipmpi_packet_check(ipmpi_buffer_data(buffer), sizeof(packet),
                                    &reader),
                 0);
        CHECK_EQ(ipmpi_packet_read(&reader, true, buffer, &room, &frames), 0);
        CHECK_STR(asked.first, "first");
        CHECK_EQ(asked.bytes, 128 + 64);
        CHECK_EQ(frames.n, 3);
        CHECK_EQ(frames.at[1].len, 100);
        CHECK_EQ(frames.at[1].data == start, with);
        CHECK_EQ(frames.at[2].data == frames.at[1].data + 128, with);
        ipmpi_frames_clear(&frames);
        ipmpi_buffer_release(&asked.give);
    }
    ipmpi_buffer_release(&buffer);
}

static struct ipmpi_frames make(const char *texts[], size_t n)
{
    struct ipmpi_frames frames = {0};

    for (size_t i = 0; i < n; i++)
        CHECK_EQ(ipmpi_frames_add_static(&frames, texts[i], strlen(texts[i])),
                 0);
    return frames;
}

static void records_share_a_packet(void **state)
{
    const char *a[] = {"head", "", "a frame of more than eight bytes"};
    const char *b[] = {"x"};
    struct ipmpi_frames lists[3] = {make(a, 3), {0}, make(b, 1)};
    struct ipmpi_packet_head head = {.magic = IPMPI_PACKET_MAGIC,
                                     .n_records = 3};
    struct ipmpi_record_plan plan[3];
    struct ipmpi_packet_reader reader;
    struct ipmpi_frames got = {0};
    struct ipmpi_buffer *buffer;
    size_t len = sizeof(head);
    uint8_t *at;

    (void)state;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ipmpi_record_plan(&lists[i], &plan[i]), 0);
        CHECK_EQ(plan[i].n_large, 0);
        len += plan[i].record_bytes;
    }
    CHECK_EQ(ipmpi_buffer_alloc(len, &buffer), 0);
    at = ipmpi_buffer_data(buffer);
    memcpy(at, &head, sizeof(head));
    at += sizeof(head);
    for (int i = 0; i < 3; i++)
        at = ipmpi_record_write(at, &lists[i], &plan[i]);
    CHECK_EQ(at - (uint8_t *)ipmpi_buffer_data(buffer), len);
    CHECK_EQ(ipmpi_packet_check(ipmpi_buffer_data(buffer), len, &reader), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ipmpi_packet_read(&reader, false, buffer, NULL, &got), 0);
        CHECK_EQ(got.n, lists[i].n);
        for (size_t k = 0; k < got.n; k++) {
            CHECK_EQ(got.at[k].len, lists[i].at[k].len);
            CHECK_MEM(got.at[k].data, lists[i].at[k].data, got.at[k].len);
        }
        ipmpi_frames_clear(&got);
        ipmpi_frames_clear(&lists[i]);
    }
    CHECK_EQ(ipmpi_packet_read(&reader, false, buffer, NULL, &got),
             IPMPI_EEMPTY);
    ipmpi_buffer_release(&buffer);
}

static void pieces_cover_large_frames(void **state)
{
    static uint8_t big[IPMPI_PIECE_MAX * 2 + 5];
    struct ipmpi_frames frames = {0};
    struct ipmpi_record_plan plan;
    struct ipmpi_pieces pieces = {.frames = &frames};
    const uint8_t *data;
    uint8_t *record;
    size_t len;

    (void)state;
    ipmpi_frames_add_static(&frames, big, 3);
    ipmpi_frames_add_static(&frames, big, sizeof(big));
    ipmpi_frames_add_static(&frames, big, 0);
    ipmpi_frames_add_static(&frames, big, IPMPI_LARGE_MIN);
    CHECK_EQ(ipmpi_record_plan(&frames, &plan), 0);
    CHECK_EQ(plan.n_large, 2);
    record = malloc(plan.record_bytes);
    ipmpi_record_write(record, &frames, &plan);
    pieces.table = ipmpi_record_table(record);
    CHECK(ipmpi_pieces_next(&pieces, &data, &len));
    CHECK(data == big && len == IPMPI_PIECE_MAX);
    CHECK(ipmpi_pieces_next(&pieces, &data, &len));
    CHECK(data == big + IPMPI_PIECE_MAX && len == IPMPI_PIECE_MAX);
    CHECK(ipmpi_pieces_next(&pieces, &data, &len));
    CHECK_EQ(len, 5);
    CHECK_EQ(ipmpi_pieces_left(&pieces), IPMPI_LARGE_MIN);
    CHECK(ipmpi_pieces_next(&pieces, &data, &len));
    CHECK(data == big && len == IPMPI_LARGE_MIN);
    CHECK_EQ(ipmpi_pieces_left(&pieces), 0);
    CHECK(!ipmpi_pieces_next(&pieces, &data, &len));
    free(record);
    ipmpi_frames_clear(&frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_packets_pass),
        cmocka_unit_test(any_byte_may_be_wrong),
        cmocka_unit_test(large_frames_lie_where_they_shall),
        cmocka_unit_test(records_share_a_packet),
        cmocka_unit_test(pieces_cover_large_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

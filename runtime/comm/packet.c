/* Packing frames into packets, and reading packets that may be corrupt.
 *
 * Invariant: every record, table and frame starts at a multiple of 8, so that
 * whoever receives a struct in a frame may use it in place. */
#include "runtime/comm/packet.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/error.h"

#define HUGE_PAGE ((size_t)2 * 1024 * 1024)

static size_t pad8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

int ipmpi_record_plan(const struct ipmpi_frames *frames,
                      struct ipmpi_record_plan *plan_out)
{
    size_t packed = 0, n_large = 0;

    if (frames->n > IPMPI_FRAMES_MAX)
        return IPMPI_ETOOBIG;
    for (size_t i = 0; i < frames->n; i++) {
        const size_t len = frames->at[i].len;

        if (len > IPMPI_FRAME_MAX)
            return IPMPI_ETOOBIG;
        if (len >= IPMPI_LARGE_MIN || packed + pad8(len) > IPMPI_PACKED_MAX)
            n_large += len > 0;
        else
            packed += pad8(len);
    }
    plan_out->n_large = n_large;
    plan_out->record_bytes = sizeof(struct ipmpi_record_head) +
                             frames->n * sizeof(uint64_t) + packed;
    return 0;
}

uint8_t *ipmpi_record_write(uint8_t *at, const struct ipmpi_frames *frames,
                            const struct ipmpi_record_plan *plan)
{
    const struct ipmpi_record_head head = {.n_frames = (uint32_t)frames->n,
                                           .n_large = (uint32_t)plan->n_large,
                                           .body = plan->record_bytes -
                                                   sizeof(head)};
    uint64_t *table = (uint64_t *)(at + sizeof(head));
    uint8_t *bytes = (uint8_t *)(table + frames->n);
    const uint8_t *const start = bytes;

    memcpy(at, &head, sizeof(head));
    for (size_t i = 0; i < frames->n; i++) {
        const size_t len = frames->at[i].len, room = pad8(len);

        if (len >= IPMPI_LARGE_MIN ||
            (size_t)(bytes - start) + room > IPMPI_PACKED_MAX) {
            table[i] = len | (len > 0 ? IPMPI_FRAME_LARGE : 0);
            continue;
        }
        table[i] = len;
        if (len == 0)
            continue;
        memcpy(bytes, frames->at[i].data, len);
        memset(bytes + len, 0, room - len);
        bytes += room;
    }
    return bytes;
}

const uint64_t *ipmpi_record_table(const uint8_t *record)
{
    return (const uint64_t *)(record + sizeof(struct ipmpi_record_head));
}

/* One record at `at`, with `left` bytes to the packet's end: its whole length,
 * or 0 if it is not a record. */
static size_t check_record(const uint8_t *at, size_t left, bool lone)
{
    struct ipmpi_record_head head;
    const uint64_t *table;
    size_t room, n_large = 0;

    if (left < sizeof(head))
        return 0;
    memcpy(&head, at, sizeof(head));
    left -= sizeof(head);
    if (head.body > left || head.body % 8 != 0 ||
        head.n_frames > head.body / sizeof(uint64_t))
        return 0;
    table = ipmpi_record_table(at);
    room = head.body - head.n_frames * sizeof(uint64_t);
    for (uint32_t i = 0; i < head.n_frames; i++) {
        const uint64_t len = table[i] & ~IPMPI_FRAME_LARGE;

        if (table[i] & IPMPI_FRAME_LARGE) {
            if (len == 0 || len > IPMPI_FRAME_MAX)
                return 0;
            n_large++;
        } else {
            if (len > room || pad8(len) > room)
                return 0;
            room -= pad8(len);
        }
    }
    if (room != 0 || n_large != head.n_large || (n_large > 0 && !lone))
        return 0;
    return sizeof(head) + head.body;
}

int ipmpi_packet_check(const void *data, size_t len,
                       struct ipmpi_packet_reader *reader_out)
{
    const uint8_t *at = data;
    struct ipmpi_packet_head head;

    if (len < sizeof(head) || len > IPMPI_PACKET_MAX)
        return IPMPI_EFRAME;
    memcpy(&head, at, sizeof(head));
    if (head.magic != IPMPI_PACKET_MAGIC)
        return IPMPI_EFRAME;
    at += sizeof(head);
    len -= sizeof(head);
    *reader_out = (struct ipmpi_packet_reader){at, at + len, head.n_records};
    for (uint32_t i = 0; i < head.n_records; i++) {
        const size_t used = check_record(at, len, head.n_records == 1);

        if (used == 0)
            return IPMPI_EFRAME;
        at += used;
        len -= used;
    }
    return len == 0 ? 0 : IPMPI_EFRAME;
}

static void free_huge(void *data, void *hint)
{
    (void)hint;
    free(data);
}

/* Memory for a large frame. Fresh memory costs a fault a page, as much as the
 * copy itself: so ask for huge pages where they fit. */
static int alloc_large(size_t len, struct ipmpi_buffer **buffer_out)
{
    void *data;
    int err;

    if (len < 2 * HUGE_PAGE)
        return ipmpi_buffer_alloc(len, buffer_out);
    data = aligned_alloc(HUGE_PAGE, (len + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
    if (data == NULL)
        return IPMPI_ENOMEM;
    madvise(data, len & ~(HUGE_PAGE - 1), MADV_HUGEPAGE);
    err = ipmpi_buffer_wrap(data, len, free_huge, NULL, buffer_out);
    if (err != 0)
        free(data);
    return err;
}

/* Where frames are made from: small ones from the packet's bytes, large ones
 * from `large`, or each from new memory if that is NULL. */
struct source {
    struct ipmpi_buffer *bytes, *large;
    size_t offset, large_offset;
};

static size_t pad_room(size_t len)
{
    return (len + IPMPI_ROOM_ALIGN - 1) & ~(IPMPI_ROOM_ALIGN - 1);
}

/* What the large frames of a table need in one room; 0: more than can be. */
static size_t room_bytes(const uint64_t *table, uint32_t n)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (!(table[i] & IPMPI_FRAME_LARGE))
            continue;
        sum += pad_room(table[i] & ~IPMPI_FRAME_LARGE);
        if (sum > SIZE_MAX / 2)
            return 0;
    }
    return sum;
}

static void ask_for_room(const struct ipmpi_room *room, const uint64_t *table,
                         uint32_t n, struct source *from)
{
    const size_t bytes = room_bytes(table, n);
    struct ipmpi_frame first = {
        (const uint8_t *)ipmpi_buffer_data(from->bytes) + from->offset,
        n > 0 ? table[0] : 0, NULL};
    const bool small = n > 0 && !(table[0] & IPMPI_FRAME_LARGE);

    if (bytes > 0 && room->ask != NULL)
        from->large = room->ask(room->ctx, small ? &first : NULL, bytes);
}

/* The next large frame's memory: a view of the room, or new. */
static int add_large(struct ipmpi_frames *frames, size_t len,
                     struct source *from)
{
    struct ipmpi_buffer *own;
    int err;

    if (from->large != NULL) {
        err =
            ipmpi_frames_add_view(frames, from->large, from->large_offset, len);
        from->large_offset += pad_room(len);
        return err;
    }
    err = alloc_large(len, &own);
    if (err != 0)
        return err;
    err = ipmpi_frames_add_view(frames, own, 0, len);
    ipmpi_buffer_release(&own);
    return err;
}

static int add_frame(struct ipmpi_frames *frames, uint64_t entry,
                     struct source *from)
{
    const size_t len = entry & ~IPMPI_FRAME_LARGE;
    int err;

    if (len == 0)
        return ipmpi_frames_add_static(frames, "", 0);
    if (entry & IPMPI_FRAME_LARGE)
        return add_large(frames, len, from);
    err = ipmpi_frames_add_view(frames, from->bytes, from->offset, len);
    from->offset += pad8(len);
    return err;
}

/* A lone record's small frames are where the packet is; others' are copied. */
static int find_bytes(const struct ipmpi_packet_reader *reader, bool lone,
                      struct ipmpi_buffer *buffer, size_t skip, size_t len,
                      struct source *from)
{
    const uint8_t *packet = ipmpi_buffer_data(buffer);
    int err;

    if (lone) {
        from->bytes = ipmpi_buffer_share(buffer);
        from->offset = (size_t)(reader->at - packet) + skip;
        return 0;
    }
    err = ipmpi_buffer_alloc(len, &from->bytes);
    if (err == 0)
        memcpy(ipmpi_buffer_data(from->bytes), reader->at + skip, len);
    return err;
}

int ipmpi_packet_read(struct ipmpi_packet_reader *reader, bool lone,
                      struct ipmpi_buffer *buffer,
                      const struct ipmpi_room *room,
                      struct ipmpi_frames *frames_out)
{
    struct ipmpi_frames frames = {0};
    struct source from = {0};
    struct ipmpi_record_head head;
    const uint64_t *table;
    size_t skip;
    int err;

    if (reader->records_left == 0)
        return IPMPI_EEMPTY;
    memcpy(&head, reader->at, sizeof(head));
    table = ipmpi_record_table(reader->at);
    skip = sizeof(head) + head.n_frames * sizeof(uint64_t);
    err = find_bytes(reader, lone, buffer, skip,
                     sizeof(head) + head.body - skip, &from);
    if (err == 0 && lone && room != NULL)
        ask_for_room(room, table, head.n_frames, &from);
    for (uint32_t i = 0; i < head.n_frames && err == 0; i++)
        err = add_frame(&frames, table[i], &from);
    ipmpi_buffer_release(&from.bytes);
    ipmpi_buffer_release(&from.large);
    if (err != 0) {
        ipmpi_frames_clear(&frames);
        return err;
    }
    reader->at += sizeof(head) + head.body;
    reader->records_left--;
    *frames_out = frames;
    return 0;
}

size_t ipmpi_pieces_left(struct ipmpi_pieces *pieces)
{
    size_t len;

    while (pieces->frame < pieces->frames->n &&
           !(pieces->table[pieces->frame] & IPMPI_FRAME_LARGE))
        pieces->frame++;
    if (pieces->frame == pieces->frames->n)
        return 0;
    len = pieces->frames->at[pieces->frame].len - pieces->offset;
    return len < IPMPI_PIECE_MAX ? len : IPMPI_PIECE_MAX;
}

bool ipmpi_pieces_next(struct ipmpi_pieces *pieces, const uint8_t **data_out,
                       size_t *len_out)
{
    const size_t len = ipmpi_pieces_left(pieces);
    const struct ipmpi_frame *frame = &pieces->frames->at[pieces->frame];

    if (len == 0)
        return false;
    *data_out = frame->data + pieces->offset;
    *len_out = len;
    pieces->offset += len;
    if (pieces->offset == frame->len) {
        pieces->frame++;
        pieces->offset = 0;
    }
    return true;
}

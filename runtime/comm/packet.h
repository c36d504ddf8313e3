/* Packets: what one MPI message between two ranks holds. A packet has a head
 * and some records; a record is one list of frames: a table of lengths, then
 * the bytes of the small frames, each aligned to 8. Frames marked large in the
 * table follow the packet as MPI messages of their own, in pieces; a record
 * with large frames is alone in its packet.
 *
 * No MPI here, and no trust: a packet is read as if a stranger had sent it.
 * Threads: none of its own. */
#ifndef IPMPI_COMM_PACKET_H
#define IPMPI_COMM_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/comm/room.h"

/* A frame from this length on travels by itself, ... */
#define IPMPI_LARGE_MIN ((size_t)16 * 1024)
/* ... and so does one that would make the packed bytes exceed this. */
#define IPMPI_PACKED_MAX ((size_t)64 * 1024)
/* Frames in one message, and bytes of one frame: more is an error. */
#define IPMPI_FRAMES_MAX   ((size_t)1 << 24)
#define IPMPI_FRAME_MAX    ((uint64_t)1 << 46)
#define IPMPI_PACKET_MAX   ((size_t)1 << 28)
#define IPMPI_PIECE_MAX    ((size_t)1024 * 1024)
#define IPMPI_FRAME_LARGE  ((uint64_t)1 << 63)
#define IPMPI_PACKET_MAGIC 0x69706d31u

struct ipmpi_packet_head {
    uint32_t magic;
    uint32_t n_records;
    uint32_t taken; /* packets that the sender has taken from the receiver */
    uint32_t reserved;
};

struct ipmpi_record_head {
    uint32_t n_frames;
    uint32_t n_large;
    uint64_t body; /* bytes after this head: table and small frames */
};

/* What a message will be as a record. */
struct ipmpi_record_plan {
    size_t record_bytes; /* head, table, small frames */
    size_t n_large;
};

/* IPMPI_ETOOBIG: more frames or bytes than the limits above. */
int ipmpi_record_plan(const struct ipmpi_frames *frames,
                      struct ipmpi_record_plan *plan_out);

/* Writes a record at `at` (plan.record_bytes, aligned to 8) and returns what
 * follows it. */
uint8_t *ipmpi_record_write(uint8_t *at, const struct ipmpi_frames *frames,
                            const struct ipmpi_record_plan *plan);

/* The table of lengths of a record. */
const uint64_t *ipmpi_record_table(const uint8_t *record);

/* Walks a packet. Borrows it. */
struct ipmpi_packet_reader {
    const uint8_t *at, *end;
    uint32_t records_left;
};

/* Checks the whole packet, so that reading it cannot go wrong: IPMPI_EFRAME. */
int ipmpi_packet_check(const void *data, size_t len,
                       struct ipmpi_packet_reader *reader_out);

/* Takes the next record of a packet held by `buffer`. Small frames of a lone
 * record are views of `buffer`; several records get memory of their own, so
 * that one small frame never holds a whole packet. Large frames get new memory,
 * to be filled by the pieces: `room`'s (lent) if there is any. IPMPI_EEMPTY;
 * IPMPI_ENOMEM: try again. */
int ipmpi_packet_read(struct ipmpi_packet_reader *reader, bool lone,
                      struct ipmpi_buffer *buffer,
                      const struct ipmpi_room *room,
                      struct ipmpi_frames *frames_out);

/* The pieces of a record's large frames, in order. */
struct ipmpi_pieces {
    const struct ipmpi_frames *frames;
    const uint64_t *table;
    size_t frame, offset;
};

/* The next piece: its memory and length, never 0. False: there is none. */
bool ipmpi_pieces_next(struct ipmpi_pieces *pieces, const uint8_t **data_out,
                       size_t *len_out);

/* The length of what ipmpi_pieces_next would give; 0: nothing. */
size_t ipmpi_pieces_left(struct ipmpi_pieces *pieces);

#endif

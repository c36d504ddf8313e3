/* Frames: an ordered list of byte ranges, each a view on a shared buffer. A
 * message is such a list on ZMQ and on MPI alike, so a frame can pass through
 * a rank without being copied.
 *
 * Threads: a list belongs to one thread at a time. */
#ifndef IPMPI_BASE_FRAMES_H
#define IPMPI_BASE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buffer.h"

struct ipmpi_frame {
    const uint8_t *data;
    size_t len;
    struct ipmpi_buffer *owner; /* one share; NULL if the data is static */
};

/* Takes another share of what the frame views; `to` must hold none. */
void ipmpi_frame_share(struct ipmpi_frame *to, const struct ipmpi_frame *from);

/* Zero-initialised is the empty list. */
struct ipmpi_frames {
    struct ipmpi_frame *at;
    size_t n, cap;
};

/* Makes room for `more` frames, so that adding them cannot fail for want of a
 * place. IPMPI_ENOMEM: nothing changed. */
int ipmpi_frames_reserve(struct ipmpi_frames *frames, size_t more);

/* Appends a view of buffer[offset, offset + len) and takes a share of its own.
 * IPMPI_ENOMEM: nothing changed. */
int ipmpi_frames_add_view(struct ipmpi_frames *frames,
                          struct ipmpi_buffer *buffer, size_t offset,
                          size_t len);

/* Appends a copy of the bytes. IPMPI_ENOMEM: nothing changed. */
int ipmpi_frames_add_copy(struct ipmpi_frames *frames, const void *data,
                          size_t len);

/* Appends bytes that outlive everything (string literals). */
int ipmpi_frames_add_static(struct ipmpi_frames *frames, const void *data,
                            size_t len);

/* Appends one frame, sharing its memory (one without owner must outlive the
 * list). IPMPI_ENOMEM: nothing changed. */
int ipmpi_frames_add_frame(struct ipmpi_frames *frames,
                           const struct ipmpi_frame *frame);

/* Appends frames [first, first + n) of another list, sharing their memory.
 * IPMPI_ENOMEM: nothing changed. */
int ipmpi_frames_add_from(struct ipmpi_frames *frames,
                          const struct ipmpi_frames *from, size_t first,
                          size_t n);

/* Releases the first `n` frames and puts `by` empty ones in their place, for
 * the caller to set. IPMPI_ENOMEM (only if by > n): nothing changed. */
int ipmpi_frames_replace_first(struct ipmpi_frames *frames, size_t n,
                               size_t by);

/* Releases every frame and the list; leaves the empty list. */
void ipmpi_frames_clear(struct ipmpi_frames *frames);

/* Moves the list; `from` is empty afterwards. `to` must be empty. */
void ipmpi_frames_move(struct ipmpi_frames *to, struct ipmpi_frames *from);

/* Sum of the lengths. */
size_t ipmpi_frames_bytes(const struct ipmpi_frames *frames);

#endif

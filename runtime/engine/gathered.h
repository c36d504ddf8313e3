/* Replies as one: what a GATHERED has (protocol.h, note [gathers]), taken
 * apart, combined and put together. Frames share their memory; nothing of a
 * reply is copied.
 *
 * Threads: any; pure. */
#ifndef IPMPI_ENGINE_GATHERED_H
#define IPMPI_ENGINE_GATHERED_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"

/* Zero-initialised: of nobody yet. */
struct ipmpi_gathered {
    struct ipmpi_gathered_share *share; /* refs upward */
    size_t n;
    struct ipmpi_frames speech;  /* metadata and content; none: all are APART */
    struct ipmpi_frames buffers; /* of all, in their order */
};

void ipmpi_gathered_clear(struct ipmpi_gathered *gathered);

/* Makes it of one reply. The frames are shared; of a failed one no buffers.
 * `metadata` NULL: the share is APART. IPMPI_ENOMEM. */
int ipmpi_gathered_begin(const struct ipmpi_gathered_share *share,
                         const struct ipmpi_frame *metadata,
                         const struct ipmpi_frame *content,
                         const struct ipmpi_frames *buffers,
                         struct ipmpi_gathered *gathered_out);

/* The share whose metadata and content are the speech. NULL: all are APART. */
const struct ipmpi_gathered_share *
ipmpi_gathered_speaker(const struct ipmpi_gathered *gathered);

/* Combines two; `from` is empty afterwards. IPMPI_ENOMEM: nothing changed. */
int ipmpi_gathered_merge(struct ipmpi_gathered *into,
                         struct ipmpi_gathered *from);

/* Appends the frames after the head of a GATHERED. IPMPI_ENOMEM: some of them
 * may be there. */
int ipmpi_gathered_write(const struct ipmpi_gathered *gathered,
                         struct ipmpi_frames *out);

/* Takes a GATHERED with its head apart. IPMPI_EFRAME: it is none; IPMPI_ENOMEM.
 */
int ipmpi_gathered_read(const struct ipmpi_frames *frames,
                        struct ipmpi_gathered *gathered_out);

#endif

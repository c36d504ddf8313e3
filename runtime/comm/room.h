/* Who wants to say where the large frames of a message shall lie.
 *
 * Threads: the runtime thread of the rank. */
#ifndef IPMPI_COMM_ROOM_H
#define IPMPI_COMM_ROOM_H

#include "runtime/base/frames.h"

/* Large frames start at multiples of this in the room that was given. */
#define IPMPI_ROOM_ALIGN ((size_t)64)

/* Asked once for each message with large frames, before they are received:
 * `first` is the message's first frame if that is a small one (lent; else
 * NULL), `bytes` what its large frames need. Returns a buffer of that length
 * (given), in which they will lie one behind the other, or NULL: the transport
 * finds memory itself. */
typedef struct ipmpi_buffer *
ipmpi_room_fn(void *ctx, const struct ipmpi_frame *first, size_t bytes);

struct ipmpi_room {
    ipmpi_room_fn *ask; /* NULL: nobody wants to */
    void *ctx;
};

#endif

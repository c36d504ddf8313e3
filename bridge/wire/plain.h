/* Private to the room: the JSON that clients send with every message, read in
 * place. A plain object has members alone that are strings of ASCII without
 * escapes, or one of null, 0, 0.0 and []. What is plain reads the same by
 * jansson, at many times the cost; what is not may be JSON all the same.
 *
 * Threads: none of its own. */
#ifndef IPMPI_WIRE_PLAIN_H
#define IPMPI_WIRE_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/frames.h"

struct ipmpi_plain_text {
    const char *data; /* not NUL-terminated */
    size_t len;
};

/* Both are views of the frame; of a string without its quotes. */
struct ipmpi_plain_member {
    struct ipmpi_plain_text name, value;
    bool is_string;
};

/* Called for each member, in order; of equal names the last one counts. */
typedef void ipmpi_plain_fn(void *ctx, const struct ipmpi_plain_member *member);

/* Whether the frame is a plain object. If it is not, the calls made so far
 * mean nothing. `each` may be NULL. */
bool ipmpi_plain_read(const struct ipmpi_frame *frame, ipmpi_plain_fn *each,
                      void *ctx);

/* Whether the text is this one. */
bool ipmpi_plain_is(const struct ipmpi_plain_text *text, const char *want);

#endif

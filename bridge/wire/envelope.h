/* Private to the room: what rank 0 needs of header, parent and metadata.
 *
 * Threads: none of its own. */
#ifndef IPMPI_WIRE_ENVELOPE_H
#define IPMPI_WIRE_ENVELOPE_H

#include <stdint.h>

#include <jansson.h>

#include "bridge/wire/plain.h"

/* The texts are views of the header's frame or of `header`. */
struct ipmpi_envelope {
    struct ipmpi_plain_text msg_id, msg_type, session; /* len 0: has none */
    int64_t date_us;  /* now, if the header has none */
    json_t *header;   /* NULL: it is plain, and was not parsed */
    json_t *metadata; /* NULL: there is nothing in it but defaults */
};

/* Reads the signed frames from the header on. IPMPI_EJSON as of
 * ipmpi_request_open; IPMPI_ENOMEM. On success the caller owns the JSON. */
int ipmpi_envelope_read(const struct ipmpi_frame *part,
                        struct ipmpi_envelope *envelope_out);
void ipmpi_envelope_clear(struct ipmpi_envelope *envelope);

#endif

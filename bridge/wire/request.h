/* A client's message, checked: from the frames of a ROUTER to a request that
 * the hub and the schedulers can trust to be whole, signed and new.
 *
 * Nothing is parsed before the signature matches: a stranger costs one HMAC.
 * The frames are not copied; and what nobody asks for is not made: of a header
 * that is as clients write it, four strings are read, and the JSON of header
 * and content is there when somebody asks for it.
 *
 * Threads: a request is opened and read on one thread; share and release on
 * any. Nothing blocks. */
#ifndef IPMPI_WIRE_REQUEST_H
#define IPMPI_WIRE_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "bridge/wire/replay.h"
#include "runtime/base/frames.h"
#include "runtime/message/sign.h"

/* What a message may bring. Buffers have no limit of their own here: whoever
 * reads the sockets holds back when too much is held (DESIGN 6). */
struct ipmpi_limits {
    size_t frames;       /* in all, routing and delimiter included */
    size_t route_bytes;  /* routing id, engine uuid; each */
    size_t header_bytes; /* header, parent header; each */
    size_t json_bytes;   /* metadata, content; each */
};

#define IPMPI_LIMITS_DEFAULT                                            \
    {                                                                   \
        .frames = 1 << 20, .route_bytes = 255, .header_bytes = 1 << 20, \
        .json_bytes = 64 << 20                                          \
    }

/* Places in `parts`. */
enum ipmpi_part {
    IPMPI_PART_HEADER,
    IPMPI_PART_PARENT,
    IPMPI_PART_METADATA,
    IPMPI_PART_CONTENT,
    IPMPI_PART_BUFFERS, /* the first of 0..n; see parts.n */
};

/* Read-only for everybody but request.c; all of it lives as long as the last
 * share. Take frames out with ipmpi_frames_add_from(&out, &request->parts,
 * IPMPI_PART_CONTENT, ..), which shares their memory. */
struct ipmpi_request {
    struct ipmpi_frame routing; /* ROUTER's name for the client's socket */
    struct ipmpi_frame ident;   /* engine uuid (mux, control); len 0: none */
    struct ipmpi_frames parts;  /* header, parent, metadata, content, buffers */
    const char *msg_id;
    const char *msg_type;
    const char *session; /* "" if the header has none */
    int64_t date_us;     /* the header's; when it came, if there is none */
    json_t *metadata;    /* an object; borrow, or json_incref. NULL: there is
                          * nothing in it but defaults */

    /* private */
    json_t *header, *content;
    unsigned tried; /* parts: bit = 1 << enum ipmpi_part */
    atomic_uint shares;
    char strings[];
};

/* Checks one message in the order of compat 2.7 and gives it to the new
 * request: on 0 `msg` is the empty list and the caller owns one share. On
 * failure the caller still owns `msg`, and nothing is remembered in `replay`
 * (NULL: replays pass; with the empty key they always do). Lends the rest.
 *
 * IPMPI_EFRAME   no delimiter where it belongs, or too few frames after it
 * IPMPI_ETOOBIG  past a limit
 * IPMPI_EAUTH    no signature, or it does not match
 * IPMPI_EREPLAY  seen before
 * IPMPI_EJSON    header, parent or metadata are not JSON objects, or the
 *                header lacks msg_id or msg_type
 * IPMPI_ENOMEM */
int ipmpi_request_open(struct ipmpi_frames *msg, const struct ipmpi_key *key,
                       struct ipmpi_replay *replay,
                       const struct ipmpi_limits *limits,
                       struct ipmpi_request **request_out);

/* One more share. Never fails. */
struct ipmpi_request *ipmpi_request_share(struct ipmpi_request *request);

/* Gives one share back and nulls the pointer. NULL is fine. */
void ipmpi_request_release(struct ipmpi_request **request);

/* What a request weighs in memory until it is decided: its bytes, and all that
 * is kept with it (parsed JSON, job, record, places in tables). */
size_t ipmpi_request_weight(const struct ipmpi_request *request);

/* Header and content as JSON objects, parsed at the first call; borrowed from
 * the request. NULL if it is not an object (a header always is), or memory ran
 * out. The opener's thread only. */
json_t *ipmpi_request_header(struct ipmpi_request *request);
json_t *ipmpi_request_content(struct ipmpi_request *request);

#endif

/* Opens client messages.
 *
 * Invariant: until the signature has matched, bytes of the message are only
 * compared, counted and hashed. */
#include "bridge/wire/request.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/wire/envelope.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/message/compose.h"

/* Frame 0 is the routing id, whatever its bytes; an engine uuid may follow. */
enum { DELIM_FIRST = 1, DELIM_LAST = 2, AFTER_DELIM = 1 + IPMPI_SIGNED };

/* The delimiter's place, or 0. */
static size_t find_delimiter(const struct ipmpi_frames *msg)
{
    for (size_t i = DELIM_FIRST; i <= DELIM_LAST && i < msg->n; i++)
        if (msg->at[i].len == IPMPI_DELIM_LEN &&
            memcmp(msg->at[i].data, IPMPI_DELIM, IPMPI_DELIM_LEN) == 0)
            return i;
    return 0;
}

static bool within_limits(const struct ipmpi_frames *msg, size_t delim,
                          const struct ipmpi_limits *limits)
{
    const struct ipmpi_frame *part = &msg->at[delim + 2];

    for (size_t i = 0; i < delim; i++)
        if (msg->at[i].len > limits->route_bytes)
            return false;
    return msg->n <= limits->frames &&
           part[IPMPI_PART_HEADER].len <= limits->header_bytes &&
           part[IPMPI_PART_PARENT].len <= limits->header_bytes &&
           part[IPMPI_PART_METADATA].len <= limits->json_bytes &&
           part[IPMPI_PART_CONTENT].len <= limits->json_bytes;
}

/* Lower-case hex to bytes. */
static bool read_digest(const struct ipmpi_frame *sig,
                        uint8_t digest[IPMPI_DIGEST_LEN])
{
    if (sig->len != IPMPI_SIG_LEN)
        return false;
    for (size_t i = 0; i < IPMPI_SIG_LEN; i++) {
        const uint8_t c = sig->data[i];
        uint8_t value;

        if (c >= '0' && c <= '9')
            value = c - '0';
        else if (c >= 'a' && c <= 'f')
            value = c - 'a' + 10;
        else
            return false;
        digest[i / 2] = (uint8_t)(digest[i / 2] << 4 | value);
    }
    return true;
}

/* A digest that is not hex cannot match anything, so it costs no HMAC; nor
 * does a replay. */
static int check_signature(const struct ipmpi_frame *sig,
                           const struct ipmpi_key *key,
                           const struct ipmpi_replay *replay,
                           uint8_t digest[IPMPI_DIGEST_LEN])
{
    if (ipmpi_key_is_empty(key))
        return 0;
    if (!read_digest(sig, digest))
        return IPMPI_EAUTH;
    if (replay != NULL && ipmpi_replay_seen(replay, digest))
        return IPMPI_EREPLAY;
    return ipmpi_verify(key, sig, sig + 1);
}

static const char *keep(struct ipmpi_request *req, size_t *at,
                        const struct ipmpi_plain_text *string)
{
    char *copy = req->strings + *at;

    if (string->len > 0)
        memcpy(copy, string->data, string->len);
    copy[string->len] = '\0';
    *at += string->len + 1;
    return copy;
}

/* A request with the strings of its header, and the JSON of both, which is
 * given. NULL: no memory. */
static struct ipmpi_request *create(const struct ipmpi_envelope *envelope)
{
    const size_t len = envelope->msg_id.len + envelope->msg_type.len +
                       envelope->session.len + 3;
    struct ipmpi_request *req = calloc(1, sizeof(*req) + len);
    size_t at = 0;

    if (req == NULL)
        return NULL;
    req->msg_id = keep(req, &at, &envelope->msg_id);
    req->msg_type = keep(req, &at, &envelope->msg_type);
    req->session = keep(req, &at, &envelope->session);
    req->date_us = envelope->date_us;
    req->header = envelope->header;
    req->metadata = envelope->metadata;
    atomic_init(&req->shares, 1);
    return req;
}

/* Moves what stays into the request and drops delimiter and signature. */
static void take_frames(struct ipmpi_request *req, struct ipmpi_frames *msg,
                        size_t delim)
{
    const size_t skip = delim + 2;

    req->routing = msg->at[0];
    if (delim == DELIM_LAST)
        req->ident = msg->at[1];
    ipmpi_buffer_release(&msg->at[delim].owner);
    ipmpi_buffer_release(&msg->at[delim + 1].owner);
    msg->n -= skip;
    memmove(msg->at, msg->at + skip, msg->n * sizeof(*msg->at));
    ipmpi_frames_move(&req->parts, msg);
}

int ipmpi_request_open(struct ipmpi_frames *msg, const struct ipmpi_key *key,
                       struct ipmpi_replay *replay,
                       const struct ipmpi_limits *limits,
                       struct ipmpi_request **request_out)
{
    const size_t delim = find_delimiter(msg);
    uint8_t digest[IPMPI_DIGEST_LEN] = {0};
    struct ipmpi_envelope envelope;
    struct ipmpi_request *req;
    int err;

    if (delim == 0 || msg->n - delim - 1 < AFTER_DELIM)
        return IPMPI_EFRAME;
    if (!within_limits(msg, delim, limits))
        return IPMPI_ETOOBIG;
    err = check_signature(&msg->at[delim + 1], key, replay, digest);
    if (err != 0)
        return err;
    err = ipmpi_envelope_read(&msg->at[delim + 2], &envelope);
    if (err != 0)
        return err;
    req = create(&envelope);
    if (req == NULL) {
        ipmpi_envelope_clear(&envelope);
        return IPMPI_ENOMEM;
    }
    take_frames(req, msg, delim);
    if (replay != NULL && !ipmpi_key_is_empty(key))
        ipmpi_replay_remember(replay, digest);
    *request_out = req;
    return 0;
}

struct ipmpi_request *ipmpi_request_share(struct ipmpi_request *request)
{
    atomic_fetch_add_explicit(&request->shares, 1, memory_order_relaxed);
    return request;
}

void ipmpi_request_release(struct ipmpi_request **request)
{
    struct ipmpi_request *req = *request;

    *request = NULL;
    /* acq_rel: the thread that frees must see what the others wrote. */
    if (req == NULL ||
        atomic_fetch_sub_explicit(&req->shares, 1, memory_order_acq_rel) != 1)
        return;
    ipmpi_buffer_release(&req->routing.owner);
    ipmpi_buffer_release(&req->ident.owner);
    ipmpi_frames_clear(&req->parts);
    json_decref(req->header);
    json_decref(req->metadata);
    json_decref(req->content);
    free(req);
}

/* Measured: a no-op task of 0.7 KB takes 2.7 KB while it waits; metadata that
 * are parsed take as much again. */
enum { OVERHEAD = 2 << 10 };

size_t ipmpi_request_weight(const struct ipmpi_request *request)
{
    return (request->metadata != NULL ? 2 : 1) * (size_t)OVERHEAD +
           ipmpi_frames_bytes(&request->parts);
}

/* Parsed at the first call; the JSON of a part that has none stays NULL. */
static json_t *parsed(struct ipmpi_request *request, enum ipmpi_part part,
                      json_t **json)
{
    if (*json == NULL && !(request->tried & 1u << part)) {
        request->tried |= 1u << part;
        if (ipmpi_json_load(&request->parts.at[part], json) != 0)
            *json = NULL;
    }
    return *json;
}

json_t *ipmpi_request_header(struct ipmpi_request *request)
{
    return parsed(request, IPMPI_PART_HEADER, &request->header);
}

json_t *ipmpi_request_content(struct ipmpi_request *request)
{
    return parsed(request, IPMPI_PART_CONTENT, &request->content);
}

/* Signed messages. Everything in a header but the number, the type and the
 * date is the same for all messages of a session, so it is escaped once; one
 * message then costs one allocation, a few copies and one HMAC.
 *
 * Invariant: what the composer holds, except `count`, never changes. */
#include "runtime/message/compose.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/message/date.h"

enum { COUNT_CAP = 20 }; /* digits of the largest uint64_t */

#define HEADER_TYPE "\",\"msg_type\":\""
#define HEADER_TAIL "\",\"version\":\"5.3\"}"

struct ipmpi_composer {
    const struct ipmpi_key *key;
    atomic_uint_fast64_t count;
    char *first; /* {"msg_id":"<session>_ */
    size_t first_len;
    char *middle; /* ","username":"..","session":"..","date":" */
    size_t middle_len;
};

static char *put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static char *put_text(char *at, const char *text)
{
    return put(at, text, strlen(text));
}

static char *put_escaped(char *at, const char *text)
{
    return at + ipmpi_json_escape(text, strlen(text), at);
}

int ipmpi_composer_create(const struct ipmpi_key *key, const char *session,
                          const char *username,
                          struct ipmpi_composer **composer_out)
{
    struct ipmpi_composer *c = calloc(1, sizeof(*c));
    char *at;

    if (c == NULL)
        return IPMPI_ENOMEM;
    c->first = malloc(6 * strlen(session) + 64);
    c->middle = malloc(6 * (strlen(session) + strlen(username)) + 64);
    if (c->first == NULL || c->middle == NULL) {
        ipmpi_composer_destroy(&c);
        return IPMPI_ENOMEM;
    }
    at = put_escaped(put_text(c->first, "{\"msg_id\":\""), session);
    c->first_len = (size_t)(put_text(at, "_") - c->first);
    at = put_escaped(put_text(c->middle, "\",\"username\":\""), username);
    at = put_escaped(put_text(at, "\",\"session\":\""), session);
    c->middle_len = (size_t)(put_text(at, "\",\"date\":\"") - c->middle);
    c->key = key;
    atomic_init(&c->count, 0);
    *composer_out = c;
    return 0;
}

void ipmpi_composer_destroy(struct ipmpi_composer **composer)
{
    if (*composer != NULL) {
        free((*composer)->first);
        free((*composer)->middle);
    }
    free(*composer);
    *composer = NULL;
}

static char *put_count(char *at, uint64_t count)
{
    char digits[COUNT_CAP], *first = digits + COUNT_CAP;

    do
        *--first = (char)('0' + count % 10);
    while ((count /= 10) > 0);
    return put(at, first, (size_t)(digits + COUNT_CAP - first));
}

static size_t header_cap(const struct ipmpi_composer *c, size_t type_len)
{
    return c->first_len + COUNT_CAP + strlen(HEADER_TYPE) + 6 * type_len +
           c->middle_len + IPMPI_DATE_LEN + strlen(HEADER_TAIL);
}

static size_t put_header(struct ipmpi_composer *c, const char *msg_type,
                         int64_t date_us, char *start)
{
    char date[IPMPI_DATE_LEN + 1];
    char *at = put(start, c->first, c->first_len);

    ipmpi_date_format(date_us != 0 ? date_us : ipmpi_clock_wall_us(), date);
    at = put_count(at, atomic_fetch_add(&c->count, 1));
    at = put_text(at, HEADER_TYPE);
    at = put_escaped(at, msg_type);
    at = put(at, c->middle, c->middle_len);
    at = put(at, date, IPMPI_DATE_LEN);
    at = put_text(at, HEADER_TAIL);
    return (size_t)(at - start);
}

static bool is_absent(const struct ipmpi_frame *frame)
{
    return frame == NULL || frame->len == 0;
}

/* What a lent frame needs in the message's own buffer. */
static size_t copy_len(const struct ipmpi_frame *frame)
{
    return is_absent(frame) || frame->owner != NULL ? 0 : frame->len;
}

/* The part as it will be sent. Lent bytes go to *at. The result has an owner
 * but no share of its own. */
static struct ipmpi_frame settle(const struct ipmpi_frame *frame,
                                 struct ipmpi_buffer *buffer, char **at)
{
    struct ipmpi_frame part;

    if (is_absent(frame))
        return (struct ipmpi_frame){(const uint8_t *)"{}", 2, NULL};
    if (frame->owner != NULL)
        return *frame;
    part = (struct ipmpi_frame){(const uint8_t *)*at, frame->len, buffer};
    *at = put(*at, (const char *)frame->data, frame->len);
    return part;
}

int ipmpi_compose(struct ipmpi_composer *composer, const char *msg_type,
                  int64_t date_us, const struct ipmpi_frame *parent,
                  const struct ipmpi_frame *metadata,
                  const struct ipmpi_frame *content, struct ipmpi_frames *out)
{
    const size_t cap = IPMPI_SIG_LEN + header_cap(composer, strlen(msg_type)) +
                       copy_len(parent) + copy_len(metadata) +
                       copy_len(content);
    struct ipmpi_frame part[1 + IPMPI_SIGNED];
    const struct ipmpi_frames made = {part, 1 + IPMPI_SIGNED, 0};
    struct ipmpi_buffer *buffer;
    char *at;
    size_t len;
    int err = ipmpi_buffer_alloc(cap, &buffer);

    if (err != 0)
        return err;
    at = ipmpi_buffer_data(buffer);
    part[0] = (struct ipmpi_frame){(const uint8_t *)at, 0, buffer};
    at += IPMPI_SIG_LEN;
    len = put_header(composer, msg_type, date_us, at);
    part[1] = (struct ipmpi_frame){(const uint8_t *)at, len, buffer};
    at += len;
    part[2] = settle(parent, buffer, &at);
    part[3] = settle(metadata, buffer, &at);
    part[4] = settle(content, buffer, &at);
    part[0].len =
        ipmpi_sign(composer->key, part + 1, ipmpi_buffer_data(buffer));
    err = ipmpi_frames_add_from(out, &made, 0, made.n);
    ipmpi_buffer_release(&buffer);
    return err;
}

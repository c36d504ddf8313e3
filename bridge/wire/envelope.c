/* Reading envelopes: in place where they are plain, which is what nearly every
 * message is, else by jansson. Either way the same is refused. */
#include "bridge/wire/envelope.h"

#include <string.h>

#include "bridge/wire/json.h"
#include "bridge/wire/request.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/message/date.h"

/* ---- the header ----------------------------------------------------- */

enum { MSG_ID, MSG_TYPE, SESSION, DATE, NTEXTS };

static const char *const names[NTEXTS] = {
    [MSG_ID] = "msg_id",
    [MSG_TYPE] = "msg_type",
    [SESSION] = "session",
    [DATE] = "date",
};

static void note_text(void *ctx, const struct ipmpi_plain_member *member)
{
    const struct ipmpi_plain_text none = {0};
    struct ipmpi_plain_text *texts = ctx;

    for (int i = 0; i < NTEXTS; i++)
        if (ipmpi_plain_is(&member->name, names[i]))
            texts[i] = member->is_string ? member->value : none;
}

/* What the header does not have, or not as a string, stays without data. */
static int read_texts(const struct ipmpi_frame *frame, json_t **json_out,
                      struct ipmpi_plain_text texts[NTEXTS])
{
    int err;

    if (ipmpi_plain_read(frame, note_text, texts))
        return 0;
    err = ipmpi_json_load(frame, json_out);
    for (int i = 0; err == 0 && i < NTEXTS; i++) {
        texts[i].data = ipmpi_json_string(*json_out, names[i], NULL);
        texts[i].len = texts[i].data != NULL ? strlen(texts[i].data) : 0;
    }
    return err;
}

static int64_t read_date(const struct ipmpi_plain_text *text)
{
    int64_t us;

    if (text->data == NULL || ipmpi_date_parse(text->data, text->len, &us) != 0)
        us = ipmpi_clock_wall_us();
    return us;
}

static int read_header(const struct ipmpi_frame *frame,
                       struct ipmpi_envelope *envelope)
{
    struct ipmpi_plain_text texts[NTEXTS] = {{0}};
    int err = read_texts(frame, &envelope->header, texts);

    if (err == 0 &&
        (texts[MSG_ID].data == NULL || texts[MSG_TYPE].data == NULL))
        err = IPMPI_EJSON;
    if (err != 0)
        return err;
    envelope->msg_id = texts[MSG_ID];
    envelope->msg_type = texts[MSG_TYPE];
    envelope->session = texts[SESSION];
    envelope->date_us = read_date(&texts[DATE]);
    return 0;
}

/* ---- the rest ------------------------------------------------------- */

/* A parent header is relayed, never read; but a client that sends nonsense
 * there is refused here as it is everywhere else. */
static int check_parent(const struct ipmpi_frame *frame)
{
    json_t *parent = NULL;
    int err = 0;

    if (!ipmpi_plain_read(frame, NULL, NULL))
        err = ipmpi_json_load(frame, &parent);
    if (err == 0)
        json_decref(parent);
    return err;
}

/* Clients send these with every request; so written, they ask for nothing. */
static const struct {
    const char *name, *value;
} defaults[] = {
    {"label", "null"}, {"after", "[]"},   {"follow", "[]"}, {"timeout", "0.0"},
    {"timeout", "0"},  {"targets", "[]"}, {"retries", "0"},
};

static void note_wish(void *ctx, const struct ipmpi_plain_member *member)
{
    bool *wishes = ctx;

    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (!member->is_string &&
            ipmpi_plain_is(&member->name, defaults[i].name) &&
            ipmpi_plain_is(&member->value, defaults[i].value))
            return;
    *wishes = true;
}

static int read_metadata(const struct ipmpi_frame *frame, json_t **object_out)
{
    bool wishes = false;

    if (ipmpi_plain_read(frame, note_wish, &wishes) && !wishes)
        return 0;
    return ipmpi_json_load(frame, object_out);
}

/* ---- all ------------------------------------------------------------ */

int ipmpi_envelope_read(const struct ipmpi_frame *part,
                        struct ipmpi_envelope *envelope_out)
{
    struct ipmpi_envelope envelope = {.header = NULL};
    int err = read_header(&part[IPMPI_PART_HEADER], &envelope);

    if (err == 0)
        err = check_parent(&part[IPMPI_PART_PARENT]);
    if (err == 0)
        err = read_metadata(&part[IPMPI_PART_METADATA], &envelope.metadata);
    if (err != 0) {
        ipmpi_envelope_clear(&envelope);
        return err;
    }
    *envelope_out = envelope;
    return 0;
}

void ipmpi_envelope_clear(struct ipmpi_envelope *envelope)
{
    json_decref(envelope->header);
    json_decref(envelope->metadata);
    *envelope = (struct ipmpi_envelope){.header = NULL};
}

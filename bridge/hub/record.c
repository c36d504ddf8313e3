/* Task records: making, changing and counting them. */
#include "bridge/hub/record.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

#define OUTPUT_CUT "\n[ipmpi: the rest of this output was not kept]\n"

const struct ipmpi_field_info ipmpi_fields[IPMPI_NFIELDS] = {
#define X(id, member, name, sql, kind) \
    {name, sql, IPMPI_FIELD_##kind, offsetof(struct ipmpi_record, member)},
    IPMPI_FIELDS(X)
#undef X
};

int ipmpi_field_find(const char *name, size_t len)
{
    for (int i = 0; i < IPMPI_NFIELDS; i++)
        if (strlen(ipmpi_fields[i].name) == len &&
            memcmp(ipmpi_fields[i].name, name, len) == 0)
            return i;
    return -1;
}

void *ipmpi_record_at(const struct ipmpi_record *record, enum ipmpi_field field)
{
    return (char *)(uintptr_t)record + ipmpi_fields[field].offset;
}

static struct ipmpi_frame shared(const struct ipmpi_frame *frame)
{
    struct ipmpi_frame copy = {0};

    if (frame == NULL)
        return copy;
    copy = *frame;
    if (copy.owner != NULL)
        ipmpi_buffer_share(copy.owner);
    return copy;
}

static void drop_frame(struct ipmpi_frame *frame)
{
    ipmpi_buffer_release(&frame->owner);
    *frame = (struct ipmpi_frame){0};
}

/* A copy with a NUL behind it, which `len` does not count. */
static int copy_text(const void *text, size_t len, struct ipmpi_frame *out)
{
    struct ipmpi_buffer *buffer;
    char *data;

    *out = (struct ipmpi_frame){0};
    if (text == NULL)
        return 0;
    if (ipmpi_buffer_alloc(len + 1, &buffer) != 0)
        return IPMPI_ENOMEM;
    data = ipmpi_buffer_data(buffer);
    memcpy(data, text, len);
    data[len] = '\0';
    *out = (struct ipmpi_frame){(const uint8_t *)data, len, buffer};
    return 0;
}

struct ipmpi_record *ipmpi_record_blank(void)
{
    struct ipmpi_record *record = calloc(1, sizeof(*record));

    if (record != NULL)
        record->shares = 1;
    return record;
}

/* Copies, each with a NUL behind it, all in one buffer. */
static int set_strings(struct ipmpi_record *record,
                       const struct ipmpi_submission *s)
{
    const struct {
        struct ipmpi_frame *frame;
        const char *text;
    } strings[] = {
        {&record->msg_id, s->msg_id},
        {&record->client_uuid, s->client_uuid},
        {&record->engine_uuid, s->engine_uuid},
        {&record->label, s->label},
    };
    const size_t n = sizeof(strings) / sizeof(strings[0]);
    struct ipmpi_buffer *buffer;
    size_t len = 0;
    char *at;

    for (size_t i = 0; i < n; i++)
        len += strings[i].text != NULL ? strlen(strings[i].text) + 1 : 0;
    if (ipmpi_buffer_alloc(len, &buffer) != 0)
        return IPMPI_ENOMEM;
    at = ipmpi_buffer_data(buffer);
    for (size_t i = 0; i < n; i++) {
        if (strings[i].text == NULL)
            continue;
        len = strlen(strings[i].text);
        memcpy(at, strings[i].text, len + 1);
        *strings[i].frame = (struct ipmpi_frame){(const uint8_t *)at, len,
                                                 ipmpi_buffer_share(buffer)};
        at += len + 1;
    }
    ipmpi_buffer_release(&buffer);
    return 0;
}

static int fill(struct ipmpi_record *record, const struct ipmpi_submission *s)
{
    int err = set_strings(record, s);

    if (err == 0 && s->frames != NULL && s->frames->n > s->first_buffer)
        err =
            ipmpi_frames_add_from(&record->buffers, s->frames, s->first_buffer,
                                  s->frames->n - s->first_buffer);
    if (s->queue != NULL)
        record->queue = (struct ipmpi_frame){(const uint8_t *)s->queue,
                                             strlen(s->queue), NULL};
    record->header = shared(s->header);
    record->metadata = shared(s->metadata);
    record->content = shared(s->content);
    record->submitted_us = s->submitted_us;
    return err;
}

int ipmpi_record_create(const struct ipmpi_submission *submission,
                        struct ipmpi_record **record_out)
{
    struct ipmpi_record *record = ipmpi_record_blank();
    int err = record != NULL ? fill(record, submission) : IPMPI_ENOMEM;

    if (err != 0) {
        ipmpi_record_release(&record);
        return err;
    }
    *record_out = record;
    return 0;
}

struct ipmpi_record *ipmpi_record_share(struct ipmpi_record *record)
{
    record->shares++;
    return record;
}

static void clear_field(struct ipmpi_record *record, enum ipmpi_field field)
{
    void *at = ipmpi_record_at(record, field);

    switch (ipmpi_fields[field].kind) {
    case IPMPI_FIELD_TEXT:
    case IPMPI_FIELD_JSON:
        drop_frame(at);
        break;
    case IPMPI_FIELD_BUFFERS:
        ipmpi_frames_clear(at);
        break;
    case IPMPI_FIELD_OUTPUT:
        ipmpi_text_clear(at);
        break;
    case IPMPI_FIELD_DATE:
        *(int64_t *)at = 0;
        break;
    }
}

void ipmpi_record_release(struct ipmpi_record **record)
{
    struct ipmpi_record *r = *record;

    *record = NULL;
    if (r == NULL || --r->shares > 0)
        return;
    ipmpi_record_clear(r, IPMPI_ALL_FIELDS);
    free(r);
}

const char *ipmpi_record_id(const struct ipmpi_record *record)
{
    return (const char *)record->msg_id.data;
}

bool ipmpi_record_is_decided(const struct ipmpi_record *record)
{
    return record->completed_us != 0;
}

int ipmpi_record_set_text(struct ipmpi_record *record, enum ipmpi_field field,
                          const void *text, size_t len)
{
    struct ipmpi_frame *at = ipmpi_record_at(record, field), copy;
    int err = copy_text(text, len, &copy);

    if (err != 0)
        return err;
    drop_frame(at);
    *at = copy;
    return 0;
}

void ipmpi_record_set_frame(struct ipmpi_record *record, enum ipmpi_field field,
                            const struct ipmpi_frame *frame)
{
    struct ipmpi_frame *at = ipmpi_record_at(record, field);
    struct ipmpi_frame old = *at;

    *at = shared(frame);
    drop_frame(&old);
}

/* It is known already, unless the task was moved. */
static int set_engine(struct ipmpi_record *record, const char *uuid)
{
    const struct ipmpi_frame *known = &record->engine_uuid;

    if (uuid == NULL || (known->data != NULL && strlen(uuid) == known->len &&
                         memcmp(known->data, uuid, known->len) == 0))
        return 0;
    return ipmpi_record_set_text(record, IPMPI_RECORD_ENGINE_UUID, uuid,
                                 strlen(uuid));
}

int ipmpi_record_set_result(struct ipmpi_record *record,
                            const struct ipmpi_result *result)
{
    const struct ipmpi_frames *frames = result->frames;
    struct ipmpi_frames buffers = {0};
    int err = 0;

    if (frames != NULL && frames->n > result->first_buffer)
        err = ipmpi_frames_add_from(&buffers, frames, result->first_buffer,
                                    frames->n - result->first_buffer);
    if (err == 0)
        err = set_engine(record, result->engine_uuid);
    if (err != 0) {
        ipmpi_frames_clear(&buffers);
        return err;
    }
    ipmpi_frames_clear(&record->result_buffers);
    ipmpi_frames_move(&record->result_buffers, &buffers);
    ipmpi_record_set_frame(record, IPMPI_RECORD_RESULT_HEADER, result->header);
    ipmpi_record_set_frame(record, IPMPI_RECORD_RESULT_METADATA,
                           result->metadata);
    ipmpi_record_set_frame(record, IPMPI_RECORD_RESULT_CONTENT,
                           result->content);
    record->received_us = ipmpi_clock_wall_us();
    record->started_us = result->started_us;
    record->completed_us =
        result->completed_us != 0 ? result->completed_us : record->received_us;
    return 0;
}

/* How much of the text to keep, ending at a character. */
static size_t fitting(const char *text, size_t len, size_t room)
{
    if (len <= room)
        return len;
    while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80)
        room--;
    return room;
}

/* Appends. IPMPI_ENOMEM: nothing changed. */
static int append(struct ipmpi_text *text, const char *more, size_t len)
{
    const size_t before = text->len;

    ipmpi_text_add(text, more, len);
    if (!text->failed)
        return 0;
    text->failed = false;
    text->len = before;
    return IPMPI_ENOMEM;
}

int ipmpi_record_add_output(struct ipmpi_record *record, enum ipmpi_field field,
                            const char *text, size_t len)
{
    struct ipmpi_text *at = ipmpi_record_at(record, field);
    const size_t before = at->len;
    size_t keep;
    int err;

    if (before >= IPMPI_RECORD_OUTPUT_MAX)
        return 0;
    keep = fitting(text, len, IPMPI_RECORD_OUTPUT_MAX - before);
    err = append(at, text, keep);
    if (err == 0 && keep < len) {
        err = append(at, OUTPUT_CUT, sizeof(OUTPUT_CUT) - 1);
        if (err != 0)
            at->len = before;
    }
    return err;
}

void ipmpi_record_clear(struct ipmpi_record *record, uint32_t fields)
{
    for (int i = 0; i < IPMPI_NFIELDS; i++)
        if ((fields & (UINT32_C(1) << i)) != 0)
            clear_field(record, (enum ipmpi_field)i);
}

static int merge_field(struct ipmpi_record *record,
                       const struct ipmpi_record *change,
                       enum ipmpi_field field)
{
    void *to = ipmpi_record_at(record, field);
    const void *from = ipmpi_record_at(change, field);
    const struct ipmpi_frames *frames = from;
    const struct ipmpi_text *text = from;

    switch (ipmpi_fields[field].kind) {
    case IPMPI_FIELD_TEXT:
    case IPMPI_FIELD_JSON:
        ipmpi_record_set_frame(record, field, from);
        break;
    case IPMPI_FIELD_BUFFERS:
        ipmpi_frames_clear(to);
        return ipmpi_frames_add_from(to, frames, 0, frames->n);
    case IPMPI_FIELD_OUTPUT:
        return append(to, text->data, text->len);
    case IPMPI_FIELD_DATE:
        *(int64_t *)to = *(const int64_t *)from;
        break;
    }
    return 0;
}

int ipmpi_record_merge(struct ipmpi_record *record,
                       const struct ipmpi_record *change, uint32_t fields)
{
    int err = 0;

    for (int i = 0; i < IPMPI_NFIELDS && err == 0; i++)
        if ((fields & (UINT32_C(1) << i)) != 0)
            err = merge_field(record, change, (enum ipmpi_field)i);
    return err;
}

size_t ipmpi_record_bytes(const struct ipmpi_record *record)
{
    return ipmpi_frames_bytes(&record->buffers) +
           ipmpi_frames_bytes(&record->result_buffers) + record->out.len +
           record->err.len;
}

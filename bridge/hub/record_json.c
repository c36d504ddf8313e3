/* Task records as the client sees them. Frames that are JSON already are
 * copied as they are. */
#include "bridge/hub/record.h"

#include <string.h>

#include <jansson.h>

#include "bridge/wire/json.h"

struct json_t *ipmpi_record_parse(const struct ipmpi_frame *frame)
{
    json_t *value;

    if (frame->data == NULL)
        return NULL;
    if (ipmpi_json_load(frame, &value) == 0)
        return value;
    return json_loadb((const char *)frame->data, frame->len,
                      JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}

static void add_frame(const struct ipmpi_frame *frame, bool is_text,
                      struct ipmpi_text *out)
{
    if (frame->data == NULL)
        ipmpi_text_puts(out, "null");
    else if (is_text)
        ipmpi_text_string(out, frame->data, frame->len);
    else
        ipmpi_text_add(out, frame->data, frame->len);
}

static void add_value(const struct ipmpi_record *record, enum ipmpi_field field,
                      struct ipmpi_text *out)
{
    const void *at = ipmpi_record_at(record, field);
    const struct ipmpi_text *output = at;

    switch (ipmpi_fields[field].kind) {
    case IPMPI_FIELD_TEXT:
        add_frame(at, true, out);
        break;
    case IPMPI_FIELD_JSON:
        add_frame(at, false, out);
        break;
    case IPMPI_FIELD_DATE:
        ipmpi_text_date(out, *(const int64_t *)at);
        break;
    case IPMPI_FIELD_OUTPUT:
        ipmpi_text_string(out, output->data, output->len);
        break;
    case IPMPI_FIELD_BUFFERS: /* travel beside the JSON */
        ipmpi_text_puts(out, "null");
        break;
    }
}

/* ,"name":value and without the comma for the first. */
static void add_member(const struct ipmpi_record *record,
                       enum ipmpi_field field, bool first,
                       struct ipmpi_text *out)
{
    ipmpi_text_puts(out, first ? "\"" : ",\"");
    ipmpi_text_puts(out, ipmpi_fields[field].name);
    ipmpi_text_puts(out, "\":");
    add_value(record, field, out);
}

void ipmpi_record_to_json(const struct ipmpi_record *record, uint32_t fields,
                          struct ipmpi_text *out)
{
    bool first = true;

    ipmpi_text_puts(out, "{");
    for (int i = 0; i < IPMPI_NFIELDS; i++) {
        if ((fields & (UINT32_C(1) << i)) == 0 ||
            ipmpi_fields[i].kind == IPMPI_FIELD_BUFFERS)
            continue;
        add_member(record, (enum ipmpi_field)i, first, out);
        first = false;
    }
    ipmpi_text_puts(out, "}");
}

void ipmpi_record_result_json(const struct ipmpi_record *record,
                              struct ipmpi_text *out)
{
    const uint32_t io = IPMPI_FIELD_BIT(EXECUTE_INPUT) |
                        IPMPI_FIELD_BIT(EXECUTE_RESULT) |
                        IPMPI_FIELD_BIT(ERROR) | IPMPI_FIELD_BIT(STDOUT) |
                        IPMPI_FIELD_BIT(STDERR);

    ipmpi_text_puts(out, "{");
    add_member(record, IPMPI_RECORD_HEADER, true, out);
    add_member(record, IPMPI_RECORD_METADATA, false, out);
    add_member(record, IPMPI_RECORD_RESULT_HEADER, false, out);
    if (record->result_metadata.data != NULL)
        add_member(record, IPMPI_RECORD_RESULT_METADATA, false, out);
    else /* null crashes the client */
        ipmpi_text_puts(out, ",\"result_metadata\":{}");
    add_member(record, IPMPI_RECORD_RESULT_CONTENT, false, out);
    add_member(record, IPMPI_RECORD_RECEIVED, false, out);
    ipmpi_text_puts(out, ",\"io\":");
    ipmpi_record_to_json(record, io, out);
    ipmpi_text_puts(out, "}");
}

static bool member_is(const struct ipmpi_frame *frame, const char *key,
                      const char *want)
{
    json_t *object = ipmpi_record_parse(frame);
    const char *text = json_string_value(json_object_get(object, key));
    const bool is = text != NULL && strcmp(text, want) == 0;

    json_decref(object);
    return is;
}

bool ipmpi_record_result_has_buffers(const struct ipmpi_record *record)
{
    return record->result_buffers.n > 0 &&
           member_is(&record->result_header, "msg_type", "apply_reply") &&
           member_is(&record->result_content, "status", "ok");
}

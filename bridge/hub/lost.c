/* Deciding what was lost with an earlier controller. */
#include "bridge/hub/lost.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

struct lost {
    struct ipmpi_record **at;
    size_t n, cap;
};

static int keep(struct lost *lost, struct ipmpi_record *record)
{
    const size_t cap = lost->cap > 0 ? 2 * lost->cap : 64;
    struct ipmpi_record **grown;

    if (lost->n == lost->cap) {
        grown = reallocarray(lost->at, cap, sizeof(struct ipmpi_record *));
        if (grown == NULL)
            return IPMPI_ENOMEM;
        lost->at = grown;
        lost->cap = cap;
    }
    lost->at[lost->n++] = record;
    return 0;
}

/* Reads ids and headers first: a SELECT must not see its own changes. */
static int collect(struct ipmpi_table *table, struct lost *lost)
{
    const uint32_t fields = IPMPI_FIELD_BIT(MSG_ID) | IPMPI_FIELD_BIT(HEADER);
    struct ipmpi_rows *rows;
    int err = ipmpi_rows_open(
        table, fields, "completed IS NULL AND submitted IS NOT NULL", &rows);

    if (err != 0)
        return err;
    while (err == 0) {
        struct ipmpi_record *record = NULL;

        err = ipmpi_rows_next(rows);
        if (err != 0)
            break;
        record = ipmpi_record_blank();
        err = record != NULL ? ipmpi_rows_read(rows, fields, record)
                             : IPMPI_ENOMEM;
        if (err == 0)
            err = keep(lost, record);
        if (err != 0)
            ipmpi_record_release(&record);
    }
    ipmpi_rows_close(&rows);
    return err == IPMPI_EEMPTY ? 0 : err;
}

static bool is_execute(const struct ipmpi_record *record)
{
    json_t *header = ipmpi_record_parse(&record->header);
    const char *type = json_string_value(json_object_get(header, "msg_type"));
    const bool is = type != NULL && strcmp(type, "execute_request") == 0;

    json_decref(header);
    return is;
}

static int set_json(struct ipmpi_record *record, enum ipmpi_field field,
                    struct ipmpi_text *json)
{
    struct ipmpi_frame frame;
    int err = ipmpi_text_to_frame(json, &frame);

    if (err != 0)
        return err;
    ipmpi_record_set_frame(record, field, &frame);
    ipmpi_buffer_release(&frame.owner);
    return 0;
}

static int make_header(struct ipmpi_record *record, int64_t now_us)
{
    struct ipmpi_text json = {0};

    ipmpi_text_puts(&json, "{\"msg_id\":");
    ipmpi_text_string(&json, record->msg_id.data, record->msg_id.len);
    ipmpi_text_puts(&json, is_execute(record)
                               ? ",\"msg_type\":\"execute_reply\""
                               : ",\"msg_type\":\"apply_reply\"");
    ipmpi_text_puts(&json, ",\"username\":\"\",\"session\":\"\",\"date\":");
    ipmpi_text_date(&json, now_us);
    ipmpi_text_puts(&json, ",\"version\":\"5.3\"}");
    return set_json(record, IPMPI_RECORD_RESULT_HEADER, &json);
}

static int make_metadata(struct ipmpi_record *record, int64_t now_us)
{
    struct ipmpi_text json = {0};

    ipmpi_text_puts(&json, "{\"status\":\"error\",\"dependencies_met\":true,"
                           "\"is_broadcast\":false,\"is_coalescing\":false,"
                           "\"original_msg_id\":\"\",\"started\":");
    ipmpi_text_date(&json, now_us);
    ipmpi_text_puts(&json, "}");
    return set_json(record, IPMPI_RECORD_RESULT_METADATA, &json);
}

static int decide(struct ipmpi_table *table, struct ipmpi_record *record)
{
    static const char content[] =
        "{\"status\":\"error\",\"ename\":\"EngineError\",\"evalue\":\"the "
        "controller ended before this task was finished\",\"traceback\":[],"
        "\"engine_info\":{}}";
    const struct ipmpi_frame frame = {(const uint8_t *)content,
                                      sizeof(content) - 1, NULL};
    const uint32_t fields =
        IPMPI_FIELD_BIT(COMPLETED) | IPMPI_FIELD_BIT(RECEIVED) |
        IPMPI_FIELD_BIT(RESULT_HEADER) | IPMPI_FIELD_BIT(RESULT_METADATA) |
        IPMPI_FIELD_BIT(RESULT_CONTENT);
    const int64_t now_us = ipmpi_clock_wall_us();
    int err = make_header(record, now_us);

    if (err == 0)
        err = make_metadata(record, now_us);
    if (err != 0)
        return err;
    record->completed_us = record->received_us = now_us;
    ipmpi_record_set_frame(record, IPMPI_RECORD_RESULT_CONTENT, &frame);
    return ipmpi_table_update(table, record, fields);
}

int ipmpi_lost_decide(struct ipmpi_table *table)
{
    struct lost lost = {0};
    int err = collect(table, &lost);

    if (err == 0 && lost.n > 0) {
        ipmpi_log_warn("TASKDB-LOST",
                       "%zu tasks of an earlier controller were never "
                       "finished; they are errors now",
                       lost.n);
        err = ipmpi_table_begin(table);
        for (size_t i = 0; i < lost.n && err == 0; i++)
            err = decide(table, lost.at[i]);
        if (err == 0)
            err = ipmpi_table_commit(table);
    }
    for (size_t i = 0; i < lost.n; i++)
        ipmpi_record_release(&lost.at[i]);
    free(lost.at);
    return err;
}

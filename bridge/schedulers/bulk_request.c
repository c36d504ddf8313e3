/* What of bulk jobs travels: requests in, pieces out, reports in, words to the
 * client out.
 *
 * Invariant: once a request is read, its table is ascending and ends within
 *            the data, so that any range of items has its bytes. */
#include "bridge/schedulers/bulk_internal.h"

#include <string.h>

#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/message/compose.h"

enum {
    AT_TABLE = IPMPI_PART_BUFFERS,
    AT_DATA,
    AT_FUNCTION,
    LIMIT_US = 100000, /* a piece that takes so long hands its rest back */
};

static uint64_t entry(const struct ipmpi_bulk *bulk, uint64_t unit)
{
    uint64_t at;

    memcpy(&at, bulk->table->data + unit * sizeof(at), sizeof(at));
    return at;
}

static uint64_t units_of(const struct ipmpi_bulk *bulk)
{
    return bulk->items / bulk->unit + (bulk->items % bulk->unit > 0);
}

static bool table_is_sound(const struct ipmpi_bulk *bulk)
{
    const uint64_t n = units_of(bulk);
    uint64_t last = 0;

    if (bulk->table->len / sizeof(uint64_t) != n + 1 ||
        bulk->table->len % sizeof(uint64_t) != 0)
        return false;
    for (uint64_t i = 0; i <= n; i++) {
        const uint64_t at = entry(bulk, i);

        if (at < last)
            return false;
        last = at;
    }
    return last <= bulk->data->len;
}

/* A whole number of an object, -1 if there is none. */
static int64_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) && json_integer_value(value) >= 0
               ? json_integer_value(value)
               : -1;
}

int ipmpi_bulk_read(struct ipmpi_bulk *bulk, struct ipmpi_request *request)
{
    const json_t *content = ipmpi_request_content(request);
    const int64_t items = number(content, "items");
    const int64_t unit = number(content, "unit");
    const int64_t chunk = number(content, "chunk");

    if (items < 0 || unit < 1 || chunk < 0 || (chunk > 0 && chunk != unit))
        return IPMPI_EJSON;
    if (request->parts.n <= AT_FUNCTION)
        return IPMPI_EFRAME;
    bulk->items = (uint64_t)items;
    bulk->unit = (uint64_t)unit;
    bulk->chunk = (uint64_t)chunk;
    ipmpi_grain_expect(&bulk->grain,
                       json_number_value(json_object_get(content, "item_us")));
    bulk->call = json_object_get(content, "call");
    bulk->table = &request->parts.at[AT_TABLE];
    bulk->data = &request->parts.at[AT_DATA];
    bulk->first_function = AT_FUNCTION;
    return table_is_sound(bulk) ? 0 : IPMPI_EFRAME;
}

uint64_t ipmpi_bulk_fit(const struct ipmpi_bulk *bulk, uint64_t first,
                        uint64_t end, size_t bytes)
{
    const uint64_t from = first / bulk->unit;
    uint64_t low = from + 1, high = (end - 1) / bulk->unit + 1;

    if (entry(bulk, high) - entry(bulk, from) <= bytes)
        return end;
    while (low < high) { /* the last unit that still fits */
        const uint64_t middle = low + (high - low + 1) / 2;

        if (entry(bulk, middle) - entry(bulk, from) <= bytes)
            low = middle;
        else
            high = middle - 1;
    }
    return low * bulk->unit < end ? low * bulk->unit : end;
}

/* ---- pieces --------------------------------------------------------- */

static int add_json(struct ipmpi_frames *out, const json_t *value)
{
    struct ipmpi_frame frame;
    int err = value != NULL ? ipmpi_json_dump(value, &frame) : IPMPI_ENOMEM;

    if (err != 0)
        return err;
    err = ipmpi_frames_add_frame(out, &frame);
    ipmpi_buffer_release(&frame.owner);
    return err;
}

/* Appends a part of a frame, sharing its memory. */
static int add_slice(struct ipmpi_frames *out, const struct ipmpi_frame *frame,
                     uint64_t from, uint64_t to)
{
    const struct ipmpi_frame slice = {frame->data + from, to - from,
                                      frame->owner};

    return ipmpi_frames_add_frame(out, &slice);
}

int ipmpi_bulk_body(const struct ipmpi_bulk *bulk,
                    const struct ipmpi_range *range, bool retry,
                    struct ipmpi_frames *body_out)
{
    const struct ipmpi_frames *parts = &bulk->task->job->request->parts;
    const uint64_t from = range->first / bulk->unit;
    const uint64_t to = (range->end - 1) / bulk->unit + 1;
    json_t *content = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:i, s:O?}", "job",
        (json_int_t)bulk->task->job->ref, "first", (json_int_t)range->first,
        "end", (json_int_t)range->end, "unit", (json_int_t)bulk->unit, "start",
        (json_int_t)(from * bulk->unit), "chunk", (json_int_t)bulk->chunk,
        "retry", retry, "limit_us", LIMIT_US, "call", bulk->call);
    int err = add_json(body_out, content);

    json_decref(content);
    if (err == 0)
        err = add_slice(body_out, bulk->table, from * sizeof(uint64_t),
                        (to + 1) * sizeof(uint64_t));
    if (err == 0)
        err =
            add_slice(body_out, bulk->data, entry(bulk, from), entry(bulk, to));
    if (err == 0)
        err = ipmpi_frames_add_from(body_out, parts, bulk->first_function,
                                    parts->n - bulk->first_function);
    if (err != 0)
        ipmpi_frames_clear(body_out);
    return err;
}

/* ---- reports -------------------------------------------------------- */

int ipmpi_bulk_read_report(const struct ipmpi_reply *reply,
                           struct ipmpi_bulk_report *report_out)
{
    struct ipmpi_bulk_report report = {0};
    int err = IPMPI_EFRAME;

    if (reply->parts.n > 1 + IPMPI_PART_CONTENT)
        err = ipmpi_json_load(&reply->parts.at[1 + IPMPI_PART_CONTENT],
                              &report.content);
    if (err != 0)
        return err;
    report.first = (uint64_t)number(report.content, "first");
    report.end = (uint64_t)number(report.content, "end");
    report.spent_us =
        1e6 * json_number_value(json_object_get(report.content, "spent"));
    report.errors = json_object_get(report.content, "errors");
    if (number(report.content, "first") < 0 || report.end < report.first) {
        json_decref(report.content);
        return IPMPI_EFRAME;
    }
    *report_out = report;
    return 0;
}

void ipmpi_bulk_tell_failed(struct ipmpi_hub *hub,
                            const struct ipmpi_bulk *bulk, uint64_t first,
                            uint64_t end, json_t *error)
{
    json_t *content =
        json_pack("{s:s, s:I, s:I, s:[[I, I, O]]}", "status", "ok", "first",
                  (json_int_t)first, "end", (json_int_t)end, "errors",
                  (json_int_t)first, (json_int_t)end, error);

    json_decref(error);
    if (content != NULL)
        ipmpi_hub_reply(hub, IPMPI_DOOR_TASK, bulk->task->job->request,
                        "ipmpi_bulk_reply", NULL, content, NULL);
    else
        ipmpi_log_error("BULK-MEMORY",
                        "out of memory; failed items of %s are not told",
                        bulk->task->job->msg_id);
    json_decref(content);
}

int ipmpi_bulk_make_end(struct ipmpi_hub *hub, const struct ipmpi_bulk *bulk,
                        struct ipmpi_reply *reply_out)
{
    const int64_t now_us = hub->out.wall_us(hub->out.ctx);
    const struct ipmpi_job *job = bulk->task->job;
    const char *status = bulk->nfailed > 0 ? "error" : "ok";
    struct ipmpi_frames json = {0};
    json_t *metadata = json_pack("{s:s}", "status", status);
    json_t *content =
        bulk->nfailed > 0
            ? ipmpi_json_error("RuntimeError", "items of a bulk job failed")
            : json_pack("{s:s}", "status", status);
    int err;

    if (content != NULL)
        json_object_set_new(content, "failed",
                            json_integer((json_int_t)bulk->nfailed));
    *reply_out = (struct ipmpi_reply){
        .status = bulk->nfailed > 0 ? IPMPI_STATUS_ERROR : IPMPI_STATUS_OK,
        .started_us = now_us,
        .completed_us = now_us,
    };
    err = add_json(&json, metadata);
    if (err == 0)
        err = add_json(&json, content);
    if (err == 0)
        err = ipmpi_compose(hub->composer, "ipmpi_bulk_reply", now_us,
                            &job->header, &json.at[0], &json.at[1],
                            &reply_out->parts);
    ipmpi_frames_clear(&json);
    json_decref(metadata);
    json_decref(content);
    return err;
}

/* resubmit_request: run recorded requests again, as balanced tasks. Compat
 * 3.9. */
#include "bridge/requests/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/hub/taskdb.h"
#include "bridge/requests/pending.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/message/date.h"

/* The stored header with a msg_id and a date of its own. */
static json_t *new_header(struct ipmpi_hub *hub,
                          const struct ipmpi_record *record)
{
    char id[sizeof(hub->session) + 24], date[IPMPI_DATE_LEN + 1];
    json_t *header;

    if (ipmpi_json_load(&record->header, &header) != 0)
        return NULL;
    snprintf(id, sizeof(id), "%s_%llu", hub->session,
             (unsigned long long)++hub->nresubmitted);
    ipmpi_date_format(hub->out.wall_us(hub->out.ctx), date);
    json_object_set_new(header, "msg_id", json_string(id));
    json_object_set_new(header, "date", json_string(date));
    return header;
}

/* Of the stored metadata only the label: targets and dependencies are those of
 * the first run, and retries were its, too. */
static json_t *new_metadata(const struct ipmpi_record *record)
{
    const struct ipmpi_frame *label = &record->label;

    if (label->data == NULL)
        return json_object();
    return json_pack("{s:o}", "label",
                     json_stringn((const char *)label->data, label->len));
}

/* Dumps and releases `object`, which may be NULL. The frame owns its bytes. */
static int dump_part(json_t *object, struct ipmpi_frame *frame_out)
{
    int err = object == NULL ? IPMPI_EJSON : ipmpi_json_dump(object, frame_out);

    json_decref(object);
    return err;
}

/* The request as if a client had sent it: composed, then opened. */
static int remake(struct ipmpi_hub *hub, const struct ipmpi_record *record,
                  struct ipmpi_request **request_out)
{
    static const struct ipmpi_limits limits = IPMPI_LIMITS_DEFAULT;
    struct ipmpi_frames msg = {0};
    struct ipmpi_frame parts[IPMPI_SIGNED] = {{0}};
    char sig[IPMPI_SIG_LEN];
    int err = dump_part(new_header(hub, record), &parts[IPMPI_PART_HEADER]);

    if (err == 0)
        err = dump_part(new_metadata(record), &parts[IPMPI_PART_METADATA]);
    parts[IPMPI_PART_PARENT] =
        (struct ipmpi_frame){(const uint8_t *)"{}", 2, NULL};
    parts[IPMPI_PART_CONTENT] = record->content;
    if (err == 0)
        err = ipmpi_frames_add_static(&msg, "resubmitted", 11);
    if (err == 0)
        err = ipmpi_frames_add_static(&msg, IPMPI_DELIM, IPMPI_DELIM_LEN);
    if (err == 0)
        err =
            ipmpi_frames_add_copy(&msg, sig, ipmpi_sign(hub->key, parts, sig));
    for (int i = 0; err == 0 && i < IPMPI_SIGNED; i++)
        err = ipmpi_frames_add_frame(&msg, &parts[i]);
    if (err == 0)
        err =
            ipmpi_frames_add_from(&msg, &record->buffers, 0, record->buffers.n);
    if (err == 0)
        err = ipmpi_request_open(&msg, hub->key, NULL, &limits, request_out);
    ipmpi_buffer_release(&parts[IPMPI_PART_HEADER].owner);
    ipmpi_buffer_release(&parts[IPMPI_PART_METADATA].owner);
    ipmpi_frames_clear(&msg);
    return err;
}

static int resubmit(struct ipmpi_hub *hub, const struct ipmpi_record *record,
                    json_t *resubmitted)
{
    struct ipmpi_request *request;
    int err = remake(hub, record, &request);

    if (err != 0)
        return err;
    json_object_set_new(resubmitted, ipmpi_record_id(record),
                        json_string(request->msg_id));
    ipmpi_taskdb_resubmitted(hub->db, ipmpi_record_id(record), request->msg_id);
    ipmpi_balanced_submit(hub, request, false);
    ipmpi_request_release(&request);
    return 0;
}

/* "No such msg(s): ['a', 'b']", as the repr of a KeyError has it; false if all
 * are there. */
static bool tell_missing(const struct ipmpi_pending *pending,
                         struct ipmpi_record *const *records, size_t n)
{
    const json_t *ids =
        json_object_get(ipmpi_request_content(pending->request), "msg_ids");
    struct ipmpi_text list = {0};
    struct ipmpi_hub_error error = {0};

    for (size_t i = 0; i < n; i++) {
        if (records[i] != NULL)
            continue;
        ipmpi_text_puts(&list, list.len > 0 ? ", '" : "'");
        ipmpi_text_puts(&list, json_string_value(json_array_get(ids, i)));
        ipmpi_text_puts(&list, "'");
    }
    if (list.len > 0) {
        ipmpi_hub_error_set(&error, "KeyError", "\"No such msg(s): [%.*s]\"",
                            (int)list.len, list.data);
        ipmpi_pending_failed(pending, &error);
    }
    ipmpi_text_clear(&list);
    return error.ename != NULL;
}

static void on_records(void *arg, const struct ipmpi_hub_error *error,
                       struct ipmpi_record *const *records, size_t n)
{
    struct ipmpi_pending *pending = arg;
    struct ipmpi_hub *hub = pending->hub;
    struct ipmpi_hub_error failure = {0};
    struct ipmpi_record **kept = NULL;
    json_t *resubmitted, *reply;
    int err = 0;

    if (ipmpi_pending_failed(pending, error) ||
        tell_missing(pending, records, n))
        goto done;
    /* Submitting adds records, which may cull the lent ones: share first. */
    kept = calloc(n + 1, sizeof(*kept));
    for (size_t i = 0; kept != NULL && i < n; i++)
        kept[i] = ipmpi_record_share(records[i]);
    resubmitted = json_object();
    err = kept == NULL ? IPMPI_ENOMEM : 0;
    for (size_t i = 0; err == 0 && i < n; i++)
        err = resubmit(hub, kept[i], resubmitted);
    reply = json_pack("{s:s, s:o}", "status", "ok", "resubmitted", resubmitted);
    if (err != 0) {
        ipmpi_hub_error_from(&failure, err);
        ipmpi_pending_failed(pending, &failure);
    } else {
        ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, pending->request,
                        pending->reply_type, NULL, reply, NULL);
    }
    json_decref(reply);
    for (size_t i = 0; kept != NULL && i < n; i++)
        ipmpi_record_release(&kept[i]);
    free(kept);
done:
    ipmpi_pending_destroy(pending);
}

void ipmpi_request_resubmit(struct ipmpi_hub *hub,
                            struct ipmpi_request *request)
{
    const json_t *content = ipmpi_request_content(request);
    struct ipmpi_pending *pending;
    const char **ids;
    size_t n;

    if (ipmpi_pending_ids(json_object_get(content, "msg_ids"), &ids, &n) != 0) {
        ipmpi_hub_reply_error(hub, IPMPI_DOOR_QUERY, request, "resubmit_reply",
                              "KeyError", "'msg_ids'");
        return;
    }
    pending = ipmpi_pending_create(hub, request, "resubmit_reply");
    if (pending != NULL)
        ipmpi_taskdb_fetch(hub->db, ids, n, IPMPI_FETCH_REQUEST, on_records,
                           pending);
    free(ids);
}

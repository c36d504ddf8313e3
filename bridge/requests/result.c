/* result_request: results of anybody's requests, by msg_id. Compat 3.5. */
#include "bridge/requests/requests.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/hub/taskdb.h"
#include "bridge/requests/pending.h"
#include "runtime/base/error.h"

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted and each id once: the client takes the buffers in that order. UTF-8
 * sorts by bytes as it does by code point. */
static size_t sort_unique(const char **ids, size_t n)
{
    size_t kept = 0;

    qsort(ids, n, sizeof(*ids), by_bytes);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || strcmp(ids[kept - 1], ids[i]) != 0)
            ids[kept++] = ids[i];
    }
    return kept;
}

struct lists {
    struct ipmpi_text json, pending, completed;
    struct ipmpi_frames buffers;
};

static void list_id(struct ipmpi_text *list, const char *msg_id)
{
    if (list->len > 0)
        ipmpi_text_puts(list, ",");
    ipmpi_text_string(list, msg_id, strlen(msg_id));
}

static int add_record(struct lists *lists, const struct ipmpi_record *record,
                      bool status_only)
{
    const char *msg_id = ipmpi_record_id(record);

    if (!ipmpi_record_is_decided(record)) {
        list_id(&lists->pending, msg_id);
        return 0;
    }
    list_id(&lists->completed, msg_id);
    if (status_only)
        return 0;
    ipmpi_text_puts(&lists->json, ",");
    ipmpi_text_string(&lists->json, msg_id, strlen(msg_id));
    ipmpi_text_puts(&lists->json, ":");
    ipmpi_record_result_json(record, &lists->json);
    if (!ipmpi_record_result_has_buffers(record))
        return 0;
    return ipmpi_frames_add_from(&lists->buffers, &record->result_buffers, 0,
                                 record->result_buffers.n);
}

static void close_lists(struct lists *lists)
{
    ipmpi_text_puts(&lists->json, ",\"pending\":[");
    ipmpi_text_add(&lists->json, lists->pending.data, lists->pending.len);
    ipmpi_text_puts(&lists->json, "],\"completed\":[");
    ipmpi_text_add(&lists->json, lists->completed.data, lists->completed.len);
    ipmpi_text_puts(&lists->json, "]}");
    lists->json.failed |= lists->pending.failed || lists->completed.failed;
}

static void send(const struct ipmpi_pending *pending, struct lists *lists,
                 int err)
{
    struct ipmpi_frame content;

    close_lists(lists);
    if (err == 0)
        err = ipmpi_text_to_frame(&lists->json, &content);
    if (err != 0) {
        ipmpi_hub_reply_error(pending->hub, IPMPI_DOOR_QUERY, pending->request,
                              pending->reply_type, "MemoryError",
                              ipmpi_strerror(err));
        return;
    }
    ipmpi_hub_reply_frame(pending->hub, IPMPI_DOOR_QUERY, pending->request,
                          pending->reply_type, &content, &lists->buffers);
    ipmpi_buffer_release(&content.owner);
}

/* The first id that nobody knows, in the order asked: NULL if there is none. */
static const char *unknown(const struct ipmpi_pending *pending,
                           struct ipmpi_record *const *records, size_t n)
{
    const json_t *asked =
        json_object_get(ipmpi_request_content(pending->request), "msg_ids");
    const char **ids;
    const char *found = NULL;
    size_t nids;

    if (ipmpi_pending_ids(asked, &ids, &nids) != 0)
        return NULL;
    nids = sort_unique(ids, nids);
    for (size_t i = 0; found == NULL && i < n && i < nids; i++) {
        if (records[i] == NULL)
            found = ids[i];
    }
    free(ids);
    return found;
}

static void on_records(void *arg, const struct ipmpi_hub_error *error,
                       struct ipmpi_record *const *records, size_t n)
{
    struct ipmpi_pending *pending = arg;
    const json_t *content = ipmpi_request_content(pending->request);
    const bool status_only =
        json_is_true(json_object_get(content, "status_only"));
    struct lists lists = {0};
    struct ipmpi_hub_error missing;
    const char *msg_id;
    int err = 0;

    if (ipmpi_pending_failed(pending, error))
        goto done;
    msg_id = unknown(pending, records, n);
    if (msg_id != NULL) {
        ipmpi_hub_error_key(&missing, "No such message: %s", msg_id);
        ipmpi_pending_failed(pending, &missing);
        goto done;
    }
    ipmpi_text_puts(&lists.json, "{\"status\":\"ok\"");
    for (size_t i = 0; err == 0 && i < n; i++)
        err = add_record(&lists, records[i], status_only);
    send(pending, &lists, err);
done:
    ipmpi_frames_clear(&lists.buffers);
    ipmpi_text_clear(&lists.json);
    ipmpi_text_clear(&lists.pending);
    ipmpi_text_clear(&lists.completed);
    ipmpi_pending_destroy(pending);
}

void ipmpi_request_result(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    const json_t *content = ipmpi_request_content(request);
    const bool status_only =
        json_is_true(json_object_get(content, "status_only"));
    struct ipmpi_pending *pending;
    const char **ids;
    size_t n;

    if (ipmpi_pending_ids(json_object_get(content, "msg_ids"), &ids, &n) != 0) {
        ipmpi_hub_reply_error(hub, IPMPI_DOOR_QUERY, request, "result_reply",
                              "KeyError", "'msg_ids'");
        return;
    }
    pending = ipmpi_pending_create(hub, request, "result_reply");
    if (pending != NULL)
        ipmpi_taskdb_fetch(hub->db, ids, sort_unique(ids, n),
                           status_only ? IPMPI_FETCH_STATUS
                                       : IPMPI_FETCH_RESULT,
                           on_records, pending);
    free(ids);
}

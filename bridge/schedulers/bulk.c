/* Bulk jobs: begun, handed out in pieces, decided item by item.
 *
 * Invariant: an item of a bulk job that has begun is counted in ndecided, or
 *            waits in a range, or is in the range of exactly one piece. */
#include "bridge/schedulers/bulk_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/reckoning.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

static const struct ipmpi_job_owner piece_owner;

bool ipmpi_bulk_is_asked(const struct ipmpi_request *request)
{
    return strcmp(request->msg_type, "ipmpi_bulk_request") == 0;
}

int ipmpi_bulk_create(struct ipmpi_task *task)
{
    struct ipmpi_bulk *bulk = calloc(1, sizeof(*bulk));
    struct ipmpi_range all = {.avoid = -1};
    int err;

    if (bulk == NULL)
        return IPMPI_ENOMEM;
    bulk->task = task;
    err = ipmpi_bulk_read(bulk, task->job->request);
    all.end = bulk->items;
    if (err == 0)
        err = ipmpi_ranges_add(&bulk->waiting, &all);
    if (err != 0) {
        free(bulk);
        return err;
    }
    task->bulk = bulk;
    return 0;
}

void ipmpi_bulk_destroy(struct ipmpi_hub *hub, struct ipmpi_bulk **bulk)
{
    struct ipmpi_bulk *b = *bulk;

    *bulk = NULL;
    if (b == NULL)
        return;
    IPMPI_ASSERT(b->pieces == NULL);
    if (b->begun)
        DL_DELETE(hub->bulks, b);
    ipmpi_ranges_clear(&b->waiting);
    free(b);
}

/* ---- the end -------------------------------------------------------- */

void ipmpi_bulk_end_if_done(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk)
{
    struct ipmpi_reply reply;
    int err;

    if (bulk->pieces != NULL || (!bulk->aborted && bulk->waiting.items > 0))
        return;
    IPMPI_ASSERT(bulk->aborted || bulk->ndecided == bulk->items);
    err = bulk->aborted ? ipmpi_hub_make_reply(hub, bulk->task->job, NULL, NULL,
                                               NULL, &reply)
                        : ipmpi_bulk_make_end(hub, bulk, &reply);
    if (err != 0)
        ipmpi_log_error("BULK-MEMORY", "out of memory; no answer to %s",
                        bulk->task->job->msg_id);
    ipmpi_hub_tell_idle(hub, &bulk->task->job->header);
    ipmpi_balanced_end(hub, bulk->task, NULL, &reply);
    ipmpi_frames_clear(&reply.parts);
}

void ipmpi_bulk_begin(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk)
{
    bulk->begun = true;
    DL_APPEND(hub->bulks, bulk);
    ipmpi_bulk_end_if_done(hub, bulk); /* no items at all */
}

void ipmpi_bulk_close(struct ipmpi_hub *hub)
{
    while (hub->bulks != NULL) {
        struct ipmpi_bulk *bulk = hub->bulks;
        struct ipmpi_task *task = bulk->task;
        struct ipmpi_job *job = task->job;

        ipmpi_bulk_destroy(hub, &task->bulk);
        ipmpi_task_destroy(&task);
        ipmpi_job_destroy(&hub->ledger, &job);
    }
}

/* ---- deciding items ------------------------------------------------- */

/* These items have failed for good, with an error that no engine reported. */
void ipmpi_bulk_fail(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk,
                     const struct ipmpi_range *range, json_t *error)
{
    const uint64_t n = range->end - range->first;

    ipmpi_bulk_tell_failed(hub, bulk, range->first, range->end, error);
    bulk->ndecided += n;
    bulk->nfailed += n;
}

/* Items are to be done elsewhere, or again. */
static void give_back(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk,
                      const struct ipmpi_range *range)
{
    if (range->first >= range->end || bulk->aborted)
        return;
    if (ipmpi_ranges_add(&bulk->waiting, range) != 0)
        ipmpi_bulk_fail(
            hub, bulk, range,
            ipmpi_json_error("MemoryError", "the controller is out of memory"));
}

static bool may_retry(const struct ipmpi_bulk *bulk,
                      const struct ipmpi_range *range)
{
    return range->attempts < bulk->task->retries_left;
}

/* Items [first, end) of a piece have failed on an engine. */
static void note_failed(struct ipmpi_hub *hub, struct ipmpi_piece *piece,
                        const struct ipmpi_engine *engine, uint64_t first,
                        uint64_t end)
{
    const struct ipmpi_range range = {first, end, piece->range.attempts + 1,
                                      engine->id};
    struct ipmpi_bulk *bulk = piece->bulk;

    bulk->ndecided -= end - first;
    if (may_retry(bulk, &piece->range)) {
        give_back(hub, bulk, &range);
    } else { /* the engine's own words go to the client */
        bulk->ndecided += end - first;
        bulk->nfailed += end - first;
    }
}

static void note_errors(struct ipmpi_hub *hub, struct ipmpi_piece *piece,
                        const struct ipmpi_engine *engine,
                        const struct ipmpi_bulk_report *report)
{
    const json_t *error;
    size_t i;

    json_array_foreach(report->errors, i, error)
    {
        const json_int_t first = json_integer_value(json_array_get(error, 0));
        const json_int_t end = json_integer_value(json_array_get(error, 1));

        if (first >= (json_int_t)report->first && end > first &&
            end <= (json_int_t)report->end)
            note_failed(hub, piece, engine, (uint64_t)first, (uint64_t)end);
    }
}

/* What an engine says of the next items of its piece. False: nothing that can
 * be understood. */
static bool note_report(struct ipmpi_hub *hub, struct ipmpi_piece *piece,
                        struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct ipmpi_bulk *bulk = piece->bulk;
    struct ipmpi_bulk_report report;

    if (ipmpi_bulk_read_report(reply, &report) != 0)
        return false;
    if (report.first != piece->range.first || report.end > piece->range.end) {
        ipmpi_log_error("BULK-REPORT",
                        "engine %d reports items that it has not; dropped",
                        engine->id);
        json_decref(report.content);
        return true;
    }
    piece->range.first = report.end;
    bulk->ndecided += report.end - report.first;
    ipmpi_grain_learn(&bulk->grain, report.end - report.first, report.spent_us);
    note_errors(hub, piece, engine, &report);
    json_decref(report.content);
    ipmpi_hub_relay(hub, IPMPI_DOOR_TASK, bulk->task->job->request, engine,
                    &reply->parts);
    return true;
}

/* ---- from the engines ----------------------------------------------- */

static void on_part(struct ipmpi_hub *hub, struct ipmpi_job *job,
                    struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    note_report(hub, job->data, engine, reply);
}

static void drop_piece(struct ipmpi_hub *hub, struct ipmpi_piece *piece,
                       struct ipmpi_engine *engine)
{
    DL_DELETE(piece->bulk->pieces, piece);
    if (engine != NULL)
        ipmpi_balanced_drop_piece(hub, engine);
    ipmpi_job_destroy(&hub->ledger, &piece->job);
    free(piece);
}

/* The content of a reply that is no report: an error of the whole rest. */
static json_t *error_of(const struct ipmpi_reply *reply)
{
    json_t *content = NULL;

    if (reply->parts.n > 1 + IPMPI_PART_CONTENT &&
        ipmpi_json_load(&reply->parts.at[1 + IPMPI_PART_CONTENT], &content) ==
            0 &&
        json_object_get(content, "ename") != NULL)
        return content;
    json_decref(content);
    return ipmpi_json_error("RuntimeError", "the engine gave no account");
}

static void decided(struct ipmpi_hub *hub, struct ipmpi_job *job,
                    struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct ipmpi_piece *piece = job->data;
    struct ipmpi_bulk *bulk = piece->bulk;

    if (reply->status != IPMPI_STATUS_ABORTED &&
        (engine == NULL || !note_report(hub, piece, engine, reply))) {
        ipmpi_bulk_fail(hub, bulk, &piece->range, error_of(reply));
        piece->range.first = piece->range.end;
    }
    give_back(hub, bulk, &piece->range);
    drop_piece(hub, piece, engine);
    ipmpi_bulk_end_if_done(hub, bulk);
    ipmpi_balanced_scan(hub);
}

static json_t *died(const struct ipmpi_job *job,
                    const struct ipmpi_engine *engine,
                    enum ipmpi_progress progress)
{
    char text[512];
    json_t *error;

    ipmpi_reckoning_describe(job, engine, progress, text, sizeof(text));
    error = ipmpi_json_error("EngineError", text);
    if (error != NULL)
        json_object_set_new(error, "engine_info",
                            json_pack("{s:s, s:i, s:s}", "engine_uuid",
                                      engine->uuid, "engine_id", engine->id,
                                      "method", "apply"));
    return error;
}

/* Items that had begun: they are tried again, or have failed. */
static void lose_begun(struct ipmpi_hub *hub, const struct ipmpi_piece *piece,
                       const struct ipmpi_engine *engine,
                       enum ipmpi_progress progress, uint64_t end)
{
    struct ipmpi_range begun = piece->range;
    struct ipmpi_bulk *bulk = piece->bulk;

    begun.end = end;
    if (begun.first >= begun.end || bulk->aborted)
        return;
    if (may_retry(bulk, &begun)) {
        begun.attempts++;
        give_back(hub, bulk, &begun);
    } else {
        ipmpi_bulk_fail(hub, bulk, &begun,
                        died(bulk->task->job, engine, progress));
    }
}

/* What waits for engines that have all gone. */
static void fail_impossible(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk)
{
    struct ipmpi_range range;

    if (bulk->aborted || bulk->waiting.items == 0 ||
        !ipmpi_task_targets_gone(bulk->task, &hub->registry))
        return;
    while (ipmpi_ranges_take(&bulk->waiting, -1, true, bulk->items, 0, &range))
        ipmpi_bulk_fail(hub, bulk, &range,
                        ipmpi_json_error("ImpossibleDependency", ""));
}

static void lost(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, enum ipmpi_progress progress)
{
    struct ipmpi_piece *piece = job->data;
    struct ipmpi_bulk *bulk = piece->bulk;
    struct ipmpi_range rest = piece->range;

    if (progress != IPMPI_NOT_BEGUN) {
        if (job->step > rest.first)
            rest.first = job->step < rest.end ? job->step : rest.end;
        lose_begun(hub, piece, engine, progress, rest.first);
    }
    give_back(hub, bulk, &rest);
    fail_impossible(hub, bulk);
    drop_piece(hub, piece, engine);
    ipmpi_bulk_end_if_done(hub, bulk);
    ipmpi_balanced_scan(hub);
}

static const struct ipmpi_job_owner piece_owner = {
    .name = "task",
    .door = IPMPI_DOOR_TASK,
    .decided = decided,
    .part = on_part,
    .lost = lost,
};

/* ---- handing out ---------------------------------------------------- */

int ipmpi_bulk_make_piece(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk,
                          const struct ipmpi_range *range,
                          struct ipmpi_piece **piece_out)
{
    struct ipmpi_piece *piece = calloc(1, sizeof(*piece));
    struct ipmpi_job *job = bulk->task->job;
    struct ipmpi_frames body = {0};
    char *msg_id = NULL;
    int err = IPMPI_ENOMEM;

    if (piece != NULL && asprintf(&msg_id, "%s_%llu", job->msg_id,
                                  (unsigned long long)++bulk->npieces_made) < 0)
        msg_id = NULL;
    if (msg_id != NULL)
        err = ipmpi_bulk_body(bulk, range, may_retry(bulk, range), &body);
    if (err == 0)
        err = ipmpi_job_create_piece(&hub->ledger, &piece_owner, job->request,
                                     msg_id, &body, &piece->job);
    free(msg_id);
    ipmpi_frames_clear(&body);
    if (err != 0) {
        free(piece);
        return err;
    }
    piece->bulk = bulk;
    piece->range = *range;
    piece->job->data = piece;
    *piece_out = piece;
    return 0;
}

/* ---- aborts, and engines that go ------------------------------------ */

/* The engine drops a piece that it has not begun, and stops between two items
 * of one that it has. */
static void ask_back(struct ipmpi_hub *hub, const struct ipmpi_piece *piece)
{
    const struct ipmpi_job *job = piece->job;
    struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_ABORT,
        .ref = job->ref,
    };
    struct ipmpi_frames refs = {0}, why = {0};

    if (ipmpi_frames_add_copy(&refs, &job->ref, sizeof(job->ref)) == 0)
        ipmpi_hub_tell_engine(hub, job->engine, &head, &refs);
    head.type = IPMPI_MSG_CANCEL;
    if (ipmpi_frames_add_static(&why, "aborted", 7) == 0)
        ipmpi_hub_tell_engine(hub, job->engine, &head, &why);
}

static void take_back(struct ipmpi_hub *hub, struct ipmpi_piece *piece)
{
    struct ipmpi_engine *engine = piece->job->engine;

    ipmpi_dispatch_take_back(hub, piece->job);
    ipmpi_dispatch_decide(hub, piece->job, engine, NULL, NULL);
}

/* A piece in rank 0's own queue of an engine; NULL: there is none. */
static struct ipmpi_piece *find_waiting(const struct ipmpi_bulk *bulk)
{
    struct ipmpi_piece *piece;

    DL_FOREACH (bulk->pieces, piece) {
        if (piece->job->state == IPMPI_JOB_WAITING)
            return piece;
    }
    return NULL;
}

bool ipmpi_bulk_abort(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk)
{
    struct ipmpi_piece *piece;
    size_t nwaiting = 0;

    if (!bulk->begun)
        return false;
    bulk->aborted = true;
    DL_FOREACH (bulk->pieces, piece) {
        if (piece->job->state == IPMPI_JOB_WAITING)
            nwaiting++;
        else
            ask_back(hub, piece);
    }
    if (bulk->pieces == NULL)
        ipmpi_bulk_end_if_done(hub, bulk);
    while (nwaiting-- > 0) /* with the last of all, the job ends */
        take_back(hub, find_waiting(bulk));
    return true;
}

void ipmpi_bulk_engine_gone(struct ipmpi_hub *hub)
{
    struct ipmpi_bulk *bulk, *next;

    DL_FOREACH_SAFE (hub->bulks, bulk, next) {
        fail_impossible(hub, bulk);
        ipmpi_bulk_end_if_done(hub, bulk);
    }
}

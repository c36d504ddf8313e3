/* The back end in an SQLite file. The store is a cache here: all pending
 * records, and the latest decided ones, so that asking for the result of a
 * task that runs or has just ended costs no disk. Everything else is asked of
 * the writer. */
#include "bridge/hub/taskdb_ops.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/hub/writer.h"
#include "runtime/base/error.h"

#define CACHE_RECORDS 1024
#define CACHE_BYTES   ((size_t)64 << 20)
#define STUCK_US      ((int64_t)60 * 1000 * 1000)
#define ANSWERS       16 /* callbacks in one turn */

#define RESULT_FIELDS                                                    \
    (IPMPI_FIELD_BIT(ENGINE_UUID) | IPMPI_FIELD_BIT(STARTED) |           \
     IPMPI_FIELD_BIT(COMPLETED) | IPMPI_FIELD_BIT(RECEIVED) |            \
     IPMPI_FIELD_BIT(RESULT_HEADER) | IPMPI_FIELD_BIT(RESULT_METADATA) | \
     IPMPI_FIELD_BIT(RESULT_CONTENT) | IPMPI_FIELD_BIT(RESULT_BUFFERS))

struct sqlite_db {
    struct ipmpi_taskdb base;
    struct ipmpi_writer *writer;
    unsigned wakes; /* of the writer, that poll has seen */
    bool more;      /* poll left answers for the next turn */
};

static struct sqlite_db *self(struct ipmpi_taskdb *db)
{
    return (struct sqlite_db *)db;
}

static void destroy(struct ipmpi_taskdb *db)
{
    ipmpi_writer_close(&self(db)->writer);
    ipmpi_taskdb_fini(db);
    free(db);
}

/* An operation with a record of only a msg_id; "" for none. NULL: no
 * memory. */
static struct ipmpi_op *new_op(enum ipmpi_op_kind kind, const char *msg_id)
{
    struct ipmpi_op *op = calloc(1, sizeof(*op));

    if (op == NULL)
        return NULL;
    op->kind = kind;
    op->record = ipmpi_record_blank();
    if (op->record == NULL ||
        ipmpi_record_set_text(op->record, IPMPI_RECORD_MSG_ID, msg_id,
                              strlen(msg_id)) != 0)
        ipmpi_op_destroy(&op);
    return op;
}

/* Posts the given fields as they are in the record. */
static int post_fields(struct ipmpi_taskdb *db, enum ipmpi_op_kind kind,
                       const struct ipmpi_record *record, uint32_t fields)
{
    struct ipmpi_op *op = new_op(kind, ipmpi_record_id(record));

    if (op == NULL)
        return IPMPI_ENOMEM;
    op->fields = fields;
    if (ipmpi_record_merge(op->record, record, fields) != 0) {
        ipmpi_op_destroy(&op);
        return IPMPI_ENOMEM;
    }
    ipmpi_writer_post(self(db)->writer, &op);
    return 0;
}

/* Posts one field of kind TEXT of a record that may not be in memory. */
static int post_text(struct ipmpi_taskdb *db, enum ipmpi_op_kind kind,
                     const char *msg_id, enum ipmpi_field field,
                     const char *text)
{
    struct ipmpi_op *op = new_op(kind, msg_id);

    if (op == NULL)
        return IPMPI_ENOMEM;
    op->fields = UINT32_C(1) << field;
    if (ipmpi_record_set_text(op->record, field, text,
                              text != NULL ? strlen(text) : 0) != 0) {
        ipmpi_op_destroy(&op);
        return IPMPI_ENOMEM;
    }
    ipmpi_writer_post(self(db)->writer, &op);
    return 0;
}

static int added(struct ipmpi_taskdb *db, const struct ipmpi_record *record)
{
    return post_fields(db, IPMPI_WRITE_INSERT, record, IPMPI_ALL_FIELDS);
}

static int assigned(struct ipmpi_taskdb *db, const struct ipmpi_record *record)
{
    return post_fields(db, IPMPI_WRITE_UPDATE, record,
                       IPMPI_FIELD_BIT(ENGINE_UUID));
}

static int decided(struct ipmpi_taskdb *db, const struct ipmpi_record *record)
{
    return post_fields(db, IPMPI_WRITE_UPDATE, record, RESULT_FIELDS);
}

static int output(struct ipmpi_taskdb *db, const char *msg_id,
                  enum ipmpi_field field, const struct ipmpi_frame *value)
{
    struct ipmpi_op *op = new_op(IPMPI_WRITE_UPDATE, msg_id);
    int err = 0;

    if (op == NULL)
        return IPMPI_ENOMEM;
    op->fields = UINT32_C(1) << field;
    if (ipmpi_fields[field].kind == IPMPI_FIELD_OUTPUT)
        err = ipmpi_record_add_output(op->record, field,
                                      (const char *)value->data, value->len);
    else if (ipmpi_fields[field].kind == IPMPI_FIELD_TEXT)
        err = ipmpi_record_set_text(op->record, field, value->data, value->len);
    else
        ipmpi_record_set_frame(op->record, field, value);
    if (err != 0) {
        ipmpi_op_destroy(&op);
        return err;
    }
    ipmpi_writer_post(self(db)->writer, &op);
    return 0;
}

static int resubmitted(struct ipmpi_taskdb *db, const char *msg_id,
                       const char *new_id)
{
    return post_text(db, IPMPI_WRITE_UPDATE, msg_id, IPMPI_RECORD_RESUBMITTED,
                     new_id);
}

static int dropped(struct ipmpi_taskdb *db, const char *msg_id)
{
    return post_text(db, IPMPI_WRITE_DELETE, msg_id, IPMPI_RECORD_LABEL, NULL);
}

static int dropped_decided(struct ipmpi_taskdb *db, const char *engine_uuid)
{
    return post_text(db, IPMPI_WRITE_SWEEP, "", IPMPI_RECORD_ENGINE_UUID,
                     engine_uuid);
}

/* Fills in what is in memory, and the ids. */
static int prepare_fetch(struct ipmpi_taskdb *db, const char *const *msg_ids,
                         size_t n, struct ipmpi_op *op)
{
    op->ids = calloc(n, sizeof(*op->ids));
    op->records = calloc(n, sizeof(*op->records));
    if (op->ids == NULL || op->records == NULL)
        return IPMPI_ENOMEM;
    for (op->n = 0; op->n < n; op->n++) {
        const char *id = msg_ids[op->n];
        struct ipmpi_record *record =
            ipmpi_store_find(&db->store, id, strlen(id));

        op->ids[op->n] = strdup(id);
        if (op->ids[op->n] == NULL)
            return IPMPI_ENOMEM;
        if (record != NULL)
            op->records[op->n] = ipmpi_record_share(record);
    }
    return 0;
}

static bool are_stored(struct ipmpi_taskdb *db, const char *const *msg_ids,
                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ipmpi_store_find(&db->store, msg_ids[i], strlen(msg_ids[i])) ==
            NULL)
            return false;
    return true;
}

static void fetch(struct ipmpi_taskdb *db, const char *const *msg_ids, size_t n,
                  uint32_t fields, ipmpi_taskdb_records_fn *done, void *arg)
{
    struct ipmpi_hub_error error;
    struct ipmpi_op *op;

    if (are_stored(db, msg_ids, n)) {
        ipmpi_taskdb_fetch_stored(db, msg_ids, n, fields, done, arg);
        return;
    }
    op = new_op(IPMPI_WRITE_FETCH, "");
    if (op == NULL || prepare_fetch(db, msg_ids, n, op) != 0) {
        ipmpi_op_destroy(&op);
        ipmpi_hub_error_from(&error, IPMPI_ENOMEM);
        done(arg, &error, NULL, 0);
        return;
    }
    op->fields = fields;
    op->records_done = done;
    op->arg = arg;
    ipmpi_writer_post(self(db)->writer, &op);
}

static void ask(struct ipmpi_taskdb *db, enum ipmpi_op_kind kind,
                struct ipmpi_query *query, uint32_t fields,
                ipmpi_taskdb_reply_fn *done, void *arg)
{
    struct ipmpi_op *op = new_op(kind, "");
    struct ipmpi_hub_error error;

    if (op == NULL) {
        ipmpi_query_destroy(&query);
        ipmpi_hub_error_from(&error, IPMPI_ENOMEM);
        done(arg, &error, NULL, NULL);
        return;
    }
    op->query = query;
    op->answer.fields = fields;
    op->reply_done = done;
    op->arg = arg;
    ipmpi_writer_post(self(db)->writer, &op);
}

static void query(struct ipmpi_taskdb *db, struct ipmpi_query **compiled,
                  uint32_t fields, ipmpi_taskdb_reply_fn *done, void *arg)
{
    ask(db, IPMPI_WRITE_QUERY, *compiled, fields, done, arg);
    *compiled = NULL;
}

static void history(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                    void *arg)
{
    ask(db, IPMPI_WRITE_HISTORY, NULL, 0, done, arg);
}

static void settle(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                   void *arg)
{
    ask(db, IPMPI_WRITE_SETTLE, NULL, 0, done, arg);
}

static void hand_over(struct ipmpi_op *op)
{
    const struct ipmpi_hub_error *error =
        op->error.ename != NULL ? &op->error : NULL;

    if (op->kind == IPMPI_WRITE_FETCH)
        op->records_done(op->arg, error, error == NULL ? op->records : NULL,
                         error == NULL ? op->n : 0);
    else
        op->reply_done(op->arg, error, error == NULL ? &op->content : NULL,
                       error == NULL ? &op->answer.buffers : NULL);
}

static void poll_answers(struct ipmpi_taskdb *db)
{
    struct sqlite_db *s = self(db);
    const unsigned wakes = ipmpi_writer_wakes(s->writer);
    struct ipmpi_op *op;
    int i;

    if (wakes == s->wakes && !s->more)
        return;
    s->wakes = wakes;
    ipmpi_taskdb_calm(db->wake_fd);
    for (i = 0; i < ANSWERS; i++) {
        op = ipmpi_writer_take(s->writer);
        if (op == NULL)
            break;
        hand_over(op);
        ipmpi_op_destroy(&op);
    }
    s->more = i == ANSWERS;
    if (s->more)
        ipmpi_taskdb_wake(db->wake_fd);
}

static bool is_behind(struct ipmpi_taskdb *db)
{
    return ipmpi_writer_is_behind(self(db)->writer);
}

static void stats(struct ipmpi_taskdb *db, struct ipmpi_taskdb_stats *out)
{
    out->queued_bytes = ipmpi_writer_held_bytes(self(db)->writer);
    out->writes_lost = ipmpi_writer_lost(self(db)->writer);
    out->culled = 0; /* from the cache only */
}

static const struct ipmpi_taskdb_ops ops = {
    .destroy = destroy,
    .added = added,
    .assigned = assigned,
    .decided = decided,
    .output = output,
    .resubmitted = resubmitted,
    .dropped = dropped,
    .dropped_decided = dropped_decided,
    .fetch = fetch,
    .query = query,
    .history = history,
    .settle = settle,
    .poll = poll_answers,
    .is_behind = is_behind,
    .stats = stats,
};

int ipmpi_taskdb_sqlite_open(const struct ipmpi_taskdb_options *options,
                             struct ipmpi_taskdb **db_out)
{
    struct sqlite_db *s = calloc(1, sizeof(*s));
    int err;

    if (s == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_taskdb_init(&s->base, &ops, CACHE_RECORDS, CACHE_BYTES);
    if (err != 0)
        goto free_db;
    err = ipmpi_writer_open(
        options->path, s->base.wake_fd,
        options->stuck_us > 0 ? options->stuck_us : STUCK_US, &s->writer);
    if (err != 0)
        goto fini;
    *db_out = &s->base;
    return 0;

fini:
    ipmpi_taskdb_fini(&s->base);
free_db:
    free(s);
    return err;
}

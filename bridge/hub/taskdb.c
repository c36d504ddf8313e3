/* What the back ends have in common: the store, and what an operation means.
 *
 * Invariant: every pending record is in the store, whatever the back end. */
#include "bridge/hub/taskdb_ops.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/error.h"

int ipmpi_taskdb_init(struct ipmpi_taskdb *db,
                      const struct ipmpi_taskdb_ops *ops, size_t record_limit,
                      size_t size_limit)
{
    db->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (db->wake_fd < 0)
        return IPMPI_ESYS;
    db->ops = ops;
    ipmpi_store_init(&db->store, record_limit, size_limit);
    return 0;
}

void ipmpi_taskdb_fini(struct ipmpi_taskdb *db)
{
    ipmpi_store_clear(&db->store);
    close(db->wake_fd);
}

void ipmpi_taskdb_wake(int wake_fd)
{
    const uint64_t one = 1;

    /* Fails only when the counter is full: it is readable then. */
    if (write(wake_fd, &one, sizeof(one)) < 0)
        return;
}

void ipmpi_taskdb_calm(int wake_fd)
{
    uint64_t count;

    if (read(wake_fd, &count, sizeof(count)) < 0)
        return; /* nobody had woken it */
}

void ipmpi_taskdb_destroy(struct ipmpi_taskdb **db)
{
    if (*db != NULL)
        (*db)->ops->destroy(*db);
    *db = NULL;
}

static struct ipmpi_record *find(struct ipmpi_taskdb *db, const char *msg_id)
{
    return ipmpi_store_find(&db->store, msg_id, strlen(msg_id));
}

const struct ipmpi_record *ipmpi_taskdb_get(struct ipmpi_taskdb *db,
                                            const char *msg_id)
{
    return find(db, msg_id);
}

int ipmpi_taskdb_add(struct ipmpi_taskdb *db,
                     const struct ipmpi_submission *submission)
{
    struct ipmpi_record *record;
    int err;

    if (find(db, submission->msg_id) != NULL)
        return IPMPI_EEXIST;
    err = ipmpi_record_create(
        db->ops->ids_only
            ? &(struct ipmpi_submission){.msg_id = submission->msg_id}
            : submission,
        &record);
    if (err != 0)
        return err;
    err = ipmpi_store_add(&db->store, record);
    if (err != 0) {
        ipmpi_record_release(&record);
        return err;
    }
    /* A pending record is not culled, so it is still there. */
    if (db->ops->added != NULL)
        err = db->ops->added(db, record);
    if (err != 0)
        ipmpi_store_remove(&db->store, record);
    return err;
}

int ipmpi_taskdb_assign(struct ipmpi_taskdb *db, const char *msg_id,
                        const char *engine_uuid)
{
    struct ipmpi_record *record = find(db, msg_id);
    int err;

    if (record == NULL)
        return IPMPI_ENOENT;
    if (ipmpi_record_is_decided(record))
        return IPMPI_ESTATE;
    if (db->ops->ids_only)
        return 0;
    err = ipmpi_record_set_text(record, IPMPI_RECORD_ENGINE_UUID, engine_uuid,
                                strlen(engine_uuid));
    if (err != 0 || db->ops->assigned == NULL)
        return err;
    return db->ops->assigned(db, record);
}

int ipmpi_taskdb_decide(struct ipmpi_taskdb *db, const char *msg_id,
                        const struct ipmpi_result *result)
{
    struct ipmpi_record *record = find(db, msg_id);
    size_t before;
    int err;

    if (record == NULL)
        return IPMPI_ENOENT;
    if (ipmpi_record_is_decided(record))
        return IPMPI_ESTATE;
    before = ipmpi_record_bytes(record);
    err = ipmpi_record_set_result(
        record, db->ops->ids_only ? &(struct ipmpi_result){0} : result);
    if (err != 0)
        return err;
    if (db->ops->decided != NULL)
        err = db->ops->decided(db, record);
    ipmpi_store_decided(&db->store, record, before);
    return err;
}

/* What an IOPub message means to a record: a field and its value, which
 * borrows from `content` or from `*parsed_out`. */
static bool read_output(enum ipmpi_iopub_kind kind,
                        const struct ipmpi_frame *content,
                        enum ipmpi_field *field_out,
                        struct ipmpi_frame *value_out, json_t **parsed_out)
{
    const char *key = kind == IPMPI_IOPUB_STREAM ? "text" : "code", *name;
    const json_t *text;

    *parsed_out = NULL;
    *value_out = *content;
    *field_out = kind == IPMPI_IOPUB_ERROR ? IPMPI_RECORD_ERROR
                                           : IPMPI_RECORD_EXECUTE_RESULT;
    if (kind == IPMPI_IOPUB_ERROR || kind == IPMPI_IOPUB_EXECUTE_RESULT)
        return content->data != NULL;
    if (kind != IPMPI_IOPUB_STREAM && kind != IPMPI_IOPUB_EXECUTE_INPUT)
        return false;
    *parsed_out = ipmpi_record_parse(content);
    text = json_object_get(*parsed_out, key);
    if (!json_is_string(text))
        return false;
    *value_out = (struct ipmpi_frame){(const uint8_t *)json_string_value(text),
                                      json_string_length(text), NULL};
    *field_out = IPMPI_RECORD_EXECUTE_INPUT;
    if (kind == IPMPI_IOPUB_EXECUTE_INPUT)
        return true;
    name = json_string_value(json_object_get(*parsed_out, "name"));
    *field_out = name != NULL && strcmp(name, "stderr") == 0
                     ? IPMPI_RECORD_STDERR
                     : IPMPI_RECORD_STDOUT;
    return name != NULL && strncmp(name, "std", 3) == 0;
}

/* Changes the record. Of a stream, `value` becomes what the record took. */
static int take_output(struct ipmpi_record *record, enum ipmpi_field field,
                       struct ipmpi_frame *value)
{
    struct ipmpi_text *text = ipmpi_record_at(record, field);
    size_t before;
    int err;

    if (ipmpi_fields[field].kind == IPMPI_FIELD_TEXT)
        return ipmpi_record_set_text(record, field, value->data, value->len);
    if (ipmpi_fields[field].kind == IPMPI_FIELD_JSON) {
        ipmpi_record_set_frame(record, field, value);
        return 0;
    }
    before = text->len;
    err = ipmpi_record_add_output(record, field, (const char *)value->data,
                                  value->len);
    *value = (struct ipmpi_frame){(const uint8_t *)text->data + before,
                                  text->len - before, NULL};
    return err;
}

static int store_output(struct ipmpi_taskdb *db, const char *msg_id,
                        enum ipmpi_field field, struct ipmpi_frame *value)
{
    struct ipmpi_record *record = find(db, msg_id);
    const size_t before = record != NULL ? ipmpi_record_bytes(record) : 0;
    int err = record != NULL ? take_output(record, field, value) : 0;

    if (err == 0 && db->ops->output != NULL)
        err = db->ops->output(db, msg_id, field, value);
    if (record != NULL)
        ipmpi_store_grown(&db->store, record, before);
    return err;
}

int ipmpi_taskdb_output(struct ipmpi_taskdb *db, const char *msg_id,
                        enum ipmpi_iopub_kind kind,
                        const struct ipmpi_frame *content)
{
    enum ipmpi_field field;
    struct ipmpi_frame value;
    json_t *parsed;
    int err = 0;

    if (db->ops->ids_only)
        return 0;
    if (read_output(kind, content, &field, &value, &parsed))
        err = store_output(db, msg_id, field, &value);
    json_decref(parsed);
    return err;
}

int ipmpi_taskdb_resubmitted(struct ipmpi_taskdb *db, const char *msg_id,
                             const char *new_id)
{
    struct ipmpi_record *record = find(db, msg_id);
    int err = 0;

    if (db->ops->ids_only)
        return 0;
    if (record != NULL)
        err = ipmpi_record_set_text(record, IPMPI_RECORD_RESUBMITTED, new_id,
                                    strlen(new_id));
    if (err == 0 && db->ops->resubmitted != NULL)
        err = db->ops->resubmitted(db, msg_id, new_id);
    return err;
}

int ipmpi_taskdb_drop(struct ipmpi_taskdb *db, const char *const *msg_ids,
                      size_t n)
{
    int err = 0;

    for (size_t i = 0; i < n && err == 0; i++) {
        struct ipmpi_record *record = find(db, msg_ids[i]);

        if (record != NULL && !ipmpi_record_is_decided(record))
            continue;
        if (record != NULL)
            ipmpi_store_remove(&db->store, record);
        if (db->ops->dropped != NULL)
            err = db->ops->dropped(db, msg_ids[i]);
    }
    return err;
}

static bool is_of_engine(const struct ipmpi_record *record, const char *uuid)
{
    const struct ipmpi_frame *engine = &record->engine_uuid;

    return uuid == NULL ||
           (engine->data != NULL && strlen(uuid) == engine->len &&
            memcmp(engine->data, uuid, engine->len) == 0);
}

int ipmpi_taskdb_drop_decided(struct ipmpi_taskdb *db, const char *engine_uuid)
{
    struct ipmpi_record *record = db->store.first_decided, *next;

    for (; record != NULL; record = next) {
        next = record->decided_next;
        if (is_of_engine(record, engine_uuid))
            ipmpi_store_remove(&db->store, record);
    }
    if (db->ops->dropped_decided == NULL)
        return 0;
    return db->ops->dropped_decided(db, engine_uuid);
}

void ipmpi_taskdb_fetch_stored(struct ipmpi_taskdb *db,
                               const char *const *msg_ids, size_t n,
                               uint32_t fields, ipmpi_taskdb_records_fn *done,
                               void *arg)
{
    struct ipmpi_record **records = calloc(n + 1, sizeof(*records));
    struct ipmpi_hub_error error;

    (void)fields; /* a stored record has them all */
    if (records == NULL) {
        ipmpi_hub_error_from(&error, IPMPI_ENOMEM);
        done(arg, &error, NULL, 0);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        records[i] = find(db, msg_ids[i]);
        if (records[i] != NULL) /* the callback may drop it */
            ipmpi_record_share(records[i]);
    }
    done(arg, NULL, records, n);
    for (size_t i = 0; i < n; i++)
        ipmpi_record_release(&records[i]);
    free(records);
}

void ipmpi_taskdb_fetch(struct ipmpi_taskdb *db, const char *const *msg_ids,
                        size_t n, uint32_t fields,
                        ipmpi_taskdb_records_fn *done, void *arg)
{
    db->ops->fetch(db, msg_ids, n, fields, done, arg);
}

void ipmpi_taskdb_query(struct ipmpi_taskdb *db, const json_t *query,
                        const json_t *keys, ipmpi_taskdb_reply_fn *done,
                        void *arg)
{
    struct ipmpi_hub_error error;
    struct ipmpi_query *compiled;
    uint32_t fields;

    if (ipmpi_query_keys(keys, &fields, &error) != 0 ||
        ipmpi_query_create(query, &compiled, &error) != 0) {
        done(arg, &error, NULL, NULL);
        return;
    }
    db->ops->query(db, &compiled, fields, done, arg);
}

void ipmpi_taskdb_history(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                          void *arg)
{
    db->ops->history(db, done, arg);
}

struct ipmpi_frame ipmpi_taskdb_ok(void)
{
    static const char ok[] = "{\"status\":\"ok\"}";

    return (struct ipmpi_frame){(const uint8_t *)ok, sizeof(ok) - 1, NULL};
}

void ipmpi_taskdb_settle(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                         void *arg)
{
    const struct ipmpi_frame content = ipmpi_taskdb_ok();
    struct ipmpi_frames none = {0};

    if (db->ops->settle != NULL)
        db->ops->settle(db, done, arg);
    else
        done(arg, NULL, &content, &none);
}

int ipmpi_taskdb_fd(const struct ipmpi_taskdb *db)
{
    return db->wake_fd;
}

void ipmpi_taskdb_poll(struct ipmpi_taskdb *db)
{
    if (db->ops->poll != NULL)
        db->ops->poll(db);
}

bool ipmpi_taskdb_is_behind(struct ipmpi_taskdb *db)
{
    return db->ops->is_behind != NULL && db->ops->is_behind(db);
}

void ipmpi_taskdb_stats(struct ipmpi_taskdb *db,
                        struct ipmpi_taskdb_stats *stats_out)
{
    *stats_out = (struct ipmpi_taskdb_stats){
        .records = db->store.n,
        .decided = db->store.ndecided,
        .bytes = db->store.bytes,
        .culled = db->store.culled,
    };
    if (db->ops->stats != NULL)
        db->ops->stats(db, stats_out);
}

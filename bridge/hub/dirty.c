/* Merging changes, and writing them.
 *
 * Invariant: an entry's record holds what `fields` names, and msg_id. */
#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(elt) ((elt)->refused = true)
#include "bridge/hub/dirty.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

#define ENTRY_BYTES 1024 /* what an entry costs besides what it counts */

#define TOO_BIG                                                                \
    "{\"status\":\"error\",\"ename\":\"MemoryError\",\"evalue\":\"the result " \
    "is too large for the task database\",\"traceback\":[],"                   \
    "\"engine_info\":{}}"

enum entry_kind { ENTRY_INSERT, ENTRY_UPDATE, ENTRY_DELETE };

struct ipmpi_dirty_entry {
    enum entry_kind kind;
    struct ipmpi_record *record;
    uint32_t fields;
    size_t bytes;
    bool refused; /* by the hash */
    UT_hash_handle hh;
};

struct ipmpi_dirty_sweep {
    char *engine_uuid; /* or NULL */
    struct ipmpi_dirty_sweep *prev, *next;
};

static struct ipmpi_dirty_entry *find(struct ipmpi_dirty *dirty,
                                      const void *msg_id, size_t len)
{
    struct ipmpi_dirty_entry *entry;

    HASH_FIND(hh, dirty->by_id, msg_id, len, entry);
    return entry;
}

static void free_entry(struct ipmpi_dirty_entry *entry)
{
    ipmpi_record_release(&entry->record);
    free(entry);
}

static void remove_entry(struct ipmpi_dirty *dirty,
                         struct ipmpi_dirty_entry *entry)
{
    HASH_DEL(dirty->by_id, entry);
    dirty->bytes -= entry->bytes;
    free_entry(entry);
}

/* A new entry that changes nothing yet. */
static int add_entry(struct ipmpi_dirty *dirty, const void *msg_id, size_t len,
                     struct ipmpi_dirty_entry **entry_out)
{
    struct ipmpi_dirty_entry *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return IPMPI_ENOMEM;
    e->kind = ENTRY_UPDATE;
    e->record = ipmpi_record_blank();
    if (e->record == NULL ||
        ipmpi_record_set_text(e->record, IPMPI_RECORD_MSG_ID, msg_id, len) !=
            0) {
        free_entry(e);
        return IPMPI_ENOMEM;
    }
    HASH_ADD_KEYPTR(hh, dirty->by_id, ipmpi_record_id(e->record), len, e);
    if (e->refused) {
        free_entry(e);
        return IPMPI_ENOMEM;
    }
    *entry_out = e;
    return 0;
}

static void count(struct ipmpi_dirty *dirty, struct ipmpi_dirty_entry *entry)
{
    dirty->bytes -= entry->bytes;
    entry->bytes = ENTRY_BYTES + ipmpi_record_bytes(entry->record);
    dirty->bytes += entry->bytes;
}

/* The entry of the id, made if need be. */
static int entry_of(struct ipmpi_dirty *dirty, const void *msg_id, size_t len,
                    struct ipmpi_dirty_entry **entry_out)
{
    *entry_out = find(dirty, msg_id, len);
    if (*entry_out != NULL)
        return 0;
    return add_entry(dirty, msg_id, len, entry_out);
}

int ipmpi_dirty_merge(struct ipmpi_dirty *dirty,
                      const struct ipmpi_record *change, uint32_t fields,
                      bool insert)
{
    struct ipmpi_dirty_entry *e;
    int err;

    fields &= ~IPMPI_FIELD_BIT(MSG_ID);
    err = entry_of(dirty, change->msg_id.data, change->msg_id.len, &e);
    if (err != 0)
        return err;
    if (insert)
        e->kind = ENTRY_INSERT;
    if (e->kind == ENTRY_DELETE)
        return 0; /* a late change of what is gone */
    err = ipmpi_record_merge(e->record, change, fields);
    e->fields |= fields;
    count(dirty, e);
    return err;
}

static void make_delete(struct ipmpi_dirty *dirty, struct ipmpi_dirty_entry *e)
{
    ipmpi_record_clear(e->record, IPMPI_ALL_FIELDS & ~IPMPI_FIELD_BIT(MSG_ID));
    e->kind = ENTRY_DELETE;
    e->fields = 0;
    count(dirty, e);
}

int ipmpi_dirty_delete(struct ipmpi_dirty *dirty, const void *msg_id,
                       size_t len)
{
    struct ipmpi_dirty_entry *e;
    int err = entry_of(dirty, msg_id, len, &e);

    if (err == 0)
        make_delete(dirty, e);
    return err;
}

static bool is_swept(const struct ipmpi_dirty_entry *e, const char *engine_uuid)
{
    const struct ipmpi_frame *engine = &e->record->engine_uuid;

    if (!ipmpi_record_is_decided(e->record))
        return false;
    return engine_uuid == NULL ||
           (engine->data != NULL && engine->len == strlen(engine_uuid) &&
            memcmp(engine->data, engine_uuid, engine->len) == 0);
}

int ipmpi_dirty_sweep(struct ipmpi_dirty *dirty, const char *engine_uuid)
{
    struct ipmpi_dirty_sweep *sweep = calloc(1, sizeof(*sweep));
    struct ipmpi_dirty_entry *e, *next;

    if (sweep == NULL)
        return IPMPI_ENOMEM;
    if (engine_uuid != NULL) {
        sweep->engine_uuid = strdup(engine_uuid);
        if (sweep->engine_uuid == NULL) {
            free(sweep);
            return IPMPI_ENOMEM;
        }
    }
    DL_APPEND(dirty->sweeps, sweep);
    /* What is decided but not on the disk goes now; the rows go before any
     * entry is written, so what is decided later stays. */
    HASH_ITER (hh, dirty->by_id, e, next) {
        if (is_swept(e, engine_uuid))
            make_delete(dirty, e);
    }
    return 0;
}

bool ipmpi_dirty_is_empty(const struct ipmpi_dirty *dirty)
{
    return dirty->by_id == NULL && dirty->sweeps == NULL;
}

static int write_entry(const struct ipmpi_dirty_entry *e,
                       struct ipmpi_table *table)
{
    switch (e->kind) {
    case ENTRY_INSERT:
        return ipmpi_table_insert(table, e->record);
    case ENTRY_UPDATE:
        return ipmpi_table_update(table, e->record, e->fields);
    case ENTRY_DELETE:
        break;
    }
    return ipmpi_table_delete(table, e->record->msg_id.data,
                              e->record->msg_id.len);
}

/* A row that SQLite cannot hold loses its buffers; its result becomes an
 * error, for a client cannot read an apply result without them. If it is for
 * trailing output that the row has no room, the output is what goes. */
static void shrink(struct ipmpi_dirty *dirty, struct ipmpi_dirty_entry *e)
{
    const uint32_t buffers =
        IPMPI_FIELD_BIT(BUFFERS) | IPMPI_FIELD_BIT(RESULT_BUFFERS);
    const struct ipmpi_frame error = {(const uint8_t *)TOO_BIG,
                                      sizeof(TOO_BIG) - 1, NULL};

    ipmpi_log_warn("TASKDB-BIG",
                   "the buffers of %s are too large for the task database; "
                   "not kept",
                   ipmpi_record_id(e->record));
    if ((e->fields & buffers) == 0) {
        e->fields = 0;
        return;
    }
    ipmpi_record_clear(e->record, buffers);
    e->fields |= buffers;
    if (ipmpi_record_is_decided(e->record))
        ipmpi_record_set_frame(e->record, IPMPI_RECORD_RESULT_CONTENT, &error);
    count(dirty, e);
}

static int write_all(struct ipmpi_dirty *dirty, struct ipmpi_table *table)
{
    struct ipmpi_dirty_sweep *sweep;
    struct ipmpi_dirty_entry *e, *next;
    int err = 0;

    DL_FOREACH (dirty->sweeps, sweep) {
        err = ipmpi_table_delete_decided(table, sweep->engine_uuid);
        if (err != 0)
            return err;
    }
    HASH_ITER (hh, dirty->by_id, e, next) {
        err = write_entry(e, table);
        if (err == IPMPI_ETOOBIG) {
            shrink(dirty, e);
            err = write_entry(e, table);
        }
        if (err != 0)
            break;
    }
    return err;
}

static void forget_sweeps(struct ipmpi_dirty *dirty)
{
    struct ipmpi_dirty_sweep *sweep, *next;

    DL_FOREACH_SAFE (dirty->sweeps, sweep, next) {
        DL_DELETE(dirty->sweeps, sweep);
        free(sweep->engine_uuid);
        free(sweep);
    }
}

int ipmpi_dirty_flush(struct ipmpi_dirty *dirty, struct ipmpi_table *table)
{
    int err;

    if (ipmpi_dirty_is_empty(dirty))
        return 0;
    err = ipmpi_table_begin(table);
    if (err == 0)
        err = write_all(dirty, table);
    if (err == 0)
        err = ipmpi_table_commit(table);
    if (err != 0)
        return err; /* the caller reads the message, then rolls back */
    ipmpi_dirty_clear(dirty);
    return 0;
}

size_t ipmpi_dirty_forget(struct ipmpi_dirty *dirty, size_t goal)
{
    size_t n = 0;

    while (dirty->by_id != NULL && dirty->bytes > goal) {
        remove_entry(dirty, dirty->by_id);
        n++;
    }
    return n;
}

size_t ipmpi_dirty_clear(struct ipmpi_dirty *dirty)
{
    forget_sweeps(dirty);
    return ipmpi_dirty_forget(dirty, 0);
}

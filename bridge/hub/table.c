/* The schema, and writing rows. Reading is in rows.c. */
#include "bridge/hub/table_handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge/hub/claim.h"
#include "bridge/hub/pickle.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/message/date.h"

#define TABLE           "ipython-tasks"
#define BUSY_TIMEOUT_MS 1000
#define SUFFIX_MAX      1000

int ipmpi_table_error(int rc)
{
    switch (rc) {
    case SQLITE_OK:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return IPMPI_ENOMEM;
    case SQLITE_TOOBIG:
        return IPMPI_ETOOBIG;
    default:
        return IPMPI_EIO;
    }
}

const char *ipmpi_table_message(const struct ipmpi_table *table)
{
    return sqlite3_errmsg(table->db);
}

static int run(struct ipmpi_table *table, const char *sql)
{
    return ipmpi_table_error(sqlite3_exec(table->db, sql, NULL, NULL, NULL));
}

int ipmpi_table_begin(struct ipmpi_table *table)
{
    return run(table, "BEGIN IMMEDIATE");
}

int ipmpi_table_commit(struct ipmpi_table *table)
{
    return run(table, "COMMIT");
}

void ipmpi_table_rollback(struct ipmpi_table *table)
{
    if (!sqlite3_get_autocommit(table->db))
        run(table, "ROLLBACK");
}

/* Whether the table is absent (*exists_out false) or has our columns. Newer
 * versions of SQLite tell `text` as `TEXT`; ipyparallel does not expect that,
 * and begins another table whenever it is started with one of them. */
static int check_columns(struct ipmpi_table *table, bool *exists_out,
                         bool *fits_out)
{
    char sql[128];
    sqlite3_stmt *stmt;
    int n = 0, rc;

    snprintf(sql, sizeof(sql), "PRAGMA table_info('%s')", table->name);
    rc = sqlite3_prepare_v2(table->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return ipmpi_table_error(rc);
    *fits_out = true;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(stmt, 1);
        const char *type = (const char *)sqlite3_column_text(stmt, 2);

        if (n >= IPMPI_NFIELDS || name == NULL || type == NULL ||
            strcmp(name, ipmpi_fields[n].name) != 0 ||
            strcasecmp(type, ipmpi_fields[n].sql_type) != 0)
            *fits_out = false;
        n++;
    }
    sqlite3_finalize(stmt);
    *exists_out = n > 0;
    *fits_out &= n == IPMPI_NFIELDS;
    return ipmpi_table_error(rc);
}

/* Finds the first name that is free or has our columns. */
static int choose_name(struct ipmpi_table *table, bool *exists_out)
{
    bool fits;

    snprintf(table->name, sizeof(table->name), "%s", TABLE);
    for (int i = 1; i < SUFFIX_MAX; i++) {
        int err = check_columns(table, exists_out, &fits);

        if (err != 0 || !*exists_out || fits)
            return err;
        ipmpi_log_warn("TASKDB-TABLE",
                       "table %s is of another version; trying the next",
                       table->name);
        snprintf(table->name, sizeof(table->name), "%s_%d", TABLE, i);
    }
    return IPMPI_EIO;
}

static int create(struct ipmpi_table *table)
{
    struct ipmpi_text sql = {0};
    int err;

    ipmpi_text_puts(&sql, "CREATE TABLE '");
    ipmpi_text_puts(&sql, table->name);
    for (int i = 0; i < IPMPI_NFIELDS; i++) {
        ipmpi_text_puts(&sql, i == 0 ? "' (" : ", ");
        ipmpi_text_puts(&sql, ipmpi_fields[i].name);
        ipmpi_text_puts(&sql, " ");
        ipmpi_text_puts(&sql, ipmpi_fields[i].sql_type);
        if (i == IPMPI_RECORD_MSG_ID)
            ipmpi_text_puts(&sql, " PRIMARY KEY");
    }
    ipmpi_text_add(&sql, ")", 2);
    err = sql.failed ? IPMPI_ENOMEM : run(table, sql.data);
    ipmpi_text_clear(&sql);
    return err;
}

/* The table, and an index of pending rows: whoever starts finds at once what
 * an earlier controller left behind. ipyparallel does not mind an index. */
static int prepare_schema(struct ipmpi_table *table)
{
    char sql[256];
    bool exists;
    int err = choose_name(table, &exists);

    if (err == 0 && !exists)
        err = create(table);
    if (err != 0)
        return err;
    snprintf(sql, sizeof(sql),
             "CREATE INDEX IF NOT EXISTS '%s_pending' ON '%s'(msg_id) "
             "WHERE completed IS NULL",
             table->name, table->name);
    return run(table, sql);
}

/* A table with nothing but its claim, and why if the file cannot be made. */
static int create_handle(const char *path, struct ipmpi_table **table_out)
{
    struct ipmpi_table *table = calloc(1, sizeof(*table));

    if (table == NULL)
        return IPMPI_ENOMEM;
    table->claim_fd = ipmpi_claim_open(path, &table->is_alone);
    if (table->claim_fd < 0) {
        ipmpi_log_error("TASKDB-OPEN", "cannot open %s for writing: %s", path,
                        strerror(errno));
        free(table);
        return IPMPI_EIO;
    }
    *table_out = table;
    return 0;
}

int ipmpi_table_open(const char *path, struct ipmpi_table **table_out)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    struct ipmpi_table *table;
    int err = create_handle(path, &table);

    if (err != 0)
        return err;
    err = ipmpi_table_error(sqlite3_open_v2(path, &table->db, flags, NULL));
    if (err == 0) {
        sqlite3_busy_timeout(table->db, BUSY_TIMEOUT_MS);
        err = prepare_schema(table);
    }
    if (err != 0) {
        ipmpi_log_error("TASKDB-OPEN", "cannot use %s as a task database: %s",
                        path,
                        table->db != NULL ? sqlite3_errmsg(table->db)
                                          : ipmpi_strerror(err));
        ipmpi_table_close(&table);
        return err;
    }
    *table_out = table;
    return 0;
}

void ipmpi_table_close(struct ipmpi_table **table)
{
    struct ipmpi_table *t = *table;

    *table = NULL;
    if (t == NULL)
        return;
    sqlite3_finalize(t->insert);
    sqlite3_finalize(t->update);
    sqlite3_finalize(t->remove);
    sqlite3_close(t->db);
    close(t->claim_fd);
    free(t);
}

bool ipmpi_table_is_alone(const struct ipmpi_table *table)
{
    return table->is_alone;
}

/* As Python's isoformat() of a date in UTC: no fraction if it is zero. */
static int bind_date(sqlite3_stmt *stmt, int at, int64_t wall_us)
{
    const int whole = 19; /* YYYY-MM-DDTHH:MM:SS */
    char date[IPMPI_DATE_LEN + 8];

    if (wall_us == 0)
        return sqlite3_bind_null(stmt, at);
    ipmpi_date_format(wall_us, date);
    strcpy(date + (wall_us % 1000000 == 0 ? whole : IPMPI_DATE_LEN - 1),
           "+00:00");
    return sqlite3_bind_text(stmt, at, date, -1, SQLITE_TRANSIENT);
}

static int bind_buffers(sqlite3_stmt *stmt, int at,
                        const struct ipmpi_frames *buffers)
{
    void *data;
    size_t len;

    if (buffers->n == 0)
        return sqlite3_bind_null(stmt, at);
    if (ipmpi_pickle_dump(buffers, &data, &len) != 0)
        return SQLITE_NOMEM;
    return sqlite3_bind_blob64(stmt, at, data, len, free);
}

/* The text must outlive the step; a NULL is a null. */
static int bind_text(sqlite3_stmt *stmt, int at, const void *text, size_t len)
{
    if (text == NULL)
        return sqlite3_bind_null(stmt, at);
    return sqlite3_bind_text64(stmt, at, text, len, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_field(sqlite3_stmt *stmt, int at,
                      const struct ipmpi_record *record, enum ipmpi_field field)
{
    const void *value = ipmpi_record_at(record, field);
    const struct ipmpi_frame *frame = value;
    const struct ipmpi_text *text = value;

    switch (ipmpi_fields[field].kind) {
    case IPMPI_FIELD_DATE:
        return bind_date(stmt, at, *(const int64_t *)value);
    case IPMPI_FIELD_BUFFERS:
        return bind_buffers(stmt, at, value);
    case IPMPI_FIELD_OUTPUT:
        return bind_text(stmt, at, text->len > 0 ? text->data : "", text->len);
    case IPMPI_FIELD_TEXT:
    case IPMPI_FIELD_JSON:
        break;
    }
    return bind_text(stmt, at, frame->data, frame->len);
}

/* Binds the fields in order, from parameter 1; runs; leaves nothing bound. */
static int run_with(sqlite3_stmt *stmt, const struct ipmpi_record *record,
                    uint32_t fields)
{
    int at = 1, rc = SQLITE_OK;

    for (int i = 0; i < IPMPI_NFIELDS && rc == SQLITE_OK; i++)
        if ((fields & (UINT32_C(1) << i)) != 0)
            rc = bind_field(stmt, at++, record, (enum ipmpi_field)i);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return ipmpi_table_error(rc);
}

int ipmpi_table_insert(struct ipmpi_table *table,
                       const struct ipmpi_record *record)
{
    char sql[256];
    size_t at;

    if (table->insert == NULL) {
        at = (size_t)snprintf(sql, sizeof(sql),
                              "INSERT OR REPLACE INTO '%s' VALUES (?",
                              table->name);
        for (int i = 1; i < IPMPI_NFIELDS; i++, at += 2)
            memcpy(sql + at, ",?", 2);
        memcpy(sql + at, ")", 2);
        if (sqlite3_prepare_v2(table->db, sql, -1, &table->insert, NULL) !=
            SQLITE_OK)
            return IPMPI_EIO;
    }
    return run_with(table->insert, record, IPMPI_ALL_FIELDS);
}

/* name = ?, or for output name = name || ? while it is not full. */
static void add_assignment(struct ipmpi_text *sql, enum ipmpi_field field,
                           int at)
{
    const char *name = ipmpi_fields[field].name;
    char text[256];

    if (ipmpi_fields[field].kind == IPMPI_FIELD_OUTPUT)
        snprintf(text, sizeof(text),
                 "%s=CASE WHEN length(CAST(%s AS BLOB))>=%u THEN %s "
                 "ELSE coalesce(%s,'')||?%d END",
                 name, name, IPMPI_RECORD_OUTPUT_MAX, name, name, at);
    else
        snprintf(text, sizeof(text), "%s=?%d", name, at);
    ipmpi_text_puts(sql, text);
}

/* Prepares the UPDATE of these fields; msg_id is parameter 1. The last one is
 * kept: most updates in a row are alike. */
static int prepare_update(struct ipmpi_table *table, uint32_t fields)
{
    struct ipmpi_text sql = {0};
    int at = 1, rc = SQLITE_NOMEM;

    if (table->update != NULL && table->update_fields == fields)
        return 0;
    sqlite3_finalize(table->update);
    table->update = NULL;
    ipmpi_text_puts(&sql, "UPDATE '");
    ipmpi_text_puts(&sql, table->name);
    for (int i = 1; i < IPMPI_NFIELDS; i++) {
        if ((fields & (UINT32_C(1) << i)) == 0)
            continue;
        ipmpi_text_puts(&sql, at == 1 ? "' SET " : ", ");
        add_assignment(&sql, (enum ipmpi_field)i, ++at);
    }
    ipmpi_text_puts(&sql, " WHERE msg_id=?1");
    ipmpi_text_add(&sql, "", 1);
    if (!sql.failed)
        rc = sqlite3_prepare_v2(table->db, sql.data, -1, &table->update, NULL);
    ipmpi_text_clear(&sql);
    table->update_fields = fields;
    return ipmpi_table_error(rc);
}

int ipmpi_table_update(struct ipmpi_table *table,
                       const struct ipmpi_record *record, uint32_t fields)
{
    int err;

    fields |= IPMPI_FIELD_BIT(MSG_ID);
    if (fields == IPMPI_FIELD_BIT(MSG_ID))
        return 0;
    err = prepare_update(table, fields);
    return err != 0 ? err : run_with(table->update, record, fields);
}

int ipmpi_table_delete(struct ipmpi_table *table, const void *msg_id,
                       size_t len)
{
    char sql[128];
    int rc;

    if (table->remove == NULL) {
        snprintf(sql, sizeof(sql), "DELETE FROM '%s' WHERE msg_id=?1",
                 table->name);
        if (sqlite3_prepare_v2(table->db, sql, -1, &table->remove, NULL) !=
            SQLITE_OK)
            return IPMPI_EIO;
    }
    rc = bind_text(table->remove, 1, msg_id, len);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(table->remove);
    sqlite3_reset(table->remove);
    return ipmpi_table_error(rc);
}

int ipmpi_table_delete_decided(struct ipmpi_table *table,
                               const char *engine_uuid)
{
    char sql[192];
    sqlite3_stmt *stmt;
    int rc;

    snprintf(sql, sizeof(sql),
             "DELETE FROM '%s' WHERE completed IS NOT NULL AND "
             "(?1 IS NULL OR engine_uuid = ?1)",
             table->name);
    rc = sqlite3_prepare_v2(table->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = bind_text(stmt, 1, engine_uuid,
                       engine_uuid != NULL ? strlen(engine_uuid) : 0);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    return ipmpi_table_error(rc);
}

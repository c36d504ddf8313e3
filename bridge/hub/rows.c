/* Reading rows. What others wrote is taken as it is where it has the right
 * shape, and as null where it has not. */
#include "bridge/hub/table_handle.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/hub/pickle.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/message/date.h"

struct ipmpi_rows {
    sqlite3_stmt *stmt;
    int column[IPMPI_NFIELDS];
};

static void select_sql(const struct ipmpi_table *table, uint32_t fields,
                       const char *where, struct ipmpi_rows *rows,
                       struct ipmpi_text *sql)
{
    int column = 0;

    ipmpi_text_puts(sql, "SELECT rowid");
    for (int i = 0; i < IPMPI_NFIELDS; i++) {
        if ((fields & (UINT32_C(1) << i)) == 0)
            continue;
        ipmpi_text_puts(sql, ",");
        ipmpi_text_puts(sql, ipmpi_fields[i].name);
        rows->column[i] = ++column;
    }
    ipmpi_text_puts(sql, " FROM '");
    ipmpi_text_puts(sql, table->name);
    ipmpi_text_puts(sql, "'");
    if (where != NULL) {
        ipmpi_text_puts(sql, " WHERE ");
        ipmpi_text_puts(sql, where);
    }
    ipmpi_text_puts(sql, " ORDER BY rowid");
    ipmpi_text_add(sql, "", 1);
}

int ipmpi_rows_open(struct ipmpi_table *table, uint32_t fields,
                    const char *where, struct ipmpi_rows **rows_out)
{
    struct ipmpi_rows *rows = calloc(1, sizeof(*rows));
    struct ipmpi_text sql = {0};
    int rc = SQLITE_NOMEM;

    if (rows == NULL)
        return IPMPI_ENOMEM;
    select_sql(table, fields, where, rows, &sql);
    if (!sql.failed)
        rc = sqlite3_prepare_v2(table->db, sql.data, -1, &rows->stmt, NULL);
    ipmpi_text_clear(&sql);
    if (rc != SQLITE_OK) {
        free(rows);
        return ipmpi_table_error(rc);
    }
    *rows_out = rows;
    return 0;
}

void ipmpi_rows_close(struct ipmpi_rows **rows)
{
    if (*rows != NULL)
        sqlite3_finalize((*rows)->stmt);
    free(*rows);
    *rows = NULL;
}

int ipmpi_rows_next(struct ipmpi_rows *rows)
{
    const int rc = sqlite3_step(rows->stmt);

    if (rc == SQLITE_ROW)
        return 0;
    return rc == SQLITE_DONE ? IPMPI_EEMPTY : ipmpi_table_error(rc);
}

int ipmpi_rows_find(struct ipmpi_rows *rows, const void *msg_id, size_t len)
{
    int rc;

    sqlite3_reset(rows->stmt);
    rc = sqlite3_bind_text64(rows->stmt, 1, msg_id, len, SQLITE_TRANSIENT,
                             SQLITE_UTF8);
    return rc != SQLITE_OK ? ipmpi_table_error(rc) : ipmpi_rows_next(rows);
}

int ipmpi_rows_find_number(struct ipmpi_rows *rows, int64_t number)
{
    int rc;

    sqlite3_reset(rows->stmt);
    rc = sqlite3_bind_int64(rows->stmt, 1, number);
    return rc != SQLITE_OK ? ipmpi_table_error(rc) : ipmpi_rows_next(rows);
}

int64_t ipmpi_rows_number(struct ipmpi_rows *rows)
{
    return sqlite3_column_int64(rows->stmt, 0);
}

/* An unusable pickle reads as no buffers. */
static int read_buffers(sqlite3_stmt *stmt, int column,
                        struct ipmpi_frames *out)
{
    const void *data = sqlite3_column_blob(stmt, column);
    const size_t len = (size_t)sqlite3_column_bytes(stmt, column);
    int err;

    if (data == NULL)
        return 0;
    err = ipmpi_pickle_load(data, len, out);
    if (err != IPMPI_EINVAL)
        return err;
    ipmpi_log_warn("TASKDB-PICKLE",
                   "row %lld has buffers that are no pickled list of bytes",
                   (long long)sqlite3_column_int64(stmt, 0));
    return 0;
}

/* Goes into replies as it is, so it must at least look like an object. */
static bool is_object(const char *text, size_t len)
{
    return len >= 2 && text[0] == '{' && text[len - 1] == '}';
}

static int read_field(struct ipmpi_rows *rows, enum ipmpi_field field,
                      struct ipmpi_record *record)
{
    const int column = rows->column[field];
    const char *text;
    void *at = ipmpi_record_at(record, field);
    size_t len;

    if (ipmpi_fields[field].kind == IPMPI_FIELD_BUFFERS)
        return read_buffers(rows->stmt, column, at);
    text = (const char *)sqlite3_column_text(rows->stmt, column);
    len = (size_t)sqlite3_column_bytes(rows->stmt, column);
    if (text == NULL)
        return 0;
    switch (ipmpi_fields[field].kind) {
    case IPMPI_FIELD_DATE:
        if (ipmpi_date_parse(text, len, at) != 0)
            *(int64_t *)at = 0;
        return 0;
    case IPMPI_FIELD_OUTPUT:
        ipmpi_text_add(at, text, len);
        return ((struct ipmpi_text *)at)->failed ? IPMPI_ENOMEM : 0;
    case IPMPI_FIELD_JSON:
        if (!is_object(text, len))
            return 0;
        break;
    default:
        break;
    }
    return ipmpi_record_set_text(record, field, text, len);
}

int ipmpi_rows_read(struct ipmpi_rows *rows, uint32_t fields,
                    struct ipmpi_record *record)
{
    int err = 0;

    for (int i = 0; i < IPMPI_NFIELDS && err == 0; i++)
        if ((fields & (UINT32_C(1) << i)) != 0)
            err = read_field(rows, (enum ipmpi_field)i, record);
    return err;
}

/* The table of tasks in an SQLite file, column for column that of
 * ipyparallel's SQLiteDB, so that either can read what the other wrote:
 * objects as JSON text, dates as Python's isoformat(), buffers as a pickled
 * list of bytes.
 *
 * Threads: one at a time. Blocks on the disk, and up to a second on another
 * process's lock. */
#ifndef IPMPI_HUB_TABLE_H
#define IPMPI_HUB_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge/hub/record.h"

struct ipmpi_table; /* opaque */
struct ipmpi_rows;  /* opaque: a running SELECT */

/* Opens the file, or creates it (0600). If its table `ipython-tasks` has other
 * columns, `ipython-tasks_1`, _2 .. is used. Logs what failed. IPMPI_EIO,
 * IPMPI_ENOMEM. */
int ipmpi_table_open(const char *path, struct ipmpi_table **table_out);
void ipmpi_table_close(struct ipmpi_table **table);

/* True if no other controller had the file open when this one opened it. */
bool ipmpi_table_is_alone(const struct ipmpi_table *table);

/* What SQLite said of the last failure; borrows from the table. */
const char *ipmpi_table_message(const struct ipmpi_table *table);

/* All of these: IPMPI_EIO, or IPMPI_ETOOBIG for a row past SQLite's limit. */
int ipmpi_table_begin(struct ipmpi_table *table);
int ipmpi_table_commit(struct ipmpi_table *table);
void ipmpi_table_rollback(struct ipmpi_table *table); /* if one is open */

/* Inserts or replaces the row of record->msg_id. */
int ipmpi_table_insert(struct ipmpi_table *table,
                       const struct ipmpi_record *record);

/* Sets the given fields of the row; appends to those of kind OUTPUT, up to
 * IPMPI_RECORD_OUTPUT_MAX. No row: nothing happens. */
int ipmpi_table_update(struct ipmpi_table *table,
                       const struct ipmpi_record *record, uint32_t fields);
int ipmpi_table_delete(struct ipmpi_table *table, const void *msg_id,
                       size_t len);

/* Deletes decided rows; of one engine only unless it is NULL. */
int ipmpi_table_delete_decided(struct ipmpi_table *table,
                               const char *engine_uuid);

/* Begins reading rows in the order of insertion. `where` is SQL that is
 * trusted, or NULL. */
int ipmpi_rows_open(struct ipmpi_table *table, uint32_t fields,
                    const char *where, struct ipmpi_rows **rows_out);
void ipmpi_rows_close(struct ipmpi_rows **rows);

/* Goes to the row of a msg_id, for a `where` that is IPMPI_ROWS_BY_ID, or of
 * a number, for IPMPI_ROWS_BY_NUMBER. IPMPI_EEMPTY: there is none. */
#define IPMPI_ROWS_BY_ID     "msg_id = ?1"
#define IPMPI_ROWS_BY_NUMBER "rowid = ?1"
int ipmpi_rows_find(struct ipmpi_rows *rows, const void *msg_id, size_t len);
int ipmpi_rows_find_number(struct ipmpi_rows *rows, int64_t number);

/* Goes to the next row. IPMPI_EEMPTY: there is none. */
int ipmpi_rows_next(struct ipmpi_rows *rows);
int64_t ipmpi_rows_number(struct ipmpi_rows *rows);

/* Reads fields (among those opened for) of the row into the record, whose
 * fields must be unset; copies. What is no value of its kind reads as null.
 * IPMPI_ENOMEM. */
int ipmpi_rows_read(struct ipmpi_rows *rows, uint32_t fields,
                    struct ipmpi_record *record);

#endif

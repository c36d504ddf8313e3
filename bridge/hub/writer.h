/* The thread that owns the SQLite file. Changes are posted to it and written
 * within two seconds; questions are answered in their order among them.
 *
 * Invariant: an operation belongs to the caller before it is posted and after
 * it was taken back, and to the writer in between. Changes do not come back.
 * Threads:   all calls on one thread, the loop's; the writer's thread touches
 *            neither ZMQ nor MPI. Only open and close block. */
#ifndef IPMPI_HUB_WRITER_H
#define IPMPI_HUB_WRITER_H

#include "bridge/hub/answer.h"
#include "bridge/hub/hub_error.h"
#include "bridge/hub/query.h"
#include "bridge/hub/table.h"
#include "bridge/hub/taskdb.h"

struct ipmpi_writer; /* opaque */

enum ipmpi_op_kind {
    /* changes */
    IPMPI_WRITE_INSERT, /* record */
    IPMPI_WRITE_UPDATE, /* record, fields */
    IPMPI_WRITE_DELETE, /* record: its msg_id */
    IPMPI_WRITE_SWEEP,  /* record: its engine_uuid, or none for all */
    /* questions */
    IPMPI_WRITE_QUERY, /* query, answer.fields */
    IPMPI_WRITE_FETCH, /* ids, records, n, fields */
    IPMPI_WRITE_HISTORY,
    IPMPI_WRITE_SETTLE, /* are the changes before this one written? */
};

struct ipmpi_op {
    enum ipmpi_op_kind kind;
    struct ipmpi_record *record; /* owned */
    uint32_t fields;
    size_t bytes; /* what the writer holds with it */

    struct ipmpi_query *query;     /* owned */
    char **ids;                    /* owned, each */
    struct ipmpi_record **records; /* owned; those that are NULL are read */
    size_t n;
    struct ipmpi_answer answer;            /* of a query; its buffers */
    struct ipmpi_frame content;            /* the reply of a query, a history */
    struct ipmpi_hub_error error;          /* ename NULL: it went well */
    ipmpi_taskdb_records_fn *records_done; /* the asker's */
    ipmpi_taskdb_reply_fn *reply_done;
    void *arg;
    struct ipmpi_op *prev, *next;
};

/* Frees an operation and what it owns, and nulls the pointer. */
void ipmpi_op_destroy(struct ipmpi_op **op);

/* Opens the file and starts the thread; `wake_fd` is an eventfd that is made
 * readable when answers are there. A disk that takes longer than `stuck_us`
 * for one write is not waited for. Errors as ipmpi_table_open; IPMPI_ESYS. */
int ipmpi_writer_open(const char *path, int wake_fd, int64_t stuck_us,
                      struct ipmpi_writer **writer_out);

/* Writes what was posted, for at most 4 s, and ends the thread. If the disk
 * does not let it, this is logged and the thread left behind. */
void ipmpi_writer_close(struct ipmpi_writer **writer);

/* Gives an operation. */
void ipmpi_writer_post(struct ipmpi_writer *writer, struct ipmpi_op **op);

/* Takes an answered question back; NULL: none is. */
struct ipmpi_op *ipmpi_writer_take(struct ipmpi_writer *writer);

/* True while it holds so much that no more should come; when that ends, the
 * loop is woken, unless it ends because the disk is stuck. False while the disk
 * refuses: then what is too much is given up, the oldest first; and while it is
 * stuck: then the newest is. */
bool ipmpi_writer_is_behind(struct ipmpi_writer *writer);

/* How often the loop was woken; changes no later than shortly after. */
unsigned ipmpi_writer_wakes(const struct ipmpi_writer *writer);

size_t ipmpi_writer_held_bytes(const struct ipmpi_writer *writer);
uint64_t ipmpi_writer_lost(const struct ipmpi_writer *writer);

#endif

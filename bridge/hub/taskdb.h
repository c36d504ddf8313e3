/* The task database: a record of every request on the mux and task queues,
 * its result and its output (compat 11). One interface, three back ends:
 *
 *   memory  the last 1024 results, at most 1 GiB; pending records always stay
 *   sqlite  all results, in a file that ipyparallel's SQLiteDB can read; the
 *           latest are in memory too
 *   none    nothing but which msg_ids are pending or were decided
 *
 * Questions are answered by callbacks, exactly once each: before the asking
 * call returns, or from ipmpi_taskdb_poll. Their error, if not NULL, is what
 * the client is to be told. Questions that are open when the database is
 * destroyed get no callback.
 *
 * Threads: the loop's thread only, callbacks included. Nothing but open and
 * destroy blocks. A callback may call anything here but destroy. */
#ifndef IPMPI_HUB_TASKDB_H
#define IPMPI_HUB_TASKDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "bridge/hub/hub_error.h"
#include "bridge/hub/record.h"
#include "runtime/engine/protocol.h"

struct ipmpi_taskdb; /* opaque */

enum ipmpi_taskdb_kind {
    IPMPI_TASKDB_MEMORY,
    IPMPI_TASKDB_SQLITE,
    IPMPI_TASKDB_NONE,
};

struct ipmpi_taskdb_options {
    enum ipmpi_taskdb_kind kind;
    const char *path;    /* sqlite: the file, usually <profile dir>/tasks.db */
    size_t record_limit; /* memory: 0 stands for 1024 */
    size_t size_limit;   /* memory: bytes; 0 stands for 1 GiB */
    int64_t stuck_us;    /* sqlite: so long the disk may take for one write
                          * before it is not waited for; 0 stands for 60 s */
};

struct ipmpi_taskdb_stats {
    size_t records, decided, bytes; /* in memory */
    size_t culled;                  /* since the start */
    size_t queued_bytes;            /* waiting for the writer */
    uint64_t writes_lost;           /* given up by the writer */
};

/* Opens the database; sqlite creates or opens its file, and records that an
 * earlier controller left pending become errors there, unless another one has
 * the file open, too: they may be its own. Logs what failed.
 * IPMPI_EIO: the file cannot be used; IPMPI_ENOMEM, IPMPI_ESYS. */
int ipmpi_taskdb_open(const struct ipmpi_taskdb_options *options,
                      struct ipmpi_taskdb **db_out);

/* Writes what is queued, for at most 4 s, and frees. */
void ipmpi_taskdb_destroy(struct ipmpi_taskdb **db);

/* Adds a pending record. IPMPI_EEXIST: there is one of this msg_id in memory;
 * it stays as it is. IPMPI_ENOMEM. */
int ipmpi_taskdb_add(struct ipmpi_taskdb *db,
                     const struct ipmpi_submission *submission);

/* Lends the record until the next call here. All pending records are found,
 * and decided ones as long as they are in memory; else NULL. */
const struct ipmpi_record *ipmpi_taskdb_get(struct ipmpi_taskdb *db,
                                            const char *msg_id);

/* Notes the engine that a pending task was given to. IPMPI_ENOENT,
 * IPMPI_ESTATE (decided), IPMPI_ENOMEM. */
int ipmpi_taskdb_assign(struct ipmpi_taskdb *db, const char *msg_id,
                        const char *engine_uuid);

/* Decides a pending record. IPMPI_ESTATE: it is decided already, and stays as
 * it is. IPMPI_ENOENT, IPMPI_ENOMEM. */
int ipmpi_taskdb_decide(struct ipmpi_taskdb *db, const char *msg_id,
                        const struct ipmpi_result *result);

/* Notes the output of a task; `content` is that of the IOPub message. Kinds
 * that records do not keep, ids that were never submitted and content of
 * another shape change nothing. IPMPI_ENOMEM. */
int ipmpi_taskdb_output(struct ipmpi_taskdb *db, const char *msg_id,
                        enum ipmpi_iopub_kind kind,
                        const struct ipmpi_frame *content);

/* Notes the id of a record's re-run. Unknown ids are fine. IPMPI_ENOMEM. */
int ipmpi_taskdb_resubmitted(struct ipmpi_taskdb *db, const char *msg_id,
                             const char *new_id);

/* Drops the records of these ids, except pending and unknown ones. Another
 * controller of the same file sees it once ipmpi_taskdb_settle says so.
 * IPMPI_ENOMEM: some may remain. */
int ipmpi_taskdb_drop(struct ipmpi_taskdb *db, const char *const *msg_ids,
                      size_t n);

/* Drops all decided records; of one engine only, unless it is NULL.
 * IPMPI_ENOMEM. */
int ipmpi_taskdb_drop_decided(struct ipmpi_taskdb *db, const char *engine_uuid);

/* What a fetch needs of the records; fields outside are not to be read. */
#define IPMPI_FETCH_STATUS \
    (IPMPI_FIELD_BIT(MSG_ID) | IPMPI_FIELD_BIT(COMPLETED))
#define IPMPI_FETCH_RESULT \
    (IPMPI_ALL_FIELDS & ~(IPMPI_FIELD_BIT(CONTENT) | IPMPI_FIELD_BIT(BUFFERS)))
#define IPMPI_FETCH_REQUEST                                                    \
    (IPMPI_FETCH_STATUS | IPMPI_FIELD_BIT(HEADER) | IPMPI_FIELD_BIT(CONTENT) | \
     IPMPI_FIELD_BIT(BUFFERS) | IPMPI_FIELD_BIT(LABEL))

/* records[i] is that of the i-th id asked for, or NULL; lent for the call,
 * ipmpi_record_share keeps one. Unset when there is an error. */
typedef void ipmpi_taskdb_records_fn(void *arg,
                                     const struct ipmpi_hub_error *error,
                                     struct ipmpi_record *const *records,
                                     size_t n);

/* The content of an "ok" reply, lent; buffers may be moved away. Both NULL
 * when there is an error. */
typedef void ipmpi_taskdb_reply_fn(void *arg,
                                   const struct ipmpi_hub_error *error,
                                   const struct ipmpi_frame *content,
                                   struct ipmpi_frames *buffers);

/* Finds records by id; the ids are lent. For result_request, resubmit. */
void ipmpi_taskdb_fetch(struct ipmpi_taskdb *db, const char *const *msg_ids,
                        size_t n, uint32_t fields,
                        ipmpi_taskdb_records_fn *done, void *arg);

/* db_request: the whole content and buffers of its reply (compat 3.7, query
 * language in query.h). Both lent, may be NULL. */
void ipmpi_taskdb_query(struct ipmpi_taskdb *db, const json_t *query,
                        const json_t *keys, ipmpi_taskdb_reply_fn *done,
                        void *arg);

/* history_request: the whole content of its reply (compat 3.6). */
void ipmpi_taskdb_history(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                          void *arg);

/* Answers {"status": "ok"} once every change that was made before is where the
 * next controller, or another one of the same file, finds it. */
void ipmpi_taskdb_settle(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                         void *arg);

/* Readable when ipmpi_taskdb_poll has something to do. */
int ipmpi_taskdb_fd(const struct ipmpi_taskdb *db);

/* A bounded share of the work that waits: callbacks, slices of long queries. */
void ipmpi_taskdb_poll(struct ipmpi_taskdb *db);

/* True while the writer is so far behind that rank 0 must take no further
 * work from clients. Nothing is lost if it does. When it has caught up, the
 * descriptor becomes readable. */
bool ipmpi_taskdb_is_behind(struct ipmpi_taskdb *db);

void ipmpi_taskdb_stats(struct ipmpi_taskdb *db,
                        struct ipmpi_taskdb_stats *stats_out);

#endif

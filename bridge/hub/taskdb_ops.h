/* What a back end of the task database provides; for the files of taskdb
 * only. The contracts are those of taskdb.h. */
#ifndef IPMPI_HUB_TASKDB_OPS_H
#define IPMPI_HUB_TASKDB_OPS_H

#include "bridge/hub/query.h"
#include "bridge/hub/store.h"
#include "bridge/hub/taskdb.h"

/* A back end's struct begins with this one. The store holds every pending
 * record; `wake_fd` is an eventfd. */
struct ipmpi_taskdb {
    const struct ipmpi_taskdb_ops *ops;
    struct ipmpi_store store;
    int wake_fd;
};

/* Where the store was changed already, a back end is told of it afterwards;
 * NULL: it need not know. `record` is lent. */
struct ipmpi_taskdb_ops {
    bool ids_only; /* records hold no more than IPMPI_FETCH_STATUS */
    void (*destroy)(struct ipmpi_taskdb *db);
    int (*added)(struct ipmpi_taskdb *db, const struct ipmpi_record *record);
    int (*assigned)(struct ipmpi_taskdb *db, const struct ipmpi_record *record);
    int (*decided)(struct ipmpi_taskdb *db, const struct ipmpi_record *record);
    /* Also of records that are not in the store. `value` is what came; of a
     * stream, what the stored record took of it. */
    int (*output)(struct ipmpi_taskdb *db, const char *msg_id,
                  enum ipmpi_field field, const struct ipmpi_frame *value);
    int (*resubmitted)(struct ipmpi_taskdb *db, const char *msg_id,
                       const char *new_id);
    int (*dropped)(struct ipmpi_taskdb *db, const char *msg_id);
    int (*dropped_decided)(struct ipmpi_taskdb *db, const char *engine_uuid);
    void (*fetch)(struct ipmpi_taskdb *db, const char *const *msg_ids, size_t n,
                  uint32_t fields, ipmpi_taskdb_records_fn *done, void *arg);
    /* Takes the compiled query. */
    void (*query)(struct ipmpi_taskdb *db, struct ipmpi_query **query,
                  uint32_t fields, ipmpi_taskdb_reply_fn *done, void *arg);
    void (*history)(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                    void *arg);
    /* NULL: changes are where they stay at once. */
    void (*settle)(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                   void *arg);
    /* Called every turn of the loop: costs nothing when nothing waits. */
    void (*poll)(struct ipmpi_taskdb *db);
    bool (*is_behind)(struct ipmpi_taskdb *db);
    void (*stats)(struct ipmpi_taskdb *db, struct ipmpi_taskdb_stats *stats);
};

/* Make a back end; the options have their defaults filled in. */
int ipmpi_taskdb_memory_open(const struct ipmpi_taskdb_options *options,
                             struct ipmpi_taskdb **db_out);
int ipmpi_taskdb_sqlite_open(const struct ipmpi_taskdb_options *options,
                             struct ipmpi_taskdb **db_out);
int ipmpi_taskdb_none_open(const struct ipmpi_taskdb_options *options,
                           struct ipmpi_taskdb **db_out);

/* Fills in the common part. IPMPI_ESYS. */
int ipmpi_taskdb_init(struct ipmpi_taskdb *db,
                      const struct ipmpi_taskdb_ops *ops, size_t record_limit,
                      size_t size_limit);

/* Releases the common part. */
void ipmpi_taskdb_fini(struct ipmpi_taskdb *db);

/* The content of an answer that has nothing to tell but that it went well. */
struct ipmpi_frame ipmpi_taskdb_ok(void);

/* Makes the wake-up descriptor readable, any thread; and unreadable. */
void ipmpi_taskdb_wake(int wake_fd);
void ipmpi_taskdb_calm(int wake_fd);

/* Finds records in the store alone and calls back at once. */
void ipmpi_taskdb_fetch_stored(struct ipmpi_taskdb *db,
                               const char *const *msg_ids, size_t n,
                               uint32_t fields, ipmpi_taskdb_records_fn *done,
                               void *arg);

#endif

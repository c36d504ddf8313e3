/* The back end that keeps nothing: ids and whether they are decided, so that
 * the status of a task can still be told. */
#include "bridge/hub/taskdb_ops.h"

#include <stdlib.h>

#include "runtime/base/error.h"

/* Decided ids that are remembered; each costs half a KiB. */
#define DECIDED_LIMIT 16384

static void no_data(struct ipmpi_hub_error *error)
{
    ipmpi_hub_error_key(error,
                        "NoDB backend doesn't store any data. Start the "
                        "Controller with a DB backend to enable resubmission "
                        "/ result persistence.");
}

static void destroy(struct ipmpi_taskdb *db)
{
    ipmpi_taskdb_fini(db);
    free(db);
}

/* A pending task has no result that could be missed; everything else that is
 * more than a status was not kept. */
static void fetch(struct ipmpi_taskdb *db, const char *const *msg_ids, size_t n,
                  uint32_t fields, ipmpi_taskdb_records_fn *done, void *arg)
{
    struct ipmpi_hub_error error;

    for (size_t i = 0; i < n; i++) {
        const struct ipmpi_record *record = ipmpi_taskdb_get(db, msg_ids[i]);

        if (record == NULL || (fields & ~IPMPI_FETCH_STATUS) == 0 ||
            (!ipmpi_record_is_decided(record) &&
             (fields & IPMPI_FIELD_BIT(CONTENT)) == 0))
            continue;
        no_data(&error);
        done(arg, &error, NULL, 0);
        return;
    }
    ipmpi_taskdb_fetch_stored(db, msg_ids, n, fields, done, arg);
}

static void query(struct ipmpi_taskdb *db, struct ipmpi_query **compiled,
                  uint32_t fields, ipmpi_taskdb_reply_fn *done, void *arg)
{
    struct ipmpi_hub_error error;

    (void)db;
    (void)fields;
    ipmpi_query_destroy(compiled);
    no_data(&error);
    done(arg, &error, NULL, NULL);
}

static void history(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                    void *arg)
{
    struct ipmpi_hub_error error;

    (void)db;
    no_data(&error);
    done(arg, &error, NULL, NULL);
}

static const struct ipmpi_taskdb_ops ops = {
    .ids_only = true,
    .destroy = destroy,
    .fetch = fetch,
    .query = query,
    .history = history,
};

int ipmpi_taskdb_none_open(const struct ipmpi_taskdb_options *options,
                           struct ipmpi_taskdb **db_out)
{
    struct ipmpi_taskdb *db = calloc(1, sizeof(*db));
    int err;

    (void)options;
    if (db == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_taskdb_init(db, &ops, DECIDED_LIMIT, SIZE_MAX);
    if (err != 0) {
        free(db);
        return err;
    }
    *db_out = db;
    return 0;
}

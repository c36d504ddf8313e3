/* The back end in memory. A query walks over the store in slices, one a turn
 * of the loop, so that no number of records blocks it; records that arrive
 * during the walk are not visited, those that leave are skipped. */
#include "bridge/hub/taskdb_ops.h"

#include <stdlib.h>

#include <utlist.h>

#include "bridge/hub/answer.h"
#include "bridge/hub/history.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

#define SLICE_US 2000 /* how long one turn may work on queries */

struct job {
    struct ipmpi_query *query;
    struct ipmpi_store_walk walk;
    struct ipmpi_answer answer;
    ipmpi_taskdb_reply_fn *done;
    void *arg;
    struct job *prev, *next;
};

struct memory_db {
    struct ipmpi_taskdb base;
    struct job *jobs; /* unfinished, oldest first */
};

static struct memory_db *self(struct ipmpi_taskdb *db)
{
    return (struct memory_db *)db;
}

static void free_job(struct memory_db *m, struct job *job)
{
    ipmpi_store_walk_end(&m->base.store, &job->walk);
    ipmpi_query_destroy(&job->query);
    ipmpi_answer_clear(&job->answer);
    free(job);
}

static void destroy(struct ipmpi_taskdb *db)
{
    struct memory_db *m = self(db);
    struct job *job, *next;

    DL_FOREACH_SAFE (m->jobs, job, next)
        free_job(m, job);
    ipmpi_taskdb_fini(db);
    free(m);
}

/* Gives the answer, or the error that err stands for, and frees the job,
 * which is in no list. */
static void finish(struct memory_db *m, struct job *job, int err)
{
    struct ipmpi_hub_error error;
    struct ipmpi_frame content = {0};

    if (err == 0)
        err = ipmpi_answer_finish(&job->answer, &content);
    if (err == 0) {
        job->done(job->arg, NULL, &content, &job->answer.buffers);
    } else {
        ipmpi_answer_error(err, &error);
        job->done(job->arg, &error, NULL, NULL);
    }
    ipmpi_buffer_release(&content.owner);
    free_job(m, job);
}

static int visit(struct job *job, const struct ipmpi_record *record)
{
    if (!ipmpi_query_matches(job->query, record))
        return 0;
    return ipmpi_answer_add(&job->answer, record);
}

/* Walks until the end (IPMPI_EEMPTY), a failure, or the deadline (0). */
static int walk(struct job *job, int64_t deadline_us)
{
    int err;

    while (job->walk.at != NULL) {
        err = visit(job, job->walk.at);
        if (err != 0)
            return err;
        ipmpi_store_walk_step(&job->walk);
        if (ipmpi_clock_now_us() >= deadline_us)
            return 0;
    }
    return IPMPI_EEMPTY;
}

static int by_seq(const void *a, const void *b)
{
    const struct ipmpi_record *x = *(struct ipmpi_record *const *)a;
    const struct ipmpi_record *y = *(struct ipmpi_record *const *)b;

    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Visits the records with these ids only, in order of arrival. */
static int visit_ids(struct memory_db *m, struct job *job, const json_t *ids)
{
    const size_t n = json_array_size(ids);
    struct ipmpi_record **found = calloc(n + 1, sizeof(*found));
    size_t nfound = 0;
    int err = 0;

    if (found == NULL)
        return IPMPI_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(ids, i);

        if (json_is_string(id))
            found[nfound] = ipmpi_store_find(
                &m->base.store, json_string_value(id), json_string_length(id));
        nfound += found[nfound] != NULL;
    }
    qsort(found, nfound, sizeof(*found), by_seq);
    for (size_t i = 0; i < nfound && err == 0; i++)
        if (i == 0 || found[i] != found[i - 1]) /* an id may come twice */
            err = visit(job, found[i]);
    free(found);
    return err;
}

static void query(struct ipmpi_taskdb *db, struct ipmpi_query **compiled,
                  uint32_t fields, ipmpi_taskdb_reply_fn *done, void *arg)
{
    struct memory_db *m = self(db);
    struct job *job = calloc(1, sizeof(*job));
    struct ipmpi_hub_error error;
    const json_t *ids;
    int err;

    if (job == NULL) {
        ipmpi_query_destroy(compiled);
        ipmpi_hub_error_from(&error, IPMPI_ENOMEM);
        done(arg, &error, NULL, NULL);
        return;
    }
    *job = (struct job){.query = *compiled, .done = done, .arg = arg};
    *compiled = NULL;
    job->answer.fields = fields;
    ipmpi_store_walk_begin(&db->store, &job->walk);
    if (ipmpi_query_ids(job->query, &ids)) {
        finish(m, job, visit_ids(m, job, ids));
        return;
    }
    err = walk(job, ipmpi_clock_now_us() + SLICE_US);
    if (err != 0) {
        finish(m, job, err == IPMPI_EEMPTY ? 0 : err);
        return;
    }
    DL_APPEND(m->jobs, job);
    ipmpi_taskdb_wake(db->wake_fd);
}

/* One slice of the oldest query. */
static void poll_jobs(struct ipmpi_taskdb *db)
{
    struct memory_db *m = self(db);
    struct job *job = m->jobs;
    int err;

    if (job == NULL)
        return;
    ipmpi_taskdb_calm(db->wake_fd);
    err = walk(job, ipmpi_clock_now_us() + SLICE_US);
    if (err != 0) {
        DL_DELETE(m->jobs, job);
        finish(m, job, err == IPMPI_EEMPTY ? 0 : err);
    }
    if (m->jobs != NULL)
        ipmpi_taskdb_wake(db->wake_fd);
}

static void history(struct ipmpi_taskdb *db, ipmpi_taskdb_reply_fn *done,
                    void *arg)
{
    struct ipmpi_history list = {0};
    struct ipmpi_hub_error error;
    struct ipmpi_frame content = {0};
    struct ipmpi_frames none = {0};
    const struct ipmpi_record *record;
    int err = 0;

    DL_FOREACH (db->store.first, record) {
        err = ipmpi_history_add(&list, record->msg_id.data, record->msg_id.len,
                                record->submitted_us);
        if (err != 0)
            break;
    }
    if (err == 0)
        err = ipmpi_history_finish(&list, &content);
    ipmpi_history_clear(&list);
    if (err == 0) {
        done(arg, NULL, &content, &none);
        ipmpi_frames_clear(&none);
    } else {
        ipmpi_hub_error_from(&error, err);
        done(arg, &error, NULL, NULL);
    }
    ipmpi_buffer_release(&content.owner);
}

static const struct ipmpi_taskdb_ops ops = {
    .destroy = destroy,
    .fetch = ipmpi_taskdb_fetch_stored,
    .query = query,
    .history = history,
    .poll = poll_jobs,
};

int ipmpi_taskdb_memory_open(const struct ipmpi_taskdb_options *options,
                             struct ipmpi_taskdb **db_out)
{
    struct memory_db *m = calloc(1, sizeof(*m));
    int err;

    if (m == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_taskdb_init(&m->base, &ops, options->record_limit,
                            options->size_limit);
    if (err != 0) {
        free(m);
        return err;
    }
    *db_out = &m->base;
    return 0;
}

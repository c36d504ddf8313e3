/* The writer's thread.
 *
 * Note [refusal]. A disk may be full, read-only or locked for a while. What
 * was posted then stays in memory and is tried again every two seconds;
 * questions are answered with an error at once; nobody waits. Past HELD_MAX
 * the oldest changes are given up, which is logged and counted.
 *
 * Note [stuck]. A disk may also never answer (a file server that is gone), and
 * then the thread does not come back from a write. The loop sees that one has
 * taken too long and does what note [refusal] says, but that of the changes it
 * is the new ones that are given up. */
#include "bridge/hub/writer.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "bridge/hub/dirty.h"
#include "bridge/hub/lost.h"
#include "bridge/hub/questions.h"
#include "bridge/hub/taskdb_ops.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

#define COMMIT_US   2000000
#define CLOSE_S     4
#define DIRTY_MAX   ((size_t)16 << 20)  /* written at once past this */
#define HELD_MAX    ((size_t)256 << 20) /* behind past this */
#define OP_OVERHEAD 512

struct ipmpi_writer {
    struct ipmpi_table *table;        /* the thread's, once it runs */
    struct ipmpi_dirty dirty;         /* the thread's */
    int64_t due_us;                   /* the thread's: when to write */
    bool decided_lost;                /* the thread's */
    struct ipmpi_log_limit log_limit; /* the thread's */
    int wake_fd;
    pthread_t thread;
    atomic_size_t queued_bytes, dirty_bytes;
    atomic_uint_fast64_t lost;
    atomic_bool stop, failing;
    atomic_int_least64_t busy_since_us; /* 0: the thread does not write */
    int64_t stuck_us;                   /* constant: see note [stuck] */
    atomic_bool told_behind;            /* the loop waits for us to catch up */
    atomic_uint wakes;                  /* grows after each */
    /* Guards what follows. */
    pthread_mutex_t mutex;
    pthread_cond_t posted, finished;
    bool is_finished; /* the thread touches nothing any more */
    struct ipmpi_op *queue, *answered;
    struct ipmpi_log_limit stuck_limit; /* the loop's */
};

void ipmpi_op_destroy(struct ipmpi_op **op)
{
    struct ipmpi_op *o = *op;

    *op = NULL;
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->n; i++) {
        free(o->ids[i]);
        ipmpi_record_release(&o->records[i]);
    }
    free(o->ids);
    free(o->records);
    ipmpi_record_release(&o->record);
    ipmpi_query_destroy(&o->query);
    ipmpi_answer_clear(&o->answer);
    ipmpi_buffer_release(&o->content.owner);
    free(o);
}

/* What the loop shall see is there before it is woken, and the count grows
 * afterwards: when the loop sees the count, it can calm the descriptor. */
static void wake_loop(struct ipmpi_writer *w)
{
    ipmpi_taskdb_wake(w->wake_fd);
    atomic_fetch_add(&w->wakes, 1);
}

static bool is_stuck(const struct ipmpi_writer *w)
{
    const int64_t since_us = atomic_load(&w->busy_since_us);

    return since_us != 0 && ipmpi_clock_now_us() - since_us > w->stuck_us;
}

static bool holds_too_much(const struct ipmpi_writer *w)
{
    return !atomic_load(&w->failing) && !is_stuck(w) &&
           ipmpi_writer_held_bytes(w) > HELD_MAX;
}

/* After anything that may end being behind. */
static void note_progress(struct ipmpi_writer *w)
{
    atomic_store(&w->dirty_bytes, w->dirty.bytes);
    if (!holds_too_much(w) && atomic_exchange(&w->told_behind, false))
        wake_loop(w);
}

/* Gives up what is too much; see note [refusal]. */
static void give_up(struct ipmpi_writer *w)
{
    size_t n;

    if (w->dirty.bytes <= HELD_MAX)
        return;
    n = ipmpi_dirty_forget(&w->dirty, HELD_MAX / 2);
    atomic_fetch_add(&w->lost, n);
    ipmpi_log_error("TASKDB-LOSS",
                    "the changes of %zu tasks were given up: the task "
                    "database could not be written for too long",
                    n);
}

/* Before anything of this controller is written, what an earlier one left
 * undecided is decided: later it could not be told apart. While another
 * controller has the file open, it may be what that one is working on, and
 * waits for one that starts alone. */
static int write_changes(struct ipmpi_writer *w)
{
    if (!w->decided_lost && ipmpi_table_is_alone(w->table)) {
        const int err = ipmpi_lost_decide(w->table);

        if (err != 0)
            return err;
        w->decided_lost = true;
    }
    return ipmpi_dirty_flush(&w->dirty, w->table);
}

/* Writes all changes. On failure they stay, and are due again later. */
static int flush(struct ipmpi_writer *w)
{
    int err;

    atomic_store(&w->busy_since_us, ipmpi_clock_now_us());
    err = write_changes(w);
    atomic_store(&w->busy_since_us, 0);
    if (err != 0) {
        ipmpi_log_limited(&w->log_limit, IPMPI_LOG_ERROR, "TASKDB-WRITE",
                          "cannot write the task database: %s; trying again "
                          "every 2 s",
                          ipmpi_table_message(w->table));
        w->due_us = ipmpi_clock_now_us() + COMMIT_US;
        give_up(w);
    } else if (atomic_load(&w->failing)) {
        ipmpi_log_info("TASKDB-WRITE", "the task database is written again");
    }
    atomic_store(&w->failing, err != 0);
    note_progress(w);
    return err;
}

static int merge(struct ipmpi_writer *w, const struct ipmpi_op *op)
{
    const struct ipmpi_record *record = op->record;

    switch (op->kind) {
    case IPMPI_WRITE_INSERT:
        return ipmpi_dirty_merge(&w->dirty, record, IPMPI_ALL_FIELDS, true);
    case IPMPI_WRITE_UPDATE:
        return ipmpi_dirty_merge(&w->dirty, record, op->fields, false);
    case IPMPI_WRITE_DELETE:
        return ipmpi_dirty_delete(&w->dirty, record->msg_id.data,
                                  record->msg_id.len);
    default:
        return ipmpi_dirty_sweep(&w->dirty,
                                 (const char *)record->engine_uuid.data);
    }
}

static void change(struct ipmpi_writer *w, struct ipmpi_op *op)
{
    if (ipmpi_dirty_is_empty(&w->dirty))
        w->due_us = ipmpi_clock_now_us() + COMMIT_US;
    if (merge(w, op) != 0) {
        atomic_fetch_add(&w->lost, 1);
        ipmpi_log_limited(&w->log_limit, IPMPI_LOG_ERROR, "TASKDB-LOSS",
                          "out of memory; a change of a task was not kept");
    }
    /* Held in both places rather than in none. */
    atomic_store(&w->dirty_bytes, w->dirty.bytes);
    atomic_fetch_sub(&w->queued_bytes, op->bytes);
    ipmpi_op_destroy(&op);
    if (atomic_load(&w->failing))
        give_up(w);
    else if (w->dirty.bytes > DIRTY_MAX)
        flush(w);
    note_progress(w);
}

static void question(struct ipmpi_writer *w, struct ipmpi_op *op)
{
    const int err = flush(w);

    if (err != 0)
        ipmpi_question_refuse(op, err, w->table);
    else
        ipmpi_question_answer(op, w->table, &w->stop);
    ipmpi_table_rollback(w->table);
    atomic_fetch_sub(&w->queued_bytes, op->bytes);
    pthread_mutex_lock(&w->mutex);
    DL_APPEND(w->answered, op);
    pthread_mutex_unlock(&w->mutex);
    wake_loop(w);
}

/* Waits until there is something to do; takes one operation, if that is it. */
static struct ipmpi_op *next_op(struct ipmpi_writer *w)
{
    const bool dirty = !ipmpi_dirty_is_empty(&w->dirty);
    const struct timespec due = {.tv_sec = w->due_us / 1000000,
                                 .tv_nsec = w->due_us % 1000000 * 1000};
    struct ipmpi_op *op;
    int rc = 0;

    pthread_mutex_lock(&w->mutex);
    while (w->queue == NULL && !atomic_load(&w->stop) && rc == 0)
        rc = dirty ? pthread_cond_timedwait(&w->posted, &w->mutex, &due)
                   : pthread_cond_wait(&w->posted, &w->mutex);
    op = w->queue;
    if (op != NULL)
        DL_DELETE(w->queue, op);
    pthread_mutex_unlock(&w->mutex);
    return op;
}

/* One operation, or one write that is due. */
static void turn(struct ipmpi_writer *w, struct ipmpi_op *op)
{
    if (op != NULL && op->kind >= IPMPI_WRITE_QUERY)
        question(w, op);
    else if (op != NULL)
        change(w, op);
    if (!ipmpi_dirty_is_empty(&w->dirty) && ipmpi_clock_now_us() >= w->due_us)
        flush(w);
    ipmpi_table_rollback(w->table);
}

static void *run(void *arg)
{
    struct ipmpi_writer *w = arg;
    struct ipmpi_op *op;

    pthread_setname_np(pthread_self(), "ipmpi-taskdb");
    flush(w);
    do {
        op = next_op(w);
        turn(w, op);
    } while (op != NULL || !atomic_load(&w->stop));
    if (flush(w) != 0) {
        const size_t n = ipmpi_dirty_clear(&w->dirty);

        ipmpi_log_error("TASKDB-LOSS",
                        "the changes of %zu tasks are not in the task "
                        "database",
                        n);
    }
    ipmpi_table_close(&w->table);
    pthread_mutex_lock(&w->mutex);
    w->is_finished = true;
    pthread_cond_signal(&w->finished);
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static void init_locks(struct ipmpi_writer *w)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->posted, &attr);
    pthread_cond_init(&w->finished, &attr);
    pthread_condattr_destroy(&attr);
}

static void free_writer(struct ipmpi_writer *w)
{
    struct ipmpi_op *op, *next;

    DL_FOREACH_SAFE (w->queue, op, next)
        ipmpi_op_destroy(&op);
    DL_FOREACH_SAFE (w->answered, op, next)
        ipmpi_op_destroy(&op);
    pthread_cond_destroy(&w->posted);
    pthread_cond_destroy(&w->finished);
    pthread_mutex_destroy(&w->mutex);
    ipmpi_table_close(&w->table);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    free(w);
}

/* Signals are for the loop's thread. */
static int start_thread(struct ipmpi_writer *w)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : IPMPI_ESYS;
}

int ipmpi_writer_open(const char *path, int wake_fd, int64_t stuck_us,
                      struct ipmpi_writer **writer_out)
{
    struct ipmpi_writer *w = calloc(1, sizeof(*w));
    int err;

    if (w == NULL)
        return IPMPI_ENOMEM;
    init_locks(w);
    w->stuck_us = stuck_us;
    /* Its own, for a thread that is left behind. */
    w->wake_fd = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0);
    err = w->wake_fd >= 0 ? ipmpi_table_open(path, &w->table) : IPMPI_ESYS;
    if (err == 0)
        err = start_thread(w);
    if (err != 0) {
        free_writer(w);
        return err;
    }
    *writer_out = w;
    return 0;
}

/* Tells the thread to end; whether it did in time. */
static bool stop_thread(struct ipmpi_writer *w)
{
    struct timespec until;
    bool is_finished;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CLOSE_S;
    pthread_mutex_lock(&w->mutex);
    atomic_store(&w->stop, true);
    pthread_cond_signal(&w->posted);
    while (!w->is_finished && rc == 0)
        rc = pthread_cond_timedwait(&w->finished, &w->mutex, &until);
    is_finished = w->is_finished;
    pthread_mutex_unlock(&w->mutex);
    return is_finished;
}

void ipmpi_writer_close(struct ipmpi_writer **writer)
{
    struct ipmpi_writer *w = *writer;

    *writer = NULL;
    if (stop_thread(w)) {
        pthread_join(w->thread, NULL);
        free_writer(w);
        return;
    }
    ipmpi_log_error("TASKDB-CLOSE",
                    "the task database is still being written after %d s; "
                    "left behind",
                    CLOSE_S);
    pthread_detach(w->thread);
}

/* In the place of a thread that is stuck; see there. */
static bool refuse(struct ipmpi_writer *w, struct ipmpi_op *op)
{
    if (op->kind >= IPMPI_WRITE_QUERY) {
        ipmpi_hub_error_set(&op->error, "OperationalError",
                            "the disk of the task database does not answer");
        pthread_mutex_lock(&w->mutex);
        DL_APPEND(w->answered, op);
        pthread_mutex_unlock(&w->mutex);
        wake_loop(w);
        return true;
    }
    if (ipmpi_writer_held_bytes(w) <= HELD_MAX)
        return false;
    atomic_fetch_add(&w->lost, 1);
    ipmpi_log_limited(&w->stuck_limit, IPMPI_LOG_ERROR, "TASKDB-STUCK",
                      "the disk of the task database does not answer; "
                      "changes of tasks are not kept");
    ipmpi_op_destroy(&op);
    return true;
}

void ipmpi_writer_post(struct ipmpi_writer *writer, struct ipmpi_op **op)
{
    struct ipmpi_op *o = *op;

    *op = NULL;
    if (is_stuck(writer) && refuse(writer, o))
        return;
    o->bytes = OP_OVERHEAD;
    if (o->record != NULL)
        o->bytes += ipmpi_record_bytes(o->record);
    atomic_fetch_add(&writer->queued_bytes, o->bytes);
    pthread_mutex_lock(&writer->mutex);
    DL_APPEND(writer->queue, o);
    pthread_cond_signal(&writer->posted);
    pthread_mutex_unlock(&writer->mutex);
}

struct ipmpi_op *ipmpi_writer_take(struct ipmpi_writer *writer)
{
    struct ipmpi_op *op;

    pthread_mutex_lock(&writer->mutex);
    op = writer->answered;
    if (op != NULL)
        DL_DELETE(writer->answered, op);
    pthread_mutex_unlock(&writer->mutex);
    return op;
}

size_t ipmpi_writer_held_bytes(const struct ipmpi_writer *writer)
{
    return atomic_load(&writer->queued_bytes) +
           atomic_load(&writer->dirty_bytes);
}

bool ipmpi_writer_is_behind(struct ipmpi_writer *writer)
{
    if (!holds_too_much(writer))
        return false;
    /* Tell first, look again: either the thread sees it, or we see that it
     * has caught up. */
    atomic_store(&writer->told_behind, true);
    return holds_too_much(writer);
}

unsigned ipmpi_writer_wakes(const struct ipmpi_writer *writer)
{
    return atomic_load(&writer->wakes);
}

uint64_t ipmpi_writer_lost(const struct ipmpi_writer *writer)
{
    return atomic_load(&writer->lost);
}

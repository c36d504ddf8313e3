/* SQLite on a disk that is full, hangs, is slow, or is held by another: nobody
 * waits for it, and what is held meanwhile is bounded. */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/bridge/hub/asking.h"
#include "tests/bridge/hub/sqlite_file.h"

/* A file server that is gone: SQLite's writes do not return while it hangs. */
static atomic_bool disk_hangs;

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    while (atomic_load(&disk_hangs))
        poll(NULL, 0, 1);
    return syscall(SYS_pwrite64, fd, data, len, at);
}

static void limit_files_to(rlim_t bytes)
{
    struct rlimit limit;

    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A file size limit stands for a full disk. */
static void a_full_disk_is_an_error_then_forgiven(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    struct ipmpi_taskdb_stats stats;
    const char *const ids[] = {"a", "nope"};
    struct asked asked;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(add_task(db, "a", T0_US, NULL, 100), 0);
    asked = ask_history(db);
    CHECK_IDS(asked, "a");
    limit_files_to(64 << 10);
    CHECK_EQ(add_task(db, "b", T0_US + 1, NULL, 1 << 20), 0);
    CHECK_EQ(decide_task(db, "a", "e", 100), 0);
    asked = ask_history(db);
    CHECK_STR(asked.error.ename, "OperationalError");
    asked = ask(db, "{}", NULL);
    CHECK_STR(asked.error.ename, "OperationalError");
    asked = fetch(db, ids, 2, IPMPI_FETCH_RESULT);
    CHECK_STR(asked.error.ename, "OperationalError");
    asked = fetch(db, ids, 1, IPMPI_FETCH_RESULT); /* in memory */
    CHECK(ipmpi_record_is_decided(asked.records[0]));
    forget(&asked);
    CHECK(!ipmpi_taskdb_is_behind(db));
    limit_files_to(RLIM_INFINITY);
    asked = ask(db, "{\"completed\": {\"$ne\": null}}", NULL);
    CHECK_IDS(asked, "a");
    asked = ask_history(db);
    CHECK_IDS(asked, "a b");
    ipmpi_taskdb_stats(db, &stats);
    CHECK_EQ(stats.writes_lost, 0);
    ipmpi_taskdb_destroy(&db);
}

/* Far more than may be held: it is given up, not waited for. */
static void a_disk_that_stays_full_costs_the_oldest(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;
    struct ipmpi_taskdb_stats stats;
    struct asked asked;
    char msg_id[16];
    int n = 0;

    (void)state;
    limit_files_to(64 << 10);
    CHECK_EQ(add_task(db, "first", T0_US, NULL, 1 << 20), 0);
    asked = ask_history(db);
    CHECK_STR(asked.error.ename, "OperationalError");
    do {
        CHECK(ipmpi_clock_now_us() < deadline);
        snprintf(msg_id, sizeof(msg_id), "t%d", n++);
        CHECK_EQ(add_task(db, msg_id, T0_US, NULL, 8 << 20), 0);
        CHECK_EQ(decide_task(db, msg_id, "e", 0), 0);
        CHECK(!ipmpi_taskdb_is_behind(db));
        ipmpi_taskdb_stats(db, &stats);
    } while (stats.writes_lost == 0);
    CHECK(stats.bytes <= 66 << 20); /* the cache is bounded, too */
    limit_files_to(RLIM_INFINITY);
    asked = ask(db, "{\"msg_id\": \"first\"}", NULL);
    CHECK_IDS(asked, ""); /* the oldest is what went */
    ipmpi_taskdb_destroy(&db);
}

/* Nothing returns from the disk: nobody waits for it, what is too much is
 * given up, and when it answers again all is as before. */
static void a_disk_that_hangs_stops_nobody(void **state)
{
    const struct ipmpi_taskdb_options options = {
        .kind = IPMPI_TASKDB_SQLITE, .path = path, .stuck_us = 100 * 1000};
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;
    struct ipmpi_taskdb_stats stats;
    struct ipmpi_taskdb *db;
    struct asked asked;
    char msg_id[16];
    int n = 0;

    (void)state;
    CHECK_EQ(ipmpi_taskdb_open(&options, &db), 0);
    CHECK_EQ(add_task(db, "first", T0_US, NULL, 100), 0);
    asked = ask_history(db);
    CHECK_IDS(asked, "first");
    atomic_store(&disk_hangs, true);
    do {
        CHECK(ipmpi_clock_now_us() < deadline);
        snprintf(msg_id, sizeof(msg_id), "t%d", n++);
        CHECK_EQ(add_task(db, msg_id, T0_US, NULL, 8 << 20), 0);
        CHECK_EQ(decide_task(db, msg_id, "e", 0), 0);
        while (ipmpi_taskdb_is_behind(db)) /* until it is seen to be stuck */
            CHECK(ipmpi_clock_now_us() < deadline);
        ipmpi_taskdb_stats(db, &stats);
    } while (stats.writes_lost == 0);
    asked = ask_history(db);
    CHECK_STR(asked.error.ename, "OperationalError");
    CHECK(!ipmpi_taskdb_is_behind(db));
    atomic_store(&disk_hangs, false);
    do { /* it has much to write first */
        CHECK(ipmpi_clock_now_us() < deadline + 2 * DEADLINE_US);
        asked = ask(db, "{\"msg_id\": \"first\"}", NULL);
    } while (asked.error.ename != NULL);
    CHECK_IDS(asked, "first");
    ipmpi_taskdb_destroy(&db);
}

/* Faster than the disk: when the writer has caught up, it wakes the loop. */
static void behind_ends_with_a_wake_up(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;
    struct pollfd fd = {.fd = ipmpi_taskdb_fd(db), .events = POLLIN};
    struct asked asked;
    char msg_id[16];
    int n = 0;

    (void)state;
    while (!ipmpi_taskdb_is_behind(db)) {
        CHECK(ipmpi_clock_now_us() < deadline);
        snprintf(msg_id, sizeof(msg_id), "t%d", n++);
        CHECK_EQ(add_task(db, msg_id, T0_US, NULL, 64 << 20), 0);
        CHECK_EQ(decide_task(db, msg_id, "e", 0), 0);
    }
    CHECK_EQ(poll(&fd, 1, DEADLINE_US / 1000), 1);
    while (poll(&fd, 1, 0) == 1) { /* poll calms it */
        CHECK(ipmpi_clock_now_us() < deadline + DEADLINE_US);
        ipmpi_taskdb_poll(db);
    }
    CHECK(!ipmpi_taskdb_is_behind(db));
    /* Answered after all that was queued: destroy would leave a writer behind
     * that a slow disk keeps busy for longer than it waits. */
    asked = ask_history(db);
    CHECK(asked.error.ename == NULL);
    forget(&asked);
    ipmpi_taskdb_destroy(&db);
}

/* Another process holds the file for a while. */
static void a_lock_is_waited_for(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    sqlite3 *file;
    struct asked asked;

    (void)state;
    CHECK_EQ(sqlite3_open(path, &file), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(file, "BEGIN EXCLUSIVE", NULL, NULL, NULL), 0);
    CHECK_EQ(add_task(db, "a", T0_US, NULL, 100), 0);
    asked = ask_history(db);
    CHECK_STR(asked.error.ename, "OperationalError");
    CHECK(strstr(asked.error.evalue, "locked") != NULL);
    CHECK_EQ(sqlite3_close(file), SQLITE_OK);
    asked = ask_history(db);
    CHECK_IDS(asked, "a");
    ipmpi_taskdb_destroy(&db);
}

/* Nothing but time makes the writer write. */
static void changes_are_written_within_seconds(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;
    const struct timespec pause = {.tv_nsec = 20000000};

    (void)state;
    CHECK_EQ(add_task(db, "a", T0_US, NULL, 100), 0);
    while (strcmp(sql("SELECT msg_id FROM 'ipython-tasks'"), "a") != 0) {
        CHECK(ipmpi_clock_now_us() < deadline);
        nanosleep(&pause, NULL);
    }
    ipmpi_taskdb_destroy(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_full_disk_is_an_error_then_forgiven),
        EACH(a_disk_that_stays_full_costs_the_oldest),
        EACH(a_disk_that_hangs_stops_nobody),
        EACH(behind_ends_with_a_wake_up),
        EACH(a_lock_is_waited_for),
        EACH(changes_are_written_within_seconds),
    };

    return run_in_dir(tests, sizeof(tests) / sizeof(tests[0]));
}

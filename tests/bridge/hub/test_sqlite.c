/* What only the SQLite back end has: a file that outlives its controller, and
 * a disk that refuses. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bridge/hub/taskdb.h"

#include "tests/bridge/hub/asking.h"

/* A file server that is gone: SQLite's writes do not return while it hangs. */
static atomic_bool disk_hangs;

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    while (atomic_load(&disk_hangs))
        poll(NULL, 0, 1);
    return syscall(SYS_pwrite64, fd, data, len, at);
}

static char dir[] = "/tmp/ipmpi-test-sqlite-XXXXXX";
static char path[64];

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/tasks.db", dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static int try_open(struct ipmpi_taskdb **db_out)
{
    return ipmpi_taskdb_open(
        &(struct ipmpi_taskdb_options){.kind = IPMPI_TASKDB_SQLITE,
                                       .path = path},
        db_out);
}

static struct ipmpi_taskdb *open_db(void)
{
    struct ipmpi_taskdb *db = NULL;

    CHECK_EQ(try_open(&db), 0);
    return db;
}

/* Runs SQL on the file; the first column of the first row, or "". */
static const char *sql(const char *text)
{
    static char result[256];
    sqlite3 *file;
    sqlite3_stmt *stmt;

    CHECK_EQ(sqlite3_open(path, &file), SQLITE_OK);
    sqlite3_busy_timeout(file, 5000);
    if (sqlite3_prepare_v2(file, text, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(file));
    result[0] = '\0';
    if (sqlite3_step(stmt) == SQLITE_ROW &&
        sqlite3_column_text(stmt, 0) != NULL)
        snprintf(result, sizeof(result), "%s", sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    sqlite3_close(file);
    return result;
}

static const char *text_of(const struct ipmpi_frame *frame)
{
    return frame->data != NULL ? (const char *)frame->data : "(null)";
}

static void results_outlive_the_controller(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    const char *const ids[] = {"a", "nope", "b"};
    struct stat st;
    struct asked asked;

    (void)state;
    CHECK_EQ(add_task(db, "a", T0_US, "label", 1000), 0);
    CHECK_EQ(add_task(db, "b", T0_US + 1000000, NULL, 10), 0);
    output(db, "a", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stdout\", \"text\": \"one\"}");
    CHECK_EQ(decide_task(db, "a", "e1", 300), 0);
    CHECK_EQ(decide_task(db, "b", "e2", 3), 0);
    ipmpi_taskdb_destroy(&db);

    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    db = open_db();
    CHECK(ipmpi_taskdb_get(db, "a") == NULL);
    output(db, "a", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stdout\", \"text\": \" two\"}");
    asked = fetch(db, ids, 3, IPMPI_FETCH_RESULT);
    CHECK_EQ(asked.nrecords, 3);
    CHECK(asked.records[1] == NULL);
    CHECK_STR(ipmpi_record_id(asked.records[2]), "b");
    CHECK_EQ(asked.records[0]->out.len, 7);
    CHECK_MEM(asked.records[0]->out.data, "one two", 7);
    CHECK_EQ(asked.records[0]->completed_us, T0_US + 2000000);
    CHECK_EQ(asked.records[0]->result_buffers.n, 1);
    CHECK_EQ(asked.records[0]->result_buffers.at[0].len, 300);
    CHECK(ipmpi_record_result_has_buffers(asked.records[0]));
    CHECK_STR(text_of(&asked.records[0]->label), "label");
    forget(&asked);
    asked = fetch(db, ids, 1, IPMPI_FETCH_REQUEST);
    CHECK_EQ(asked.records[0]->buffers.n, 1);
    CHECK_EQ(asked.records[0]->buffers.at[0].len, 1000);
    CHECK_STR(text_of(&asked.records[0]->content), "{\"a\": 5}");
    forget(&asked);
    CHECK_EQ(add_task(db, "c", T0_US - 1, NULL, 1), 0);
    asked = ask_history(db);
    CHECK_IDS(asked, "c a b");
    asked = ask(db, "{\"label\": null}", NULL);
    CHECK_IDS(asked, "b c");
    CHECK_EQ(ipmpi_taskdb_drop_decided(db, "e1"), 0);
    CHECK_EQ(ipmpi_taskdb_drop(db, ids, 3), 0);
    asked = ask(db, "{}", NULL);
    CHECK_IDS(asked, "c");
    ipmpi_taskdb_destroy(&db);
}

/* What was pending when the controller ended will never be decided. */
static void lost_tasks_become_errors(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    const char *const ids[] = {"p"};
    struct asked asked;

    (void)state;
    CHECK_EQ(add_task(db, "p", T0_US, NULL, 10), 0);
    ipmpi_taskdb_destroy(&db);
    CHECK_STR(sql("SELECT completed IS NULL FROM 'ipython-tasks'"), "1");
    db = open_db();
    asked = fetch(db, ids, 1, IPMPI_FETCH_RESULT);
    CHECK(ipmpi_record_is_decided(asked.records[0]));
    CHECK(strstr(text_of(&asked.records[0]->result_header),
                 "\"msg_type\":\"apply_reply\"") != NULL);
    CHECK(strstr(text_of(&asked.records[0]->result_content),
                 "\"ename\":\"EngineError\"") != NULL);
    CHECK_MEM(text_of(&asked.records[0]->result_metadata), "{\"", 2);
    CHECK_EQ(asked.records[0]->received_us, asked.records[0]->completed_us);
    forget(&asked);
    CHECK_EQ(add_task(db, "q", T0_US, NULL, 10), 0);
    asked = ask(db, "{\"completed\": null}", NULL);
    CHECK_IDS(asked, "q"); /* but not those of this controller */
    ipmpi_taskdb_destroy(&db);
}

/* Several controllers of one profile share the file, each with tasks that it
 * is working on. */
static void tasks_of_a_living_controller_are_not_lost(void **state)
{
    struct ipmpi_taskdb *first = open_db(), *second;
    struct asked asked;

    (void)state;
    CHECK_EQ(add_task(first, "p", T0_US, NULL, 10), 0);
    asked = ask_to_settle(first);
    forget(&asked);
    second = open_db();
    CHECK_EQ(add_task(second, "q", T0_US + 1, NULL, 10), 0);
    asked = ask(second, "{\"completed\": null}", NULL);
    CHECK_IDS(asked, "p q");
    ipmpi_taskdb_destroy(&first);
    ipmpi_taskdb_destroy(&second);
    second = open_db(); /* alone: nobody will decide them now */
    asked = ask(second, "{\"completed\": null}", NULL);
    CHECK_IDS(asked, "");
    ipmpi_taskdb_destroy(&second);
}

/* Whoever else reads the file finds no more what was said to be gone. */
static void what_is_settled_is_in_the_file(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    const char *const ids[] = {"a", "b", "c"};
    struct asked asked;

    (void)state;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(add_task(db, ids[i], T0_US, NULL, 10), 0);
        CHECK_EQ(decide_task(db, ids[i], i == 0 ? "e1" : "e2", 3), 0);
    }
    asked = ask_to_settle(db);
    forget(&asked);
    CHECK_STR(sql("SELECT count(*) FROM 'ipython-tasks'"), "3");
    CHECK_EQ(ipmpi_taskdb_drop_decided(db, "e1"), 0);
    CHECK_EQ(ipmpi_taskdb_drop(db, &ids[1], 1), 0);
    asked = ask_to_settle(db);
    CHECK(asked.error.ename == NULL);
    CHECK_STR(json_string_value(json_object_get(asked.content, "status")),
              "ok");
    forget(&asked);
    CHECK_STR(sql("SELECT group_concat(msg_id) FROM 'ipython-tasks'"), "c");
    ipmpi_taskdb_destroy(&db);
}

static void dates_are_pythons(void **state)
{
    struct ipmpi_taskdb *db = open_db();

    (void)state;
    CHECK_EQ(add_task(db, "a", T0_US, NULL, 10), 0);
    CHECK_EQ(add_task(db, "b", T0_US + 5, NULL, 10), 0);
    ipmpi_taskdb_destroy(&db);
    CHECK_STR(sql("SELECT submitted FROM 'ipython-tasks' WHERE msg_id='a'"),
              "2023-11-14T22:13:20+00:00");
    CHECK_STR(sql("SELECT submitted FROM 'ipython-tasks' WHERE msg_id='b'"),
              "2023-11-14T22:13:20.000005+00:00");
}

static void another_table_is_left_alone(void **state)
{
    struct ipmpi_taskdb *db;
    struct asked asked;

    (void)state;
    sql("CREATE TABLE 'ipython-tasks' (msg_id text PRIMARY KEY, x text)");
    sql("INSERT INTO 'ipython-tasks' VALUES('old', 'x')");
    sql("CREATE TABLE 'ipython-tasks_1' (msg_id text)");
    for (int i = 0; i < 2; i++) { /* made, then found again */
        db = open_db();
        if (i == 0)
            CHECK_EQ(add_task(db, "a", T0_US, NULL, 10), 0);
        asked = ask_history(db);
        CHECK_IDS(asked, "a");
        ipmpi_taskdb_destroy(&db);
    }
    CHECK_STR(sql("SELECT msg_id FROM 'ipython-tasks'"), "old");
    CHECK_STR(sql("SELECT msg_id FROM 'ipython-tasks_2'"), "a");
}

/* Values of a wrong shape read as null. */
static void odd_rows_do_no_harm(void **state)
{
    struct ipmpi_taskdb *db = open_db();
    struct asked asked;
    json_t *record;

    (void)state;
    sql("INSERT INTO 'ipython-tasks' (msg_id, header, submitted, buffers, "
        "metadata, label, completed) VALUES ('odd', 'no object', 'no date', "
        "x'8003', 3, x'00ff', '2023-11-14T23:13:20.5+01:00')");
    asked = ask(db, "{\"msg_id\": \"odd\"}", NULL);
    record = json_array_get(json_object_get(asked.content, "records"), 0);
    CHECK(json_is_null(json_object_get(record, "header")));
    CHECK(json_is_null(json_object_get(record, "metadata")));
    CHECK(json_is_null(json_object_get(record, "submitted")));
    CHECK_STR(json_string_value(json_object_get(record, "stdout")), "");
    CHECK_STR(json_string_value(json_object_get(record, "completed")),
              "2023-11-14T22:13:20.500000Z");
    forget(&asked);
    asked = ask(db, "{}", "[\"buffers\"]");
    CHECK_EQ(asked.buffers.n, 0);
    CHECK_IDS(asked, "odd");
    asked = ask_history(db);
    CHECK_IDS(asked, "");
    ipmpi_taskdb_destroy(&db);
}

static void an_unusable_file_is_refused(void **state)
{
    struct ipmpi_taskdb *db = NULL;
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    (void)state;
    CHECK_EQ(write(fd, "this is not a database, but long enough", 39), 39);
    close(fd);
    CHECK_EQ(try_open(&db), IPMPI_EIO);
    strcat(path, "/no/such/place.db");
    CHECK_EQ(try_open(&db), IPMPI_EIO);
    CHECK(db == NULL);
    begin(NULL);
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

/* Many questions and changes at once; all answered, in order. */
static void many_questions_are_answered(void **state)
{
    enum { N = 200 };
    struct ipmpi_taskdb *db = open_db();
    struct asked asked[N];
    char msg_id[16];

    (void)state;
    memset(asked, 0, sizeof(asked));
    for (int i = 0; i < N; i++) {
        snprintf(msg_id, sizeof(msg_id), "t%d", i);
        CHECK_EQ(add_task(db, msg_id, T0_US + i, NULL, 100), 0);
        ipmpi_taskdb_history(db, on_reply, &asked[i]);
    }
    for (int i = 0; i < N; i++) {
        await(db, &asked[i]);
        CHECK_EQ(json_array_size(json_object_get(asked[i].content, "history")),
                 i + 1);
        forget(&asked[i]);
    }
    for (int i = 0; i < N; i++) /* left open */
        ipmpi_taskdb_history(db, on_reply, &asked[i]);
    ipmpi_taskdb_destroy(&db);
    for (int i = 0; i < N; i++)
        CHECK(!asked[i].done);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(results_outlive_the_controller),
        EACH(lost_tasks_become_errors),
        EACH(tasks_of_a_living_controller_are_not_lost),
        EACH(what_is_settled_is_in_the_file),
        EACH(dates_are_pythons),
        EACH(another_table_is_left_alone),
        EACH(odd_rows_do_no_harm),
        EACH(an_unusable_file_is_refused),
        EACH(a_full_disk_is_an_error_then_forgiven),
        EACH(a_disk_that_stays_full_costs_the_oldest),
        EACH(a_disk_that_hangs_stops_nobody),
        EACH(behind_ends_with_a_wake_up),
        EACH(a_lock_is_waited_for),
        EACH(changes_are_written_within_seconds),
        EACH(many_questions_are_answered),
    };
    int failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return failed;
}

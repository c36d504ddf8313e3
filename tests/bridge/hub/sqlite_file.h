/* A database file of SQLite's for one test: where it is, opened by the task db
 * or looked into by SQL. One per program. */
#ifndef IPMPI_TESTS_HUB_SQLITE_FILE_H
#define IPMPI_TESTS_HUB_SQLITE_FILE_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/hub/taskdb.h"

#include "tests/check.h"

static char dir[] = "/tmp/ipmpi-test-sqlite-XXXXXX";
static char path[64];

static inline int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/tasks.db", dir);
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static inline int try_open(struct ipmpi_taskdb **db_out)
{
    return ipmpi_taskdb_open(
        &(struct ipmpi_taskdb_options){.kind = IPMPI_TASKDB_SQLITE,
                                       .path = path},
        db_out);
}

static inline struct ipmpi_taskdb *open_db(void)
{
    struct ipmpi_taskdb *db = NULL;

    CHECK_EQ(try_open(&db), 0);
    return db;
}

/* Runs SQL on the file; the first column of the first row, or "". */
static inline const char *sql(const char *text)
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

/* Each test with a file of its own. */
#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

static inline int run_in_dir(const struct CMUnitTest *tests, size_t n)
{
    int failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    failed = _cmocka_run_group_tests("sqlite", tests, n, NULL, NULL);
    rmdir(dir);
    return failed;
}

#endif

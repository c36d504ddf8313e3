/* What only the SQLite back end has: a file that outlives its controller. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/bridge/hub/asking.h"
#include "tests/bridge/hub/sqlite_file.h"

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
        EACH(many_questions_are_answered),
    };

    return run_in_dir(tests, sizeof(tests) / sizeof(tests[0]));
}

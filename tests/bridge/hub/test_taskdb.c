/* The task database through its interface, the same tests over each back end
 * that keeps records: after ipyparallel's tests/test_db.py. */
#include "bridge/hub/taskdb.h"

#include "tests/bridge/hub/asking.h"

#define MS 1000

/* One back end under test. */
struct fixture {
    struct ipmpi_taskdb_options options;
    struct ipmpi_taskdb *db;
};

static int begin(void **state)
{
    struct fixture *f = *state;
    char msg_id[16];

    CHECK_EQ(ipmpi_taskdb_open(&f->options, &f->db), 0);
    for (int i = 0; i < 8; i++) {
        snprintf(msg_id, sizeof(msg_id), "m%d", i);
        CHECK_EQ(add_task(f->db, msg_id, T0_US + i * MS, NULL, 100), 0);
    }
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;

    ipmpi_taskdb_destroy(&f->db);
    if (f->options.path != NULL)
        unlink(f->options.path);
    return 0;
}

static struct ipmpi_taskdb *db_of(void **state)
{
    return ((struct fixture *)*state)->db;
}

static void an_id_is_added_once(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    struct asked history;

    CHECK_EQ(add_task(db, "m3", T0_US, "other", 5), IPMPI_EEXIST);
    CHECK_EQ(add_task(db, "n", T0_US + 9 * MS, NULL, 5), 0);
    history = ask_history(db);
    CHECK_IDS(history, "m0 m1 m2 m3 m4 m5 m6 m7 n");
    CHECK(ipmpi_taskdb_get(db, "m3")->label.data == NULL);
}

static void history_is_by_submit_time(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    struct asked history;

    CHECK_EQ(add_task(db, "early", T0_US - 1, NULL, 5), 0);
    CHECK_EQ(add_task(db, "same", T0_US + 2 * MS, NULL, 5), 0);
    CHECK_EQ(add_task(db, "never", 0, NULL, 5), 0);
    history = ask_history(db);
    CHECK_IDS(history, "early m0 m1 m2 same m3 m4 m5 m6 m7");
}

static void a_task_is_decided_once(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    struct asked asked;
    const json_t *record;

    CHECK_EQ(ipmpi_taskdb_assign(db, "m2", "e1"), 0);
    CHECK_STR((const char *)ipmpi_taskdb_get(db, "m2")->engine_uuid.data, "e1");
    CHECK_EQ(decide_task(db, "m2", "e2", 10), 0);
    CHECK_EQ(decide_task(db, "m2", "e3", 10), IPMPI_ESTATE);
    CHECK_EQ(ipmpi_taskdb_assign(db, "m2", "e3"), IPMPI_ESTATE);
    CHECK_EQ(ipmpi_taskdb_assign(db, "nope", "e3"), IPMPI_ENOENT);
    CHECK_EQ(decide_task(db, "nope", "e3", 10), IPMPI_ENOENT);
    asked = ask(db, "{\"msg_id\": \"m2\"}", NULL);
    record = json_array_get(json_object_get(asked.content, "records"), 0);
    CHECK_STR(json_string_value(json_object_get(record, "engine_uuid")), "e2");
    CHECK_STR(json_string_value(json_object_get(record, "started")),
              "2023-11-14T22:13:21.000000Z");
    CHECK_STR(json_string_value(json_object_get(record, "completed")),
              "2023-11-14T22:13:22.000000Z");
    CHECK(json_is_string(json_object_get(record, "received")));
    CHECK_STR(json_string_value(json_object_get(
                  json_object_get(record, "result_content"), "status")),
              "ok");
    forget(&asked);
}

/* All fields but buffers; which ones with keys; buffers beside the records. */
static void keys_choose_the_fields(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    struct asked asked = ask(db, "{\"msg_id\": \"m1\"}", "[]");
    json_t *record =
        json_array_get(json_object_get(asked.content, "records"), 0);

    CHECK_EQ(json_object_size(record), IPMPI_NFIELDS - 2);
    CHECK(json_object_get(record, "buffers") == NULL);
    CHECK(json_is_null(json_object_get(asked.content, "buffer_lens")));
    CHECK(json_is_null(json_object_get(asked.content, "result_buffer_lens")));
    CHECK_STR(json_string_value(json_object_get(record, "submitted")),
              "2023-11-14T22:13:20.001000Z");
    CHECK_STR(json_string_value(json_object_get(record, "stdout")), "");
    CHECK(json_is_null(json_object_get(record, "execute_result")));
    CHECK_EQ(asked.buffers.n, 0);
    forget(&asked);
    asked = ask(db, "{\"msg_id\": \"m1\"}", "[\"submitted\", \"completed\"]");
    record = json_array_get(json_object_get(asked.content, "records"), 0);
    CHECK_EQ(json_object_size(record), 3);
    CHECK_STR(json_string_value(json_object_get(record, "msg_id")), "m1");
    forget(&asked);
}

static void buffers_travel_beside(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    struct asked asked;
    json_t *want =
        json_pack("{s:s, s:[{s:s},{s:s}], s:[i,i], s:[i,i]}", "status", "ok",
                  "records", "msg_id", "m1", "msg_id", "m2", "buffer_lens", 1,
                  1, "result_buffer_lens", 0, 1);

    CHECK_EQ(decide_task(db, "m2", "e", 10), 0);
    asked = ask(db, "{\"msg_id\": {\"$in\": [\"m1\", \"m2\"]}}",
                "[\"buffers\", \"result_buffers\"]");
    CHECK(json_equal(asked.content, want));
    CHECK_EQ(asked.buffers.n, 3);
    CHECK_EQ(asked.buffers.at[1].len, 100);
    CHECK_EQ(asked.buffers.at[1].data[99], 'b');
    CHECK_EQ(asked.buffers.at[2].len, 10);
    CHECK_EQ(asked.buffers.at[2].data[0], 'r');
    json_decref(want);
    forget(&asked);
}

static void output_is_kept(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    struct asked asked;
    json_t *record, *want;

    output(db, "m1", IPMPI_IOPUB_EXECUTE_INPUT,
           "{\"code\": \"1+1\", \"execution_count\": 1}");
    output(db, "m1", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stdout\", \"text\": \"one \"}");
    output(db, "m1", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stderr\", \"text\": \"\\u0000oops\"}");
    CHECK_EQ(decide_task(db, "m1", "e", 10), 0);
    output(db, "m1", IPMPI_IOPUB_STREAM, /* output may trail the reply */
           "{\"name\": \"stdout\", \"text\": \"tw\\u00f6\"}");
    output(db, "m1", IPMPI_IOPUB_EXECUTE_RESULT, "{\"data\": {}}");
    output(db, "m1", IPMPI_IOPUB_ERROR, "{\"ename\": \"E\"}");
    output(db, "m1", IPMPI_IOPUB_OTHER, "{\"data\": {}}");
    output(db, "m1", IPMPI_IOPUB_STREAM, "{\"name\": \"std\"");
    output(db, "m1", IPMPI_IOPUB_STREAM, "{\"name\": 3, \"text\": \"x\"}");
    output(db, "ghost", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stdout\", \"text\": \"boo\"}");
    want =
        json_pack("{s:s, s:s, s:s, s:s#, s:{s:{}}, s:{s:s}}", "msg_id", "m1",
                  "execute_input", "1+1", "stdout", "one tw\xc3\xb6", "stderr",
                  "\0oops", 5, "execute_result", "data", "error", "ename", "E");
    asked = ask(db, "{\"stdout\": {\"$ne\": \"\"}}",
                "[\"execute_input\", \"stdout\", \"stderr\", \"error\", "
                "\"execute_result\"]");
    CHECK_EQ(json_array_size(json_object_get(asked.content, "records")), 1);
    record = json_array_get(json_object_get(asked.content, "records"), 0);
    CHECK(json_equal(record, want));
    json_decref(want);
    forget(&asked);
}

static void much_output_is_bounded(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    const size_t n = 1u << 20;
    char *content = malloc(n + 64);
    struct asked asked;
    const char *text;
    size_t len;

    CHECK(content != NULL);
    strcpy(content, "{\"name\": \"stdout\", \"text\": \"a");
    for (len = strlen(content); len < n; len += 2)
        memcpy(content + len, "\xc3\xa9", 2);
    strcpy(content + len, "\"}");
    for (int i = 0; i < 6; i++)
        output(db, "m1", IPMPI_IOPUB_STREAM, content);
    free(content);
    asked = ask(db, "{\"msg_id\": \"m1\"}", "[\"stdout\"]");
    CHECK(asked.content != NULL);
    text = json_string_value(json_object_get(
        json_array_get(json_object_get(asked.content, "records"), 0),
        "stdout"));
    len = strlen(text);
    CHECK(len >= IPMPI_RECORD_OUTPUT_MAX);
    CHECK(len < IPMPI_RECORD_OUTPUT_MAX + 100);
    CHECK(strstr(text, "not kept]\n") == text + len - 10);
    forget(&asked);
}

static void fetched_records_come_in_order(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    const char *const ids[] = {"m4", "nope", "m2", "m4"};
    struct asked asked;
    struct ipmpi_text json = {0};
    json_t *result;

    CHECK_EQ(decide_task(db, "m4", "e", 10), 0);
    asked = fetch(db, ids, 4, IPMPI_FETCH_RESULT);
    CHECK_EQ(asked.nrecords, 4);
    CHECK_STR(ipmpi_record_id(asked.records[0]), "m4");
    CHECK(ipmpi_record_is_decided(asked.records[0]));
    CHECK(ipmpi_record_result_has_buffers(asked.records[0]));
    CHECK(asked.records[1] == NULL);
    CHECK(!ipmpi_record_is_decided(asked.records[2]));
    CHECK_STR(ipmpi_record_id(asked.records[3]), "m4");
    ipmpi_record_result_json(asked.records[0], &json);
    result = json_loadb(json.data, json.len, 0, NULL);
    CHECK_EQ(json_object_size(result), 7);
    CHECK_EQ(json_object_size(json_object_get(result, "io")), 5);
    CHECK(json_is_string(json_object_get(result, "received")));
    json_decref(result);
    ipmpi_text_clear(&json);
    forget(&asked);
}

static void resubmission_is_noted(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    struct asked asked;

    CHECK_EQ(ipmpi_taskdb_resubmitted(db, "m5", "m6"), 0);
    CHECK_EQ(ipmpi_taskdb_resubmitted(db, "nope", "m6"), 0);
    asked = ask(db, "{\"resubmitted\": \"m6\"}", NULL);
    CHECK_IDS(asked, "m5");
}

static void pending_records_are_not_dropped(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    const char *const ids[] = {"m0", "m1", "nope"};
    struct asked asked;

    CHECK_EQ(decide_task(db, "m0", "e1", 10), 0);
    CHECK_EQ(ipmpi_taskdb_drop(db, ids, 3), 0);
    CHECK(ipmpi_taskdb_get(db, "m0") == NULL);
    asked = ask(db, "{}", NULL);
    CHECK_IDS(asked, "m1 m2 m3 m4 m5 m6 m7");
    CHECK_EQ(decide_task(db, "m2", "e1", 10), 0);
    CHECK_EQ(decide_task(db, "m3", "e2", 10), 0);
    CHECK_EQ(decide_task(db, "m4", "e1", 10), 0);
    CHECK_EQ(ipmpi_taskdb_drop_decided(db, "e1"), 0);
    asked = ask(db, "{}", NULL);
    CHECK_IDS(asked, "m1 m3 m5 m6 m7");
    CHECK_EQ(ipmpi_taskdb_drop_decided(db, NULL), 0);
    asked = ask_history(db);
    CHECK_IDS(asked, "m1 m5 m6 m7");
}

/* A dropped id is free again. */
static void an_id_can_return(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    const char *const ids[] = {"m0"};
    struct asked asked;

    CHECK_EQ(decide_task(db, "m0", "e1", 10), 0);
    CHECK_EQ(ipmpi_taskdb_drop(db, ids, 1), 0);
    CHECK_EQ(add_task(db, "m0", T0_US + 20 * MS, "again", 1), 0);
    asked = ask_history(db);
    CHECK_IDS(asked, "m1 m2 m3 m4 m5 m6 m7 m0");
    asked = ask(db, "{\"label\": \"again\"}", NULL);
    CHECK_IDS(asked, "m0");
}

/* JSON that jansson cannot read is relayed byte for byte. */
static void json_is_relayed_as_it_came(void **state)
{
    struct ipmpi_taskdb *db = db_of(state);
    struct ipmpi_frame header =
        text_frame("{\"msg_id\": \"big\", \"n\": 123456789012345678901234567}");
    struct ipmpi_frame object = text_frame("{}");
    struct asked asked;
    struct ipmpi_text json = {0};
    const char *const ids[] = {"big"};

    CHECK_EQ(
        ipmpi_taskdb_add(db, &(struct ipmpi_submission){.msg_id = "big",
                                                        .client_uuid = "s",
                                                        .submitted_us = T0_US,
                                                        .header = &header,
                                                        .metadata = &object,
                                                        .content = &object}),
        0);
    asked = fetch(db, ids, 1, IPMPI_ALL_FIELDS);
    ipmpi_record_to_json(asked.records[0], IPMPI_FIELD_BIT(HEADER), &json);
    ipmpi_text_add(&json, "", 1);
    CHECK_STR(json.data, "{\"header\":{\"msg_id\": \"big\", \"n\": "
                         "123456789012345678901234567}}");
    ipmpi_text_clear(&json);
    forget(&asked);
    asked = ask(db, "{\"header\": {\"$all\": [\"n\"]}}", "[\"msg_id\"]");
    CHECK_IDS(asked, "big");
}

#define EACH(test) cmocka_unit_test_prestate_setup_teardown(test, begin, end, f)

static int run_backend(const char *name, struct fixture *f)
{
    const struct CMUnitTest tests[] = {
        EACH(an_id_is_added_once),    EACH(history_is_by_submit_time),
        EACH(a_task_is_decided_once), EACH(keys_choose_the_fields),
        EACH(buffers_travel_beside),  EACH(output_is_kept),
        EACH(much_output_is_bounded), EACH(fetched_records_come_in_order),
        EACH(resubmission_is_noted),  EACH(pending_records_are_not_dropped),
        EACH(an_id_can_return),       EACH(json_is_relayed_as_it_came),
    };

    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    struct fixture memory = {.options.kind = IPMPI_TASKDB_MEMORY};
    struct fixture sqlite = {.options.kind = IPMPI_TASKDB_SQLITE};
    char path[64];
    int failed;

    snprintf(path, sizeof(path), "/tmp/ipmpi-test-taskdb-%d.db", (int)getpid());
    sqlite.options.path = path;
    failed = run_backend("memory", &memory);
    return failed + run_backend("sqlite", &sqlite);
}

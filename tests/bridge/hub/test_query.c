/* The query language: every operator on every kind of field, and what is
 * refused. Three records: `a` is pending without engine or label, `b` and `c`
 * are decided. */
#include "bridge/hub/taskdb.h"

#include "tests/bridge/hub/asking.h"

#define DAY "2023-11-14T"

static struct ipmpi_taskdb *db;

static int fill(void **state)
{
    const struct ipmpi_taskdb_options memory = {.kind = IPMPI_TASKDB_MEMORY};

    (void)state;
    CHECK_EQ(ipmpi_taskdb_open(&memory, &db), 0);
    CHECK_EQ(add_task(db, "a", T0_US, NULL, 1), 0);
    CHECK_EQ(add_task(db, "b", T0_US + 1, "x", 1), 0);
    CHECK_EQ(add_task(db, "c", T0_US + 1000000, "y\xc3\xa9", 1), 0);
    output(db, "b", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stdout\", \"text\": \"one two\"}");
    output(db, "c", IPMPI_IOPUB_EXECUTE_RESULT, "-7");
    output(db, "b", IPMPI_IOPUB_ERROR, "{\"ename\": \"E\", \"evalue\": \"1\"}");
    CHECK_EQ(decide_task(db, "b", "e1", 1), 0);
    CHECK_EQ(decide_task(db, "c", "e2", 1), 0);
    return 0;
}

static int empty(void **state)
{
    (void)state;
    ipmpi_taskdb_destroy(&db);
    return 0;
}

static const struct {
    const char *query, *ids;
} rows[] = {
    {"{}", "a b c"},
    {"{\"msg_id\": {\"$ne\": \"\"}}", "a b c"},
    {"{\"msg_id\": \"b\"}", "b"},
    {"{\"msg_id\": null}", ""},
    {"{\"msg_id\": {\"$ne\": null}}", "a b c"},
    {"{\"msg_id\": {\"$eq\": \"c\"}}", "c"},
    {"{\"msg_id\": {\"$in\": [\"c\", \"nope\", \"a\", \"a\", 3]}}", "a c"},
    {"{\"msg_id\": {\"$in\": []}}", ""},
    {"{\"msg_id\": {\"$nin\": []}}", "a b c"},
    {"{\"msg_id\": {\"$nin\": [\"a\", \"b\"]}}", "c"},
    {"{\"msg_id\": {\"$in\": [\"a\", \"b\"]}, \"label\": \"x\"}", "b"},
    {"{\"msg_id\": {\"$gt\": \"a\", \"$lt\": \"c\"}}", "b"},
    {"{\"msg_id\": {\"$gte\": \"b\"}}", "b c"},
    {"{\"msg_id\": {\"$lte\": \"b\"}}", "a b"},
    {"{\"msg_id\": {}}", "a b c"},
    {"{\"label\": null}", "a"},
    {"{\"label\": {\"$ne\": null}}", "b c"},
    {"{\"label\": {\"$ne\": \"x\"}}", "a c"},
    {"{\"label\": {\"$nin\": [\"\"]}}", "a b c"},
    {"{\"label\": {\"$in\": [null, \"x\"]}}", "a b"},
    {"{\"label\": {\"$in\": \"wxyz\"}}", "b"}, /* as Python's in */
    {"{\"label\": {\"$nin\": \"\"}}", "a b c"},
    {"{\"msg_id\": {\"$in\": \"abacus\"}}", "a b c"},
    {"{\"label\": {\"$nin\": [null]}}", "b c"},
    {"{\"label\": {\"$lt\": \"z\"}}", "b c"}, /* null has no order */
    {"{\"label\": {\"$gt\": null}}", ""},
    {"{\"label\": {\"$lte\": null}}", ""},
    {"{\"label\": {\"$glob\": \"*\"}}", "b c"},
    {"{\"label\": {\"$glob\": \"y?\"}}", "c"},
    {"{\"label\": {\"$exists\": true}}", "b c"},
    {"{\"label\": {\"$exists\": 0}}", "a"},
    {"{\"label\": {\"$all\": [\"x\"]}}", "b"},
    {"{\"label\": {\"$all\": []}}", "b c"},
    {"{\"label\": {\"$all\": [[\"x\", \"z\"], [\"x\"]]}}", "b"},
    {"{\"label\": 3}", ""},
    {"{\"stdout\": \"one two\"}", "b"},
    {"{\"stdout\": {\"$all\": [\"two\", \"one\"]}}", "b"},
    {"{\"stdout\": \"\"}", "a c"},
    {"{\"stdout\": null}", ""},
    {"{\"submitted\": \"" DAY "22:13:20Z\"}", "a"},
    {"{\"submitted\": {\"$lt\": \"" DAY "22:13:20.000001Z\"}}", "a"},
    {"{\"submitted\": {\"$gt\": \"" DAY "22:13:20Z\"}}", "b c"},
    {"{\"submitted\": {\"$gte\": \"" DAY "23:13:20.1+01:00\"}}", "c"},
    {"{\"submitted\": {\"$lte\": \"" DAY "22:13:20.000001+0000\"}}", "a b"},
    {"{\"submitted\": {\"$in\": [\"" DAY "22:13:21Z\", null]}}", "c"},
    {"{\"submitted\": {\"$ne\": \"no date\"}}", "a b c"},
    {"{\"submitted\": \"no date\"}", ""},
    {"{\"completed\": null}", "a"},
    {"{\"completed\": {\"$ne\": null}}", "b c"},
    {"{\"completed\": {\"$gt\": \"" DAY "22:13:20Z\"}}", "b c"},
    {"{\"completed\": {\"$nin\": [null]}}", "b c"},
    {"{\"engine_uuid\": \"e2\", \"label\": {\"$exists\": true}}", "c"},
    {"{\"engine_uuid\": \"e2\", \"label\": \"x\"}", ""}, /* ANDed */
    {"{\"content\": {\"$eq\": {\"a\": 5}}}", "a b c"},
    {"{\"content\": {\"$ne\": {\"a\": 5}}}", ""},
    {"{\"content\": {\"$in\": [{\"a\": 4}, {\"a\": 5}]}}", "a b c"},
    {"{\"header\": {\"$all\": [\"msg_id\", \"session\"]}}", "a b c"},
    {"{\"header\": {\"$all\": [\"msg_id\", \"nope\"]}}", ""},
    {"{\"error\": {\"$exists\": true}}", "b"},
    {"{\"error\": {\"$eq\": {\"evalue\": \"1\", \"ename\": \"E\"}}}", "b"},
    {"{\"execute_result\": -7}", "c"},
    {"{\"execute_result\": {\"$mod\": [4, 1]}}", "c"}, /* as Python's % */
    {"{\"execute_result\": {\"$mod\": [-4, -3]}}", "c"},
    {"{\"execute_result\": {\"$mod\": [-1, 0]}}", "c"},
    {"{\"execute_result\": {\"$mod\": [4, -3]}}", ""},
    {"{\"label\": {\"$mod\": [2, 0]}}", ""},
    {"{\"buffers\": null}", ""},
    {"{\"buffers\": {\"$exists\": true}}", "a b c"},
    {"{\"result_buffers\": null}", "a"},
    {"{\"garbage\": null}", "a b c"}, /* a field nobody has is null */
    {"{\"garbage\": {\"$ne\": null}}", ""},
    {"{\"garbage\": {\"$lt\": 3}}", ""},
    {"{\"garbage\": {\"$exists\": false}}", "a b c"},
};

static void every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct asked asked = ask(db, rows[i].query, NULL);
        char ids[64];

        if (asked.error.ename != NULL ||
            strcmp(ids_of(&asked, ids, sizeof(ids)), rows[i].ids) != 0)
            fail_msg("%s: %s, not %s", rows[i].query,
                     asked.error.ename ? asked.error.evalue : ids, rows[i].ids);
        forget(&asked);
    }
}

static const struct {
    const char *query, *keys, *ename, *evalue;
} refused[] = {
    {"{\"msg_id\": {\"$x\": 1}}", NULL, "KeyError", "'$x'"},
    {"{\"garbage\": {\"it's\": 1}}", NULL, "KeyError", "\"it's\""},
    {"{\"content\": {\"a\": 5}}", NULL, "KeyError", "'a'"},
    {"{\"msg_id\": {\"$in\": 3}}", NULL, "TypeError",
     "argument of type 'int' is not iterable"},
    {"{\"msg_id\": {\"$nin\": null}}", NULL, "TypeError",
     "argument of type 'NoneType' is not iterable"},
    {"{\"msg_id\": {\"$all\": true}}", NULL, "TypeError",
     "'bool' object is not iterable"},
    {"{\"label\": {\"$glob\": []}}", NULL, "TypeError",
     "$glob needs a str, not list"},
    {"{\"label\": {\"$lt\": 1.5}}", NULL, "TypeError",
     "'<' not supported between instances of 'str' and 'float'"},
    {"{\"submitted\": {\"$gte\": \"x\"}}", NULL, "TypeError",
     "'>=' not supported between instances of 'datetime.datetime' and 'str'"},
    {"{\"header\": {\"$gt\": {}}}", NULL, "TypeError",
     "'>' not supported between instances of 'dict' and 'dict'"},
    {"{\"label\": {\"$mod\": [0, 1]}}", NULL, "ZeroDivisionError",
     "integer modulo by zero"},
    {"{\"label\": {\"$mod\": [1]}}", NULL, "TypeError",
     "$mod needs [divisor, remainder], two integers"},
    {"[]", NULL, "TypeError", "the query must be a dict, not list"},
    {"{}", "[\"msg_id\", \"nope\"]", "KeyError", "'nope'"},
    {"{}", "[3]", "KeyError", "'int'"},
    {"{}", "\"msg_id\"", "TypeError", "keys must be a list, not str"},
};

static void every_mistake_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct asked asked = ask(db, refused[i].query, refused[i].keys);

        CHECK(asked.error.ename != NULL);
        CHECK_STR(asked.error.ename, refused[i].ename);
        CHECK_STR(asked.error.evalue, refused[i].evalue);
    }
}

static void long_errors_are_cut_at_a_character(void **state)
{
    struct ipmpi_hub_error error;
    char name[1024];

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(name); i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    name[sizeof(name) - 1] = '\0';
    name[0] = '\n';
    name[1] = '\x7f';
    ipmpi_hub_error_key(&error, "%s", name);
    CHECK_MEM(error.evalue, "'\\n\\x7f\xc3\xa9", 9);
    CHECK_STR(error.evalue + strlen(error.evalue) - 3, "\xc3\xa9'");
    ipmpi_hub_error_set(&error, "E", "%s", name + 1);
    CHECK_STR(error.evalue + strlen(error.evalue) - 2, "\xc3\xa9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(every_mistake_is_told),
        cmocka_unit_test(long_errors_are_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, fill, empty);
}

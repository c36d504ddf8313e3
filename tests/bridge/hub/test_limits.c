/* What the memory and none back ends keep, and what they let go. */
#include "bridge/hub/taskdb.h"

#include "tests/bridge/hub/asking.h"

static struct ipmpi_taskdb *open_db(enum ipmpi_taskdb_kind kind,
                                    size_t record_limit, size_t size_limit)
{
    struct ipmpi_taskdb *db = NULL;

    CHECK_EQ(ipmpi_taskdb_open(
                 &(struct ipmpi_taskdb_options){.kind = kind,
                                                .record_limit = record_limit,
                                                .size_limit = size_limit},
                 &db),
             0);
    return db;
}

static struct ipmpi_taskdb_stats stats_of(struct ipmpi_taskdb *db)
{
    struct ipmpi_taskdb_stats stats;

    ipmpi_taskdb_stats(db, &stats);
    return stats;
}

static int last_id;

/* Adds n tasks, each with a buffer of len bytes, and decides them. */
static void load(struct ipmpi_taskdb *db, int n, size_t len, bool decide)
{
    char msg_id[16];

    for (int i = 0; i < n; i++) {
        snprintf(msg_id, sizeof(msg_id), "t%d", last_id++);
        CHECK_EQ(add_task(db, msg_id, T0_US + last_id, NULL, len), 0);
        if (decide)
            CHECK_EQ(decide_task(db, msg_id, "e", 0), 0);
    }
}

static void a_tenth_goes_past_the_record_limit(void **state)
{
    struct ipmpi_taskdb *db = open_db(IPMPI_TASKDB_MEMORY, 20, 0);

    (void)state;
    last_id = 0;
    load(db, 20, 1, true);
    CHECK_EQ(stats_of(db).records, 20);
    load(db, 1, 1, true);
    CHECK_EQ(stats_of(db).records, 19);
    CHECK(ipmpi_taskdb_get(db, "t0") == NULL);
    CHECK(ipmpi_taskdb_get(db, "t1") == NULL);
    CHECK(ipmpi_taskdb_get(db, "t2") != NULL);
    CHECK(ipmpi_taskdb_get(db, "t20") != NULL);
    for (int i = 0; i < 50; i++) {
        load(db, 1, 1, true);
        CHECK(stats_of(db).records >= 19 && stats_of(db).records <= 20);
    }
    CHECK_EQ(stats_of(db).culled, 51 + (20 - stats_of(db).records));
    ipmpi_taskdb_destroy(&db);
}

static void pending_records_always_stay(void **state)
{
    struct ipmpi_taskdb *db = open_db(IPMPI_TASKDB_MEMORY, 10, 1000);

    (void)state;
    last_id = 0;
    load(db, 200, 100, false);
    CHECK_EQ(stats_of(db).records, 200);
    CHECK_EQ(stats_of(db).bytes, 20000);
    ipmpi_taskdb_destroy(&db);
    db = open_db(IPMPI_TASKDB_MEMORY, 10, 0);
    last_id = 0;
    load(db, 200, 1, false);
    /* The first that was submitted, decided as the last of many. */
    for (int i = 199; i >= 0; i--) {
        char msg_id[16];

        snprintf(msg_id, sizeof(msg_id), "t%d", i);
        CHECK_EQ(decide_task(db, msg_id, "e", 0), 0);
        CHECK(ipmpi_taskdb_get(db, msg_id) != NULL);
    }
    CHECK(stats_of(db).records <= 10);
    ipmpi_taskdb_destroy(&db);
}

static void the_oldest_go_past_the_size_limit(void **state)
{
    struct ipmpi_taskdb *db = open_db(IPMPI_TASKDB_MEMORY, 1024, 1000);

    (void)state;
    last_id = 0;
    load(db, 100, 10, true);
    CHECK_EQ(stats_of(db).records, 100);
    load(db, 1, 0, true);
    CHECK_EQ(stats_of(db).records, 101);
    load(db, 1, 1, true); /* 1001 bytes: 11 go until at most 900 are left */
    CHECK_EQ(stats_of(db).records, 91);
    CHECK_EQ(stats_of(db).bytes, 891);
    /* Results and output count too; the task itself may be what goes. */
    CHECK_EQ(add_task(db, "big", T0_US, NULL, 9), 0);
    CHECK_EQ(decide_task(db, "big", "e", 101), 0);
    CHECK_EQ(stats_of(db).bytes, 891);
    CHECK(ipmpi_taskdb_get(db, "big") != NULL);
    output(db, "big", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stdout\", \"text\": \"01234567890123456789\"}");
    CHECK_EQ(stats_of(db).bytes, 911);
    CHECK_EQ(add_task(db, "huge", T0_US, NULL, 2000), 0);
    CHECK_EQ(stats_of(db).records, 1); /* the pending one */
    CHECK_EQ(decide_task(db, "huge", "e", 1), 0);
    CHECK_EQ(stats_of(db).records, 0);
    CHECK_EQ(stats_of(db).bytes, 0);
    ipmpi_taskdb_destroy(&db);
}

/* A long query is answered in slices; records come and go meanwhile. */
static void long_queries_are_sliced(void **state)
{
    enum { N = 20000 };
    struct ipmpi_taskdb *db = open_db(IPMPI_TASKDB_MEMORY, 2 * N, 0);
    struct asked asked = {0}, second = {0};
    json_t *all = json_object();
    size_t n;

    (void)state;
    last_id = 0;
    load(db, N, 1, true);
    ipmpi_taskdb_query(db, all, NULL, on_reply, &asked);
    CHECK(!asked.done); /* 20000 records take longer than one slice */
    ipmpi_taskdb_query(db, all, NULL, on_reply, &second);
    load(db, 1, 1, true);
    CHECK_EQ(ipmpi_taskdb_drop_decided(db, NULL), 0);
    load(db, 1, 1, true);
    await(db, &asked);
    await(db, &second);
    n = json_array_size(json_object_get(asked.content, "records"));
    CHECK(n > 0 && n < N);
    CHECK(json_array_size(json_object_get(second.content, "records")) < N);
    forget(&asked);
    forget(&second);
    load(db, N, 1, true);
    asked = ask(db, "{\"completed\": {\"$ne\": null}}", "[\"label\"]");
    CHECK_EQ(json_array_size(json_object_get(asked.content, "records")), N + 1);
    forget(&asked);
    ipmpi_taskdb_query(db, all, NULL, on_reply, &asked); /* left open */
    json_decref(all);
    ipmpi_taskdb_destroy(&db);
    forget(&asked);
}

static void none_knows_only_the_status(void **state)
{
    struct ipmpi_taskdb *db = open_db(IPMPI_TASKDB_NONE, 0, 0);
    const char *const ids[] = {"p", "d", "u"};
    struct asked asked;

    (void)state;
    CHECK_EQ(add_task(db, "p", T0_US, NULL, 100), 0);
    CHECK_EQ(add_task(db, "p", T0_US, NULL, 100), IPMPI_EEXIST);
    CHECK_EQ(add_task(db, "d", T0_US, NULL, 100), 0);
    CHECK_EQ(ipmpi_taskdb_assign(db, "d", "e"), 0);
    output(db, "d", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stdout\", \"text\": \"x\"}");
    CHECK_EQ(decide_task(db, "d", "e", 100), 0);
    CHECK_EQ(decide_task(db, "d", "e", 100), IPMPI_ESTATE);
    CHECK_EQ(stats_of(db).bytes, 0);
    asked = fetch(db, ids, 3, IPMPI_FETCH_STATUS);
    CHECK(!ipmpi_record_is_decided(asked.records[0]));
    CHECK(ipmpi_record_is_decided(asked.records[1]));
    CHECK(asked.records[2] == NULL);
    forget(&asked);
    asked = fetch(db, ids, 1, IPMPI_FETCH_RESULT); /* pending: nothing missed */
    CHECK(asked.error.ename == NULL);
    forget(&asked);
    asked = fetch(db, ids, 1, IPMPI_FETCH_REQUEST);
    CHECK_STR(asked.error.ename, "KeyError");
    forget(&asked);
    asked = fetch(db, ids, 3, IPMPI_FETCH_RESULT);
    CHECK_STR(asked.error.ename, "KeyError");
    CHECK_MEM(asked.error.evalue, "\"NoDB backend doesn't", 21);
    forget(&asked);
    asked = ask_history(db);
    CHECK_STR(asked.error.ename, "KeyError");
    asked = ask(db, "{}", NULL);
    CHECK_STR(asked.error.ename, "KeyError");
    CHECK_EQ(ipmpi_taskdb_drop_decided(db, NULL), 0);
    CHECK(ipmpi_taskdb_get(db, "d") == NULL);
    CHECK(ipmpi_taskdb_get(db, "p") != NULL);
    ipmpi_taskdb_destroy(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenth_goes_past_the_record_limit),
        cmocka_unit_test(pending_records_always_stay),
        cmocka_unit_test(the_oldest_go_past_the_size_limit),
        cmocka_unit_test(long_queries_are_sliced),
        cmocka_unit_test(none_knows_only_the_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

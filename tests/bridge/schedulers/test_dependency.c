/* Dependencies: the predicates of compat 6.3, a row each. */
#include "bridge/schedulers/dependency.h"

#include "runtime/base/error.h"
#include "tests/check.h"

/* Outcomes of all rows: c1 c2 completed on engine 0, c3 on engine 1, f1 failed
 * on engine 0, x is not known. */
static const struct {
    const char *name, *json;
    int engine_id;
    bool met, unreachable;
} rows[] = {
    {"nothing", "[]", -1, true, false},
    {"one that completed", "[\"c1\"]", -1, true, false},
    {"one that failed", "[\"f1\"]", -1, false, true},
    {"one unknown", "[\"x\"]", -1, false, false},
    {"all, one unknown", "[\"c1\",\"x\"]", -1, false, false},
    {"all, one failed", "[\"c1\",\"f1\"]", -1, false, true},
    {"any, one failed", "{\"dependencies\":[\"c1\",\"f1\"],\"all\":false}", -1,
     true, false},
    {"any, all failed", "{\"dependencies\":[\"f1\"],\"all\":false}", -1, false,
     true},
    {"any, none ended", "{\"dependencies\":[\"x\",\"f1\"],\"all\":false}", -1,
     false, false},
    {"failure wanted",
     "{\"dependencies\":[\"f1\"],\"success\":false,\"failure\":true}", -1, true,
     false},
    {"failure wanted, completed",
     "{\"dependencies\":[\"c1\"],\"success\":false,\"failure\":true}", -1,
     false, true},
    {"either end", "{\"dependencies\":[\"c1\",\"f1\"],\"failure\":true}", -1,
     true, false},
    {"on this engine", "[\"c1\",\"c2\"]", 0, true, false},
    {"on another engine", "[\"c1\",\"c3\"]", 0, false, false},
};

static void outcomes_of_rows(struct ipmpi_outcomes *outcomes)
{
    *outcomes = (struct ipmpi_outcomes){0};
    CHECK_EQ(ipmpi_outcomes_add(outcomes, "c1", true, 0), 0);
    CHECK_EQ(ipmpi_outcomes_add(outcomes, "c2", true, 0), 0);
    CHECK_EQ(ipmpi_outcomes_add(outcomes, "c3", true, 1), 0);
    CHECK_EQ(ipmpi_outcomes_add(outcomes, "f1", false, 0), 0);
}

static void predicates(void **state)
{
    struct ipmpi_outcomes outcomes;

    (void)state;
    outcomes_of_rows(&outcomes);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *json = json_loads(rows[i].json, 0, NULL);
        struct ipmpi_dependency d;

        print_message("%s\n", rows[i].name);
        CHECK_EQ(ipmpi_dependency_parse(json, &d), 0);
        CHECK_EQ(ipmpi_dependency_met(&d, &outcomes, rows[i].engine_id),
                 rows[i].met);
        if (rows[i].engine_id < 0)
            CHECK_EQ(ipmpi_dependency_unreachable(&d, &outcomes),
                     rows[i].unreachable);
        ipmpi_dependency_clear(&d);
        json_decref(json);
    }
    ipmpi_outcomes_clear(&outcomes);
}

static void wrong_shapes(void **state)
{
    static const char *const shapes[] = {"3", "\"a\"", "[1]", "{}",
                                         "{\"dependencies\":[null]}"};
    struct ipmpi_dependency d;

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        json_t *json = json_loads(shapes[i], JSON_DECODE_ANY, NULL);

        CHECK_EQ(ipmpi_dependency_parse(json, &d), IPMPI_EJSON);
        json_decref(json);
    }
    CHECK_EQ(ipmpi_dependency_parse(NULL, &d), 0);
    CHECK_EQ(d.n, 0);
}

static void scattered(void **state)
{
    struct ipmpi_outcomes outcomes;
    struct ipmpi_dependency d;
    json_t *together = json_pack("[s,s,s]", "c1", "c2", "x");
    json_t *apart = json_pack("[s,s]", "c1", "c3");

    (void)state;
    outcomes_of_rows(&outcomes);
    CHECK_EQ(ipmpi_dependency_parse(together, &d), 0);
    CHECK(!ipmpi_dependency_scattered(&d, &outcomes));
    ipmpi_dependency_clear(&d);
    CHECK_EQ(ipmpi_dependency_parse(apart, &d), 0);
    CHECK(ipmpi_dependency_scattered(&d, &outcomes));
    ipmpi_dependency_clear(&d);
    json_decref(together);
    json_decref(apart);
    ipmpi_outcomes_clear(&outcomes);
}

static void outcomes_forget_the_oldest(void **state)
{
    struct ipmpi_outcomes outcomes = {0};
    char id[32];

    (void)state;
    for (int i = 0; i <= IPMPI_OUTCOMES_CAP; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        CHECK_EQ(ipmpi_outcomes_add(&outcomes, id, true, 0), 0);
    }
    CHECK(ipmpi_outcomes_find(&outcomes, "t0") == NULL);
    CHECK(ipmpi_outcomes_find(&outcomes, "t1") != NULL);
    ipmpi_outcomes_clear(&outcomes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predicates),
        cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(scattered),
        cmocka_unit_test(outcomes_forget_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

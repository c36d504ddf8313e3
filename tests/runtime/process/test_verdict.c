/* Every way in which a rank can end, judged. */
#include "runtime/process/verdict.h"

#include <signal.h>
#include <stdio.h>

#include "tests/check.h"

#define EXITED(code)   ((code) << 8)
#define KILLED(number) (number)
#define LOST           (-1)

static const struct {
    const char *name;
    struct ipmpi_rank_end end; /* controller, joined, leaving, its code, told,
                                * by which signal, status */
    struct ipmpi_verdict want; /* code, mourn, log */
} rows[] = {
    {"engine leaves", {0, 1, 1, 0, 0, 0, EXITED(0)}, {0, 0, 0}},
    {"engine leaves with a code", {0, 1, 1, 4, 0, 0, EXITED(4)}, {4, 0, 0}},
    {"engine crashes after it said that it leaves",
     {0, 1, 1, 0, 0, 0, KILLED(SIGSEGV)},
     {0, 0, 0}},
    {"engine leaves, was told", {0, 1, 1, 0, 1, SIGTERM, EXITED(0)}, {0, 0, 0}},
    {"engine dies of TERM, was told",
     {0, 1, 0, 0, 1, SIGTERM, KILLED(SIGTERM)},
     {143, 0, 0}},
    {"engine is killed at the deadline",
     {0, 1, 0, 0, 1, SIGINT, KILLED(SIGKILL)},
     {130, 0, 0}},
    {"engine exits, was told", {0, 1, 0, 0, 1, SIGTERM, EXITED(5)}, {5, 0, 0}},
    {"engine is killed", {0, 1, 0, 0, 0, 0, KILLED(SIGKILL)}, {0, 1, 0}},
    {"engine exits", {0, 1, 0, 0, 0, 0, EXITED(0)}, {0, 1, 0}},
    {"engine is lost", {0, 1, 0, 0, 0, 0, LOST}, {0, 1, 0}},
    {"engine fails to join", {0, 0, 0, 0, 0, 0, EXITED(9)}, {9, 0, 1}},
    {"engine ends before it joins", {0, 0, 0, 0, 0, 0, EXITED(0)}, {1, 0, 1}},
    {"engine is killed before it joins",
     {0, 0, 0, 0, 0, 0, KILLED(SIGKILL)},
     {137, 0, 1}},
    {"engine is lost before it joins", {0, 0, 0, 0, 0, 0, LOST}, {1, 0, 1}},
    {"engine has no Python, and has said so",
     {0, 0, 0, 0, 0, 0, EXITED(3)},
     {3, 0, 0}},
    {"rank 0 leaves", {1, 1, 1, 0, 0, 0, EXITED(0)}, {0, 0, 0}},
    {"rank 0 fails, and has said why",
     {1, 0, 0, 0, 0, 0, EXITED(2)},
     {2, 0, 0}},
    {"rank 0 is killed", {1, 1, 0, 0, 0, 0, KILLED(SIGKILL)}, {137, 0, 1}},
    {"rank 0 is killed at the deadline",
     {1, 1, 0, 0, 1, SIGTERM, KILLED(SIGKILL)},
     {143, 0, 0}},
};

static void every_end_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ipmpi_verdict got = ipmpi_verdict(&rows[i].end);

        if (got.exit_code != rows[i].want.exit_code ||
            got.mourn != rows[i].want.mourn || got.log != rows[i].want.log)
            fail_msg("%s: %d %d %d", rows[i].name, got.exit_code, got.mourn,
                     got.log);
    }
}

static void ends_are_described(void **state)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {KILLED(SIGKILL), "was killed by signal 9 (Killed)"},
        {KILLED(SIGSEGV) | 0x80,
         "was killed by signal 11 (Segmentation fault)"},
        {EXITED(3), "exited with code 3"},
        {LOST, "ended, how is not known"},
    };
    char got[128];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ipmpi_verdict_describe(texts[i].status, got, sizeof(got));
        CHECK_STR(got, texts[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_has_its_verdict),
        cmocka_unit_test(ends_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

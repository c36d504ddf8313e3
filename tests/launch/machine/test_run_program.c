/* Programs that are run for what they print. */
#include "launch/machine/run_program.h"

#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "tests/check.h"

static void tells_how_it_ended(void **state)
{
    static const struct {
        const char *script;
        int status;
        const char *output;
    } rows[] = {
        {"echo hello", 0, "hello\n"},
        {"echo oops >&2; exit 3", 3, "oops\n"},
        {"kill -9 $$", 137, ""},
        {"cat", 0, ""}, /* no input */
        {"head -c 100000 /dev/zero | tr '\\0' x", 0, "xxxxxxxxxxxxxxx"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *const argv[] = {(char *)"sh", (char *)"-c",
                              (char *)rows[i].script, NULL};
        char output[16];

        print_message("row: %s\n", rows[i].script);
        assert_int_equal(ipmpi_run_program(argv, 20000, output, sizeof(output)),
                         rows[i].status);
        assert_string_equal(output, rows[i].output);
    }
}

static void knows_what_is_not_there(void **state)
{
    char *const argv[] = {(char *)"ipmpi-no-such-program", NULL};
    char output[16];

    (void)state;
    assert_int_equal(ipmpi_run_program(argv, 20000, output, sizeof(output)),
                     127);
}

static void keeps_its_deadline(void **state)
{
    char *const argv[] = {(char *)"sh", (char *)"-c",
                          (char *)"echo a; sleep 100 | sleep 100", NULL};
    const int64_t start_us = ipmpi_clock_now_us();
    char output[16];

    (void)state;
    assert_int_equal(ipmpi_run_program(argv, 300, output, sizeof(output)),
                     IPMPI_ETIMEOUT);
    assert_string_equal(output, "a\n");
    assert_true(ipmpi_clock_now_us() - start_us < 20 * 1000000LL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_how_it_ended),
        cmocka_unit_test(knows_what_is_not_there),
        cmocka_unit_test(keeps_its_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

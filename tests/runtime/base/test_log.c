/* The log: form of a line, levels, and the limit on what peers can trigger. */
#include "runtime/base/log.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/check.h"

static char captured[65536];

static const char *capture_end(int fds[2])
{
    ssize_t len;

    close(fds[1]);
    len = read(fds[0], captured, sizeof(captured) - 1);
    captured[len > 0 ? len : 0] = '\0';
    close(fds[0]);
    ipmpi_log_set_fd(2);
    return captured;
}

static void a_line_has_name_level_id_text(void **state)
{
    int fds[2];

    (void)state;
    CHECK_EQ(pipe(fds), 0);
    ipmpi_log_set_fd(fds[1]);
    ipmpi_log_set_name("r7");
    ipmpi_log_debug("TEST-LOW", "not shown");
    ipmpi_log_warn("TEST-ID", "value %d", 42);
    CHECK_STR(capture_end(fds) + 8, " r7 W TEST-ID value 42\n");
}

static void a_flood_is_limited(void **state)
{
    struct ipmpi_log_limit limit = {0};
    int fds[2], lines = 0;

    (void)state;
    CHECK_EQ(pipe(fds), 0);
    ipmpi_log_set_fd(fds[1]);
    for (int i = 0; i < 1000; i++)
        ipmpi_log_limited(&limit, IPMPI_LOG_WARN, "TEST-FLOOD", "n %d", i);
    for (const char *p = capture_end(fds); *p != '\0'; p++)
        lines += *p == '\n';
    CHECK_EQ(lines, 5);
    CHECK_EQ(limit.kept_back, 995);
}

static void a_long_line_is_cut_not_lost(void **state)
{
    static char text[5000];
    int fds[2];
    size_t len;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    CHECK_EQ(pipe(fds), 0);
    ipmpi_log_set_fd(fds[1]);
    ipmpi_log_info("TEST-LONG", "%s", text);
    len = strlen(capture_end(fds));
    CHECK(len > 1000 && len < 4096);
    CHECK_EQ(captured[len - 1], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_name_level_id_text),
        cmocka_unit_test(a_flood_is_limited),
        cmocka_unit_test(a_long_line_is_cut_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

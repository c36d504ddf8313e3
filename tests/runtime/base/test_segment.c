/* Segments, opened by other processes: what they see, what they may do to it,
 * and what is left when any of them is killed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/segment.h"
#include "tests/check.h"

#define LEN ((size_t)3 * 1024 * 1024 + 5)

static struct ipmpi_buffer *made;
static struct ipmpi_segment_address address;

static int make(void **state)
{
    (void)state;
    if (ipmpi_segment_create(LEN, &made) != 0 ||
        ipmpi_segment_address(made, &address) != 0)
        return -1;
    memset(ipmpi_buffer_data(made), 7, LEN);
    ipmpi_segment_fill(made, "\7\7\7", 3);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    ipmpi_buffer_release(&made);
    return 0;
}

/* Runs `child` in another process; its exit status, or minus its signal. */
static int in_child(int (*child)(void))
{
    int status;
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0)
        _exit(child());
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static uint8_t *opened(enum ipmpi_segment_access access)
{
    struct ipmpi_buffer *view;

    if (ipmpi_segment_open(&address, access, &view) != 0 ||
        ipmpi_buffer_len(view) != LEN)
        _exit(9);
    return ipmpi_buffer_data(view);
}

static int read_all(void)
{
    const uint8_t *data = opened(IPMPI_SEGMENT_READ);

    for (size_t i = 0; i < LEN; i++) {
        if (data[i] != 7)
            return 1;
    }
    return 0;
}

static int write_copy(void)
{
    uint8_t *data = opened(IPMPI_SEGMENT_COPY);

    data[1] = 8;
    return data[1] == 8 && data[0] == 7 ? 0 : 1;
}

static int fill_last(void)
{
    opened(IPMPI_SEGMENT_FILL)[LEN - 1] = 9;
    return 0;
}

static int write_read_only(void)
{
    signal(SIGSEGV, SIG_DFL); /* not a sanitizer's */
    opened(IPMPI_SEGMENT_READ)[0] = 8;
    return 0;
}

static int be_killed(void)
{
    opened(IPMPI_SEGMENT_COPY)[0] = 8;
    raise(SIGKILL);
    return 0;
}

static void others_see_it(void **state)
{
    (void)state;
    CHECK_EQ(in_child(read_all), 0);
}

static void nobody_changes_it(void **state)
{
    (void)state;
    CHECK_EQ(in_child(write_copy), 0);
    CHECK_EQ(in_child(write_read_only), -SIGSEGV);
    CHECK_EQ(in_child(be_killed), -SIGKILL);
    CHECK_EQ(in_child(read_all), 0);
}

static void who_fills_it_is_seen(void **state)
{
    struct ipmpi_buffer *view;

    (void)state;
    CHECK_EQ(ipmpi_segment_open(&address, IPMPI_SEGMENT_COPY, &view), 0);
    CHECK_EQ(in_child(fill_last), 0);
    CHECK_EQ(((uint8_t *)ipmpi_buffer_data(view))[LEN - 1], 9);
    CHECK_EQ(((uint8_t *)ipmpi_buffer_data(made))[LEN - 1], 9);
    ipmpi_buffer_release(&view);
}

static void a_view_outlives_its_segment(void **state)
{
    struct ipmpi_buffer *view, *late;

    (void)state;
    CHECK_EQ(ipmpi_segment_open(&address, IPMPI_SEGMENT_READ, &view), 0);
    ipmpi_buffer_release(&made);
    CHECK_EQ(((uint8_t *)ipmpi_buffer_data(view))[LEN - 1], 7);
    CHECK_EQ(ipmpi_segment_open(&address, IPMPI_SEGMENT_READ, &late),
             IPMPI_ENOENT);
    ipmpi_buffer_release(&view);
}

static void only_the_file_itself_is_opened(void **state)
{
    struct ipmpi_segment_address wrong[] = {address, address, address, address};
    struct ipmpi_buffer *view;

    (void)state;
    wrong[0].inode++;
    wrong[1].len--;
    wrong[2].pid = -1;
    wrong[3].fd = 0;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_EQ(ipmpi_segment_open(&wrong[i], IPMPI_SEGMENT_READ, &view),
                 IPMPI_ENOENT);
}

static void none_where_there_must_be_none(void **state)
{
    struct ipmpi_segment_address none;
    struct ipmpi_buffer *buffer;

    (void)state;
    CHECK_EQ(ipmpi_buffer_alloc(LEN, &buffer), 0);
    CHECK_EQ(ipmpi_segment_address(buffer, &none), IPMPI_ENOENT);
    ipmpi_buffer_release(&buffer);
    CHECK_EQ(ipmpi_segment_create(0, &buffer), IPMPI_EINVAL);
    setenv(IPMPI_SEGMENT_ENV, "no", 1);
    CHECK_EQ(ipmpi_segment_create(LEN, &buffer), IPMPI_ESYS);
    unsetenv(IPMPI_SEGMENT_ENV);
}

static void filled_as_written(void **state)
{
    struct ipmpi_buffer *plain;

    (void)state;
    CHECK_EQ(ipmpi_buffer_alloc(LEN, &plain), 0);
    memset(ipmpi_buffer_data(plain), 9, LEN);
    ipmpi_segment_fill(made, ipmpi_buffer_data(plain), LEN - 1);
    CHECK_MEM(ipmpi_buffer_data(made), ipmpi_buffer_data(plain), LEN - 1);
    CHECK_EQ(((uint8_t *)ipmpi_buffer_data(made))[LEN - 1], 7);
    ipmpi_segment_fill(plain, ipmpi_buffer_data(made), LEN); /* no segment */
    CHECK_EQ(((uint8_t *)ipmpi_buffer_data(plain))[LEN - 1], 7);
    ipmpi_buffer_release(&plain);
}

static void huge_pages_are_where_the_system_says(void **state)
{
    (void)state;
    CHECK(ipmpi_segment_is_huge(
        "always within_size [advise] never deny force\n"));
    CHECK(ipmpi_segment_is_huge("[always] within_size advise never\n"));
    CHECK(!ipmpi_segment_is_huge("always within_size advise [never] deny\n"));
    CHECK(!ipmpi_segment_is_huge("always within_size advise never [deny]\n"));
    CHECK(!ipmpi_segment_is_huge(""));
}

static void a_node_has_one_name(void **state)
{
    char one[IPMPI_NODE_LEN + 1], two[IPMPI_NODE_LEN + 1];

    (void)state;
    ipmpi_segment_node(one);
    ipmpi_segment_node(two);
    CHECK_STR(one, two);
    CHECK(strlen(one) > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(others_see_it, make, drop),
        cmocka_unit_test_setup_teardown(nobody_changes_it, make, drop),
        cmocka_unit_test_setup_teardown(who_fills_it_is_seen, make, drop),
        cmocka_unit_test_setup_teardown(a_view_outlives_its_segment, make,
                                        drop),
        cmocka_unit_test_setup_teardown(only_the_file_itself_is_opened, make,
                                        drop),
        cmocka_unit_test_setup_teardown(filled_as_written, make, drop),
        cmocka_unit_test(none_where_there_must_be_none),
        cmocka_unit_test(huge_pages_are_where_the_system_says),
        cmocka_unit_test(a_node_has_one_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

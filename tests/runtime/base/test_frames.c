/* Shared buffers and lists of frames: who frees what, and when. */
#include "runtime/base/frames.h"

#include "tests/check.h"

static void count_free(void *data, void *hint)
{
    (void)data;
    ++*(int *)hint;
}

static void last_release_frees_once(void **state)
{
    int freed = 0;
    char bytes[] = "abc";
    struct ipmpi_buffer *b, *b2;

    (void)state;
    CHECK_EQ(ipmpi_buffer_wrap(bytes, 3, count_free, &freed, &b), 0);
    b2 = ipmpi_buffer_share(b);
    ipmpi_buffer_release(&b);
    CHECK(b == NULL);
    CHECK_EQ(freed, 0);
    ipmpi_buffer_release(&b2);
    CHECK_EQ(freed, 1);
    ipmpi_buffer_release(&b2); /* NULL is fine */
}

static void a_list_shares_and_outlives(void **state)
{
    int freed = 0;
    char bytes[] = "hello world";
    struct ipmpi_buffer *b;
    struct ipmpi_frames a = {0}, c = {0}, moved = {0};

    (void)state;
    CHECK_EQ(ipmpi_buffer_wrap(bytes, 11, count_free, &freed, &b), 0);
    CHECK_EQ(ipmpi_frames_add_view(&a, b, 6, 5), 0);
    ipmpi_buffer_release(&b);
    CHECK_EQ(ipmpi_frames_add_copy(&a, "", 0), 0);
    CHECK_EQ(ipmpi_frames_add_static(&a, "xy", 2), 0);
    CHECK_EQ(ipmpi_frames_bytes(&a), 7);
    CHECK_EQ(ipmpi_frames_add_from(&c, &a, 0, 2), 0);
    ipmpi_frames_clear(&a);
    CHECK_EQ(freed, 0);
    ipmpi_frames_move(&moved, &c);
    CHECK_EQ(c.n, 0);
    CHECK_EQ(moved.n, 2);
    CHECK_MEM(moved.at[0].data, "world", 5);
    ipmpi_frames_clear(&moved);
    CHECK_EQ(freed, 1);
}

static void many_frames_grow(void **state)
{
    struct ipmpi_frames a = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(ipmpi_frames_add_copy(&a, &i, sizeof(i)), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_MEM(a.at[i].data, &i, sizeof(i));
    ipmpi_frames_clear(&a);
}

static void the_first_are_replaced(void **state)
{
    int freed = 0;
    char bytes[] = "abc";
    struct ipmpi_buffer *b;
    struct ipmpi_frames a = {0};

    (void)state;
    CHECK_EQ(ipmpi_frames_replace_first(&a, 0, 0), 0);
    CHECK_EQ(ipmpi_buffer_wrap(bytes, 3, count_free, &freed, &b), 0);
    CHECK_EQ(ipmpi_frames_add_view(&a, b, 0, 1), 0);
    ipmpi_buffer_release(&b);
    for (int i = 0; i < 7; i++) /* as many as there is room for at first */
        CHECK_EQ(ipmpi_frames_add_static(&a, "xyzuvwt" + i, 1), 0);
    CHECK_EQ(ipmpi_frames_replace_first(&a, 1, 3), 0);
    CHECK_EQ(freed, 1);
    CHECK_EQ(a.n, 10);
    for (int i = 0; i < 3; i++)
        CHECK(a.at[i].data == NULL && a.at[i].owner == NULL);
    CHECK_MEM(a.at[3].data, "x", 1);
    CHECK_EQ(ipmpi_frames_replace_first(&a, 4, 0), 0);
    CHECK_EQ(a.n, 6);
    CHECK_MEM(a.at[0].data, "y", 1);
    CHECK_EQ(ipmpi_frames_replace_first(&a, 6, 0), 0);
    CHECK_EQ(a.n, 0);
    ipmpi_frames_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_release_frees_once),
        cmocka_unit_test(a_list_shares_and_outlives),
        cmocka_unit_test(many_frames_grow),
        cmocka_unit_test(the_first_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

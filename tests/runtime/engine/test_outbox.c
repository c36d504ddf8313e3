/* The outbox: order, when text is due, who rings, and the bound. */
#include "runtime/engine/outbox.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "tests/check.h"

enum { FAR_US = 60 * 1000 * 1000 };

static struct ipmpi_outbox *outbox;
static const struct ipmpi_frame parent = {(const uint8_t *)"{}", 2, NULL};
static const struct ipmpi_frame other = {(const uint8_t *)"{1}", 3, NULL};

static int open_outbox(void **state)
{
    (void)state;
    return ipmpi_outbox_open(&outbox);
}

static int close_outbox(void **state)
{
    (void)state;
    ipmpi_outbox_destroy(&outbox);
    return 0;
}

static void post_text(const struct ipmpi_frame *of, int fd, const char *text)
{
    CHECK_EQ(ipmpi_outbox_post_text(outbox, of, fd, false, text, strlen(text)),
             0);
}

static void post_flush(size_t cost)
{
    struct ipmpi_item *item = ipmpi_item_create(IPMPI_ITEM_FLUSH, NULL, 0);

    CHECK(item != NULL);
    item->cost = cost;
    ipmpi_outbox_post(outbox, &item);
    CHECK(item == NULL);
}

static bool has_rung(void)
{
    struct pollfd p = {ipmpi_outbox_fd(outbox), POLLIN, 0};

    return poll(&p, 1, 0) == 1;
}

static void check_text(struct ipmpi_item **list, int fd, const char *text)
{
    struct ipmpi_item *item = *list;

    CHECK(item != NULL);
    *list = item->next;
    item->next = NULL;
    CHECK_EQ(item->kind, IPMPI_ITEM_TEXT);
    CHECK_EQ(item->fd, fd);
    CHECK_EQ(item->len, strlen(text));
    CHECK_MEM(item->text, text, item->len);
    ipmpi_item_destroy(&item);
}

static void text_joins_its_kin_and_keeps_the_order(void **state)
{
    struct ipmpi_item *list;

    (void)state;
    post_text(&parent, 1, "a");
    post_text(&parent, 1, "b");
    post_text(&parent, 2, "c");
    post_text(&parent, 1, "d");
    post_text(&other, 1, "e");
    list = ipmpi_outbox_take(outbox, ipmpi_clock_now_us() + FAR_US);
    check_text(&list, 1, "ab");
    check_text(&list, 2, "c");
    check_text(&list, 1, "d");
    check_text(&list, 1, "e");
    CHECK(list == NULL);
}

static void text_waits_for_more(void **state)
{
    const int64_t now = ipmpi_clock_now_us();
    struct ipmpi_item *list;
    int64_t due;

    (void)state;
    CHECK_EQ(ipmpi_outbox_before_sleep(outbox, now, false), -1);
    post_text(&parent, 1, "a");
    CHECK(has_rung()); /* the sleeper must set its timer */
    ipmpi_outbox_after_sleep(outbox);
    due = ipmpi_outbox_before_sleep(outbox, now, false);
    CHECK(due > 0 && due < 5 * 1000 * 1000);
    post_text(&parent, 1, "b");
    CHECK(!has_rung()); /* its timer will see that */
    CHECK(ipmpi_outbox_take(outbox, now) == NULL);
    post_flush(0);
    CHECK(has_rung());
    ipmpi_outbox_after_sleep(outbox);
    CHECK(!has_rung());
    CHECK_EQ(ipmpi_outbox_before_sleep(outbox, now, false), 0);
    post_flush(0);
    CHECK(!has_rung()); /* it was told not to sleep */
    list = ipmpi_outbox_take(outbox, now);
    check_text(&list, 1, "ab");
    ipmpi_item_destroy(&list);
}

/* Asleep for a moment only: that is no reason to ring, all else is. */
static void what_may_wait_does_not_end_a_short_sleep(void **state)
{
    const int64_t now = ipmpi_clock_now_us();
    struct ipmpi_item *item = ipmpi_item_create(IPMPI_ITEM_FLUSH, NULL, 0);

    (void)state;
    CHECK(item != NULL);
    CHECK_EQ(ipmpi_outbox_before_sleep(outbox, now, true), -1);
    ipmpi_outbox_post_soon(outbox, &item);
    CHECK(!has_rung());
    post_flush(0);
    CHECK(has_rung());
    ipmpi_outbox_after_sleep(outbox);
    item = ipmpi_outbox_take(outbox, now);
    CHECK(item != NULL && item->next != NULL);
    ipmpi_item_destroy(&item->next);
    CHECK_EQ(ipmpi_outbox_before_sleep(outbox, now, false), -1);
    ipmpi_outbox_post_soon(outbox, &item);
    CHECK(has_rung());
}

static void much_text_is_due_at_once(void **state)
{
    static char text[64 << 10];
    const int64_t now = ipmpi_clock_now_us();
    struct ipmpi_item *list;

    (void)state;
    post_text(&parent, 1, "a");
    CHECK(ipmpi_outbox_before_sleep(outbox, now, false) > 0);
    CHECK_EQ(
        ipmpi_outbox_post_text(outbox, &parent, 1, true, text, sizeof(text)),
        0);
    CHECK(has_rung());
    list = ipmpi_outbox_take(outbox, now);
    CHECK(list != NULL);
    ipmpi_item_destroy(&list);
}

static void *drain(void *none)
{
    ipmpi_outbox_sent(outbox, 2);
    return none;
}

static void *end(void *none)
{
    ipmpi_outbox_close(outbox);
    return none;
}

static void a_full_outbox_makes_writers_wait(void **state)
{
    pthread_t thread;

    (void)state;
    CHECK_EQ(ipmpi_outbox_wait_room(outbox, 0), 0);
    post_flush(IPMPI_OUTBOX_BOUND);
    CHECK_EQ(ipmpi_outbox_wait_room(outbox, 0), 0);
    post_flush(1);
    CHECK(ipmpi_outbox_is_full(outbox));
    CHECK_EQ(ipmpi_outbox_wait_room(outbox, 0), IPMPI_ETIMEOUT);
    CHECK_EQ(ipmpi_outbox_wait_room(outbox, 20), IPMPI_ETIMEOUT);
    CHECK_EQ(pthread_create(&thread, NULL, drain, NULL), 0);
    CHECK_EQ(ipmpi_outbox_wait_room(outbox, 20000), 0);
    pthread_join(thread, NULL);
    post_flush(2);
    CHECK_EQ(pthread_create(&thread, NULL, end, NULL), 0);
    CHECK_EQ(ipmpi_outbox_wait_room(outbox, 20000), 0); /* the job ends */
    pthread_join(thread, NULL);
    post_flush(IPMPI_OUTBOX_BOUND + 1);
    post_text(&parent, 1, "nobody hears");
    CHECK_EQ(ipmpi_outbox_wait_room(outbox, 0), 0);
    CHECK(ipmpi_outbox_take(outbox, FAR_US) == NULL);
}

enum { WRITERS = 3, LINES = 3000 };

static void *write_lines(void *arg)
{
    const int fd = *(int *)arg;
    char line[16];

    for (int i = 0; i < LINES; i++) {
        const int n = snprintf(line, sizeof(line), "%c%06d\n", 'a' + fd, i);

        CHECK_EQ(
            ipmpi_outbox_post_text(outbox, &parent, fd, false, line, (size_t)n),
            0);
        if (i % 100 == 0)
            post_flush(1);
    }
    return NULL;
}

/* Each writer's lines come in its order, none is lost, none torn. */
static int check_lines(const struct ipmpi_item *item, int *next)
{
    int n = 0;

    if (item->kind != IPMPI_ITEM_TEXT)
        return 0;
    CHECK_EQ(item->len % 8, 0);
    for (size_t at = 0; at < item->len; at += 8, n++) {
        CHECK_EQ(item->text[at], 'a' + item->fd);
        CHECK_EQ(atoi(item->text + at + 1), next[item->fd]++);
    }
    return n;
}

static void many_threads_write(void **state)
{
    pthread_t threads[WRITERS];
    int fds[WRITERS] = {0, 1, 2}, next[WRITERS] = {0}, got = 0;

    (void)state;
    for (int i = 0; i < WRITERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, write_lines, &fds[i]), 0);
    while (got < WRITERS * LINES) {
        struct pollfd p = {ipmpi_outbox_fd(outbox), POLLIN, 0};
        const int64_t due =
            ipmpi_outbox_before_sleep(outbox, ipmpi_clock_now_us(), false);
        struct ipmpi_item *list;

        if (due != 0)
            CHECK(poll(&p, 1, due < 0 ? 20000 : (int)(due / 1000) + 1) >= 0);
        ipmpi_outbox_after_sleep(outbox);
        list = ipmpi_outbox_take(outbox, ipmpi_clock_now_us());
        for (const struct ipmpi_item *i = list; i != NULL; i = i->next) {
            got += check_lines(i, next);
            ipmpi_outbox_sent(outbox, i->cost);
        }
        ipmpi_item_destroy(&list);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
#define WITH_OUTBOX(test) \
    cmocka_unit_test_setup_teardown(test, open_outbox, close_outbox)
    const struct CMUnitTest tests[] = {
        WITH_OUTBOX(text_joins_its_kin_and_keeps_the_order),
        WITH_OUTBOX(text_waits_for_more),
        WITH_OUTBOX(what_may_wait_does_not_end_a_short_sleep),
        WITH_OUTBOX(much_text_is_due_at_once),
        WITH_OUTBOX(a_full_outbox_makes_writers_wait),
        WITH_OUTBOX(many_threads_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

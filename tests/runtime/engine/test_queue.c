/* The queue: order, removal, and that work is never taken twice. */
#include "runtime/engine/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/base/error.h"
#include "runtime/engine/protocol.h"
#include "tests/check.h"

static struct ipmpi_queue *queue;

static void push(uint64_t ref, uint16_t kind)
{
    struct ipmpi_frames frames = {0};
    struct ipmpi_work *work;

    for (int i = 0; i < IPMPI_WORK_AT_BUFFERS; i++)
        CHECK_EQ(ipmpi_frames_add_static(&frames, "{}", 2), 0);
    CHECK_EQ(ipmpi_work_create(&frames, &work), 0);
    work->ref = ref;
    work->kind = kind;
    ipmpi_queue_push(queue, &work);
    CHECK(work == NULL);
}

static int open_queue(void **state)
{
    (void)state;
    return ipmpi_queue_create(&queue);
}

static int close_queue(void **state)
{
    (void)state;
    ipmpi_queue_destroy(&queue);
    return 0;
}

/* Checks the refs of a list against those given, 0 at the end; frees it. */
static void check_list(struct ipmpi_work *list, const uint64_t *refs)
{
    struct ipmpi_work *all = list;

    for (; list != NULL; list = list->next)
        CHECK_EQ(list->ref, *refs++);
    CHECK_EQ(*refs, 0);
    ipmpi_work_destroy(&all);
}

static void check_next(uint64_t ref)
{
    struct ipmpi_work *work = ipmpi_queue_take(queue);

    CHECK(work != NULL);
    CHECK_EQ(work->ref, ref);
    ipmpi_work_destroy(&work);
}

static void removal_keeps_the_order(void **state)
{
    const uint64_t wanted[] = {1, 4, 6, 77};

    (void)state;
    for (uint64_t i = 1; i <= 6; i++)
        push(i, (uint16_t)(1 + i % 2));
    check_list(ipmpi_queue_remove_refs(queue, wanted, 4),
               (uint64_t[]){1, 4, 6, 0});
    push(7, 1); /* the end must have moved with the last one removed */
    CHECK_EQ(ipmpi_queue_length(queue), 4);
    check_list(ipmpi_queue_remove_kind(queue, 2), (uint64_t[]){3, 5, 0});
    check_next(2);
    check_next(7);
    CHECK(ipmpi_queue_take(queue) == NULL);
    push(8, 1);
    check_list(ipmpi_queue_remove_kind(queue, 0), (uint64_t[]){8, 0});
    push(9, 1);
    check_next(9);
    push(10, 1); /* freed with the queue */
}

static void push_task(uint64_t ref)
{
    struct ipmpi_frames frames = {0};
    struct ipmpi_work *work;

    for (int i = 0; i < IPMPI_WORK_AT_BUFFERS; i++)
        CHECK_EQ(ipmpi_frames_add_static(&frames, "{}", 2), 0);
    CHECK_EQ(ipmpi_work_create(&frames, &work), 0);
    work->ref = ref;
    work->flags = IPMPI_WORK_STEALABLE;
    ipmpi_queue_push(queue, &work);
}

/* Of the tasks sent ahead one at a time stands in line with other work. */
static void tasks_and_other_work_take_turns(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        push_task(i);
    push(101, 1);
    check_next(1); /* it came before */
    push(102, 1);
    ipmpi_queue_ended(queue, IPMPI_WORK_STEALABLE);
    push(103, 1);
    check_next(101);
    ipmpi_queue_ended(queue, 0);
    check_next(102);
    ipmpi_queue_ended(queue, 0);
    check_next(2); /* stands in line since the end of 1 */
    ipmpi_queue_ended(queue, IPMPI_WORK_STEALABLE);
    check_next(103);
    check_next(3);
    ipmpi_queue_ended(queue, IPMPI_WORK_STEALABLE);
    check_next(4);
    CHECK(!ipmpi_queue_is_dry(queue));
    CHECK(ipmpi_queue_take(queue) == NULL);
    CHECK(ipmpi_queue_is_dry(queue));
    push_task(5);
    CHECK(!ipmpi_queue_is_dry(queue));
}

static void the_newest_tasks_are_stolen(void **state)
{
    const uint64_t two = 2;

    (void)state;
    push(101, 1);
    for (uint64_t i = 1; i <= 5; i++)
        push_task(i);
    check_list(ipmpi_queue_remove_refs(queue, &two, 1), (uint64_t[]){2, 0});
    check_list(ipmpi_queue_steal(queue, false), (uint64_t[]){4, 5, 0});
    CHECK_EQ(ipmpi_queue_length(queue), 3);
    check_next(101);
    check_next(1); /* runs */
    check_list(ipmpi_queue_steal(queue, false), (uint64_t[]){3, 0});
    CHECK(ipmpi_queue_steal(queue, false) == NULL);
    ipmpi_queue_ended(queue, IPMPI_WORK_STEALABLE);
    push_task(6); /* an idle owner keeps its only one */
    CHECK(ipmpi_queue_steal(queue, false) == NULL);
    check_next(6);
}

static void too_few_frames_are_no_work(void **state)
{
    struct ipmpi_frames frames = {0};
    struct ipmpi_work *work;

    (void)state;
    CHECK_EQ(ipmpi_frames_add_static(&frames, "{}", 2), 0);
    CHECK_EQ(ipmpi_work_create(&frames, &work), IPMPI_EFRAME);
    CHECK_EQ(frames.n, 1);
    ipmpi_frames_clear(&frames);
}

enum { MANY = 4000 };

static atomic_int seen[MANY + 1];

static void see_and_free(struct ipmpi_work *list)
{
    for (struct ipmpi_work *w = list; w != NULL; w = w->next)
        atomic_fetch_add(&seen[w->ref], 1);
    ipmpi_work_destroy(&list);
}

static void *take_until_the_last(void *none)
{
    struct ipmpi_work *work;
    bool last = false;

    while (!last) {
        work = ipmpi_queue_take(queue);
        last = work != NULL && work->ref == MANY;
        see_and_free(work);
    }
    return none;
}

static void each_is_taken_or_removed_once(void **state)
{
    pthread_t taker;

    (void)state;
    CHECK_EQ(pthread_create(&taker, NULL, take_until_the_last, NULL), 0);
    for (uint64_t i = 1; i < MANY; i++) {
        const uint64_t refs[] = {i - 1, i};

        push(i, 1);
        if (i % 7 == 0)
            see_and_free(ipmpi_queue_remove_refs(queue, refs, 2));
    }
    push(MANY, 1);
    pthread_join(taker, NULL);
    for (int i = 1; i <= MANY; i++)
        CHECK_EQ(atomic_load(&seen[i]), 1);
}

static void push_child(uint64_t ref)
{
    push(ref, IPMPI_WORK_CHILD);
}

static void check_child(uint64_t wanted, uint64_t ref)
{
    struct ipmpi_work *work = ipmpi_queue_take_child(queue, wanted);

    CHECK(work != NULL);
    CHECK_EQ(work->ref, ref);
    ipmpi_work_destroy(&work);
}

/* Wherever it waits, of any number of children; else the newest. */
static void a_child_is_found(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 7; n++) {
        for (uint64_t wanted = 1; wanted <= n; wanted++) {
            for (uint64_t i = 1; i <= n; i++)
                push_child(i);
            check_child(wanted, wanted);
            for (uint64_t i = n; i >= 1; i--)
                if (i != wanted)
                    check_child(99, i);
            CHECK(ipmpi_queue_take_child(queue, wanted) == NULL);
        }
    }
    CHECK_EQ(ipmpi_queue_length(queue), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(removal_keeps_the_order, open_queue,
                                        close_queue),
        cmocka_unit_test_setup_teardown(tasks_and_other_work_take_turns,
                                        open_queue, close_queue),
        cmocka_unit_test_setup_teardown(the_newest_tasks_are_stolen, open_queue,
                                        close_queue),
        cmocka_unit_test_setup_teardown(a_child_is_found, open_queue,
                                        close_queue),
        cmocka_unit_test(too_few_frames_are_no_work),
        cmocka_unit_test_setup_teardown(each_is_taken_or_removed_once,
                                        open_queue, close_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

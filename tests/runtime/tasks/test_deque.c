/* The deque: its two ends, and halves of what waits. */
#include "runtime/tasks/deque.h"

#include <stdlib.h>

#include "tests/check.h"

struct task {
    struct ipmpi_deque_item at; /* first, so that an item is its task */
    int number;
    uint64_t weight;
    bool whole; /* cannot be divided */
};

static struct task tasks[1024];
static size_t n_tasks;

static struct ipmpi_deque_item *make(int number, uint64_t weight, bool whole)
{
    struct task *task = &tasks[n_tasks++ % 1024];

    *task = (struct task){.number = number, .weight = weight, .whole = whole};
    return &task->at;
}

static int number_of(struct ipmpi_deque_item *item)
{
    return item == NULL ? -1 : ((struct task *)(void *)item)->number;
}

static uint64_t weight(void *ctx, const struct ipmpi_deque_item *item)
{
    (void)ctx;
    return ((const struct task *)(const void *)item)->weight;
}

static struct ipmpi_deque_item *split(void *ctx, struct ipmpi_deque_item *item,
                                      uint64_t part)
{
    struct task *task = (struct task *)(void *)item;

    (void)ctx;
    if (task->whole)
        return NULL;
    CHECK(0 < part && part < task->weight);
    task->weight -= part;
    return make(task->number + 100, part, false);
}

static const struct ipmpi_deque_parts parts = {NULL, weight, split};

static void order_of_the_owner(void **state)
{
    struct ipmpi_deque deque = {0};
    static const int expected[] = {12, 11, 1, 2, 3, -1};

    (void)state;
    for (int i = 1; i <= 3; i++)
        ipmpi_deque_push_far(&deque, make(i, 1, true));
    ipmpi_deque_push_near(&deque, make(11, 1, true));
    ipmpi_deque_push_near(&deque, make(12, 1, true));
    CHECK_EQ(deque.n, 5);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(number_of(ipmpi_deque_peek(&deque)), expected[i]);
        CHECK_EQ(number_of(ipmpi_deque_take(&deque)), expected[i]);
    }
    CHECK_EQ(deque.n, 0);
}

static void removal(void **state)
{
    struct ipmpi_deque deque = {0};
    struct ipmpi_deque_item *middle = make(2, 1, true);

    (void)state;
    ipmpi_deque_push_far(&deque, make(1, 1, true));
    ipmpi_deque_push_far(&deque, middle);
    ipmpi_deque_push_far(&deque, make(3, 1, true));
    ipmpi_deque_remove(&deque, middle);
    CHECK_EQ(number_of(ipmpi_deque_take(&deque)), 1);
    CHECK_EQ(number_of(ipmpi_deque_take(&deque)), 3);
}

/* How many of n an owner loses, busy or idle; the rest and the loot keep
 * their order. */
static void halves(void **state)
{
    static const struct {
        int n, busy, idle;
    } rows[] = {{0, 0, 0}, {1, 1, 0}, {2, 1, 1},      {3, 2, 1},
                {4, 2, 2}, {9, 5, 4}, {900, 256, 256}};

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        for (int busy = 0; busy < 2; busy++) {
            const int taken = busy ? rows[r].busy : rows[r].idle;
            struct ipmpi_deque deque = {0}, loot = {0};

            for (int i = 0; i < rows[r].n; i++)
                ipmpi_deque_push_far(&deque, make(i, 1, true));
            ipmpi_deque_steal_half(&deque, busy, NULL, &loot);
            CHECK_EQ(loot.n, taken);
            CHECK_EQ(deque.n, rows[r].n - taken);
            for (int i = 0; i < rows[r].n; i++)
                CHECK_EQ(number_of(ipmpi_deque_take(
                             i < rows[r].n - taken ? &deque : &loot)),
                         i);
        }
    }
}

static void parts_of_ranges(void **state)
{
    struct ipmpi_deque deque = {0}, loot = {0};

    (void)state;
    ipmpi_deque_push_far(&deque, make(1, 100, false));
    ipmpi_deque_push_far(&deque, make(2, 20, false));
    ipmpi_deque_steal_half(&deque, false, &parts, &loot);
    CHECK_EQ(deque.n, 1);
    CHECK_EQ(weight(NULL, ipmpi_deque_peek(&deque)), 60);
    CHECK_EQ(loot.n, 2);
    CHECK_EQ(number_of(ipmpi_deque_take(&loot)), 101); /* 40 of the 100 */
    CHECK_EQ(number_of(ipmpi_deque_take(&loot)), 2);
}

/* What cannot be divided goes whole, but an idle owner keeps its only one. */
static void heavy_ones(void **state)
{
    struct ipmpi_deque deque = {0}, loot = {0};

    (void)state;
    ipmpi_deque_push_far(&deque, make(1, 10, true));
    ipmpi_deque_steal_half(&deque, false, &parts, &loot);
    CHECK_EQ(loot.n, 0);
    ipmpi_deque_steal_half(&deque, true, &parts, &loot);
    CHECK_EQ(loot.n, 1);
    CHECK_EQ(deque.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_the_owner),
        cmocka_unit_test(removal),
        cmocka_unit_test(halves),
        cmocka_unit_test(parts_of_ranges),
        cmocka_unit_test(heavy_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

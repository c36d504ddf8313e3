/* Tasks from numbers.
 *
 * A tree's root has ROOT_CHILDREN children; every other node has CHILDREN with
 * probability CHANCE, else none, so that a subtree has 1 / (1 - CHILDREN *
 * CHANCE) = 200 nodes on average. */
#include "tests/model/load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/queue.h"

#define SHAPE   1.5
#define LONGEST 15.0 /* means */
#define CHANCE  0.124375
enum { ROOT_CHILDREN = 20, CHILDREN = 8, DEPTH_MOST = 5000 };

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* In (0, 1]. */
static double fraction(uint64_t seed)
{
    return ((double)(mix(seed) >> 11) + 1) / 9007199254740992.0;
}

static int64_t pareto(uint64_t seed, int64_t mean_ns)
{
    const double least = (double)mean_ns * (SHAPE - 1) / SHAPE;
    const double most = (double)mean_ns * LONGEST;

    return (int64_t)fmin(least * pow(fraction(seed), -1 / SHAPE), most);
}

void model_load_task(struct model_task *task, enum model_shape shape,
                     uint64_t seed, uint64_t number, int64_t mean_ns)
{
    memset(task, 0, sizeof(*task));
    task->seed = mix(seed ^ mix(number));
    task->work_ns =
        shape == MODEL_PARETO ? pareto(task->seed, mean_ns) : mean_ns;
}

unsigned model_load_children(const struct model_task *task,
                             enum model_shape shape)
{
    if (shape != MODEL_TREE || task->depth >= DEPTH_MOST)
        return 0;
    if (task->depth == 0)
        return ROOT_CHILDREN;
    return fraction(task->seed) <= CHANCE ? CHILDREN : 0;
}

void model_load_child(struct model_task *child, const struct model_task *parent,
                      unsigned number)
{
    memset(child, 0, sizeof(*child));
    child->seed = mix(parent->seed + number + 1);
    child->work_ns = parent->work_ns;
    child->depth = parent->depth + 1;
}

/* Depth first, with a stack of nodes whose children are still to be counted. */
static void add_tree(const struct model_task *root, struct model_sum *sum)
{
    struct model_task *stack = NULL, node;
    size_t n = 0, cap = 0;

    node = *root;
    for (;;) {
        const unsigned children = model_load_children(&node, MODEL_TREE);
        const int64_t path = (node.depth + 1) * node.work_ns;

        sum->tasks++;
        sum->work_ns += node.work_ns;
        sum->longest_ns = path > sum->longest_ns ? path : sum->longest_ns;
        if (n + children > cap) {
            cap = 2 * cap + children;
            stack = model_grow(stack, cap, sizeof(*stack));
        }
        for (unsigned i = 0; i < children; i++)
            model_load_child(&stack[n++], &node, i);
        if (n == 0)
            break;
        node = stack[--n];
    }
    free(stack);
}

void model_load_sum(enum model_shape shape, uint64_t seed, uint64_t roots,
                    int64_t mean_ns, struct model_sum *sum_out)
{
    struct model_task task;

    *sum_out = (struct model_sum){0};
    for (uint64_t i = 0; i < roots; i++) {
        model_load_task(&task, shape, seed, i, mean_ns);
        if (shape == MODEL_TREE) {
            add_tree(&task, sum_out);
            continue;
        }
        sum_out->tasks++;
        sum_out->work_ns += task.work_ns;
        if (task.work_ns > sum_out->longest_ns)
            sum_out->longest_ns = task.work_ns;
    }
}

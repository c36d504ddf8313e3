/* What there is to do: tasks and how long they take. Everything follows from
 * the seed.
 *
 *   uniform  all tasks take the mean
 *   pareto   shape 1.5, cut at 15 means: most are short, some very long
 *   tree     a task has children, which it submits where it runs: a binomial
 *            tree as that of UTS (Olivier, Huan, Liu, Prins, Dinan, Sadayappan,
 *            Tseng: UTS: An Unbalanced Tree Search Benchmark, LCPC 2006);
 *            subtrees differ without bound */
#ifndef IPMPI_TESTS_MODEL_LOAD_H
#define IPMPI_TESTS_MODEL_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/tasks/deque.h"
#include "runtime/tasks/holdings.h"

enum model_shape { MODEL_UNIFORM, MODEL_PARETO, MODEL_TREE };

struct model_task {
    struct ipmpi_deque_item in_deque;
    struct ipmpi_held held; /* in its origin's account, if that is an engine */
    uint64_t seed;
    int64_t work_ns;
    int origin;     /* MODEL_RANK0, or the engine whose task submitted it */
    int depth;      /* in the tree */
    unsigned begun; /* how often */
    unsigned decided;
    bool movable; /* any engine may run it */
    bool orphan;  /* it was held by an engine that died */
};

/* Fills in a task of rank 0's: the one with this number. */
void model_load_task(struct model_task *task, enum model_shape shape,
                     uint64_t seed, uint64_t number, int64_t mean_ns);

/* How many children it has, and fills in one of them. */
unsigned model_load_children(const struct model_task *task,
                             enum model_shape shape);
void model_load_child(struct model_task *child, const struct model_task *parent,
                      unsigned number);

struct model_sum {
    uint64_t tasks;
    int64_t work_ns, longest_ns; /* of one task, or of one path in the tree */
};

/* All that `roots` tasks and their descendants are. */
void model_load_sum(enum model_shape shape, uint64_t seed, uint64_t roots,
                    int64_t mean_ns, struct model_sum *sum_out);

#endif

/* The parts of rank 0 in the model: what it is told (rank0_in.c), what it says
 * (rank0_out.c), and when (rank0.c).
 *
 * Invariant: tasks are submitted in order, and are rank 0's only jobs: a
 *            task's ref is its number plus one. Engine n has rank n + 1.
 * Threads:   one. */
#ifndef IPMPI_TESTS_MODEL_RANK0_INTERNAL_H
#define IPMPI_TESTS_MODEL_RANK0_INTERNAL_H

#include <stdio.h>
#include <stdlib.h>

#include "bridge/hub/outlets.h"
#include "tests/model/world.h"

static inline void model_must(int err)
{
    if (err != 0) {
        fprintf(stderr, "model: error %d\n", err);
        abort();
    }
}

static inline int model_rank_of(int engine)
{
    return engine + 1;
}

static inline int model_engine_of(int rank)
{
    return rank - 1;
}

static inline uint64_t model_ref_of(const struct model_world *world,
                                    const struct model_task *task)
{
    return (uint64_t)(task - world->tasks) + 1;
}

static inline struct model_task *model_task_of(struct model_world *world,
                                               uint64_t ref)
{
    return &world->tasks[ref - 1];
}

/* ---- rank0_out.c: outlets of the hub; ctx is the world --------------- */

void model_to_rank(void *ctx, int rank, struct ipmpi_frames *frames);
void model_to_client(void *ctx, enum ipmpi_door door,
                     struct ipmpi_frames *frames);

/* All have been told of a death: now they hear of it. */
void model_flush_death(struct model_world *world);

/* ---- rank0_in.c ------------------------------------------------------ */

/* The client's next task. */
void model_take_from_client(struct model_world *world);

/* What an engine, or its nanny, says. */
void model_hear(struct model_world *world, const struct model_event *event);

#endif

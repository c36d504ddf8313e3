/* A simulated job on messages that take virtual time: rank 0 is the product's
 * own hub with its schedulers (bridge/), engines run the product's scheduling
 * core (runtime/tasks). No Python, no MPI, no sockets.
 *
 * What is modelled: rank 0 serves one message after another, and each costs
 * it time; messages between ranks arrive after a latency, in order; an engine
 * runs one task at a time and answers messages meanwhile; engines die, and
 * rank 0 hears of it a while later. What is not: bandwidth, and clients, whose
 * tasks wait at rank 0's door from the start.
 *
 * Threads: one. */
#ifndef IPMPI_TESTS_MODEL_WORLD_H
#define IPMPI_TESTS_MODEL_WORLD_H

#include "bridge/hub/hub.h"
#include "runtime/tasks/limbo.h"
#include "runtime/tasks/stealer.h"
#include "tests/model/load.h"
#include "tests/model/queue.h"

#define MODEL_RANK0 (-1)

struct model_settings {
    int engines, per_node;
    enum model_shape shape;
    uint64_t tasks; /* that clients submit */
    int64_t mean_ns;
    int64_t overhead_ns;     /* an engine's, for each task */
    int64_t near_ns, far_ns; /* latency on a node, between nodes */
    int64_t rank0_ns;        /* rank 0's time for a message in or out */
    int64_t client_ns;       /* and for a client's request, and for the reply */
    int prefetch;            /* tasks ahead of the one that runs */
    bool steal;
    double fail;       /* share of the engines that dies */
    int64_t notice_ns; /* until rank 0 hears of a death */
    uint64_t seed;
};

struct model_result {
    uint64_t tasks, decided, lost, twice, again; /* again: begun once more */
    uint64_t rank0_in, rank0_out; /* messages, without the client's */
    uint64_t thefts, stolen, asked, deaths;
    int64_t makespan_ns, ideal_ns, rank0_busy_ns;
    int64_t rank0_code_ns; /* real processor time in the product's code */
    int64_t recovery_ns;   /* from the last death until all that the dead had
                            * held was decided */
    uint64_t events;
};

enum model_kind {
    /* rank 0 or the origin -> engine */
    MODEL_WORK,
    MODEL_GRANT,
    MODEL_GIVE,
    /* engine -> engine */
    MODEL_STEAL,
    MODEL_EMPTY,
    MODEL_LOOT,
    MODEL_WAKE,
    /* engine -> origin */
    MODEL_BUSY,
    MODEL_REPLY,
    MODEL_HANDOVER,
    MODEL_HUNGRY,
    MODEL_MISSING,
    /* what happens by itself */
    MODEL_ENDED,  /* a task, on its engine */
    MODEL_TURN,   /* rank 0 serves the next message */
    MODEL_DEATH,  /* of an engine */
    MODEL_NOTICE, /* rank 0 hears of it */
    MODEL_GONE,   /* all engines hear of it */
};

struct model_world;

struct model_engine {
    struct model_world *world;
    int number;
    bool dead;
    struct ipmpi_deque deque;
    struct ipmpi_deque line; /* tasks that no other engine may run */
    struct ipmpi_limbo limbo;
    struct ipmpi_stealer stealer;
    struct model_task *running;
    struct ipmpi_holder holder; /* in the accounts of other engines */
};

struct model_rank0 {
    struct model_event *inbox;
    size_t first, n, cap;
    bool serving, client_next;
    int64_t now_ns;     /* while it serves */
    int64_t free_ns;    /* when it had served the last */
    uint64_t submitted; /* of the clients' tasks */
    struct ipmpi_hub hub;
    struct ipmpi_key *key;
    int told_dead; /* engines are being told that this one is; -1: none */
    bool closing;
};

struct model_world {
    struct model_settings set;
    struct model_result result;
    struct model_queue queue;
    int64_t now_ns;
    struct ipmpi_seating *seating;
    struct model_engine *engines;
    struct model_rank0 rank0;
    struct model_task *tasks;   /* of rank 0 */
    struct model_task **chunks; /* children, by CHUNK */
    size_t nchildren, nchunks;
    uint64_t undecided;
    int64_t last_death_ns;
    uint64_t orphans; /* held by the dead and not decided since */
};

/* Runs it to the end. Returns false if it came to a halt before all tasks were
 * decided; the result tells. */
bool model_run(const struct model_settings *settings,
               struct model_result *result_out);

/* Sends a message that arrives after the latency; `when_ns`: it leaves. */
void model_send(struct model_world *world, int64_t when_ns,
                struct model_event event);

/* One more task in the world, all zero. */
struct model_task *model_new_task(struct model_world *world);

/* A task has its result, or is given up. */
void model_decide(struct model_world *world, struct model_task *task,
                  bool lost);

/* engine.c: what engines do. */
void model_engine_open(struct model_world *world, int number);
void model_engine_close(struct model_engine *engine);
void model_engine_event(struct model_engine *engine, struct model_event *event);

/* rank0.c */
void model_rank0_open(struct model_world *world);
void model_rank0_close(struct model_world *world);
void model_rank0_event(struct model_world *world, struct model_event *event);

static inline struct model_task *model_task_at(struct ipmpi_deque_item *item)
{
    return item == NULL
               ? NULL
               : (struct model_task *)((char *)item -
                                       offsetof(struct model_task, in_deque));
}

#endif

/* Who waits for whom: from a task's msg_id to the jobs that depend on it. Jobs
 * are named by ref, so an edge to a job that is gone is harmless.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_GRAPH_H
#define IPMPI_SCHEDULERS_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

struct ipmpi_dependents {
    char *msg_id;
    uint64_t *refs;
    size_t n, cap;
    UT_hash_handle hh;
};

struct ipmpi_graph {
    struct ipmpi_dependents *by_id;
};

/* `ref` waits for `msg_id`. IPMPI_ENOMEM. */
int ipmpi_graph_add(struct ipmpi_graph *graph, const char *msg_id,
                    uint64_t ref);

/* Takes the dependents of a task that ended out of the graph; NULL if there
 * are none. The caller frees them with ipmpi_dependents_free. */
struct ipmpi_dependents *ipmpi_graph_take(struct ipmpi_graph *graph,
                                          const char *msg_id);
void ipmpi_dependents_free(struct ipmpi_dependents *dependents);
void ipmpi_graph_clear(struct ipmpi_graph *graph);

#endif

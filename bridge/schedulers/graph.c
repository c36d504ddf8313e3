/* The graph of waiting tasks. */
#include "bridge/schedulers/graph.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

static struct ipmpi_dependents *get(struct ipmpi_graph *graph,
                                    const char *msg_id)
{
    struct ipmpi_dependents *d;

    HASH_FIND_STR(graph->by_id, msg_id, d);
    if (d != NULL)
        return d;
    d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    d->msg_id = strdup(msg_id);
    if (d->msg_id == NULL) {
        free(d);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, graph->by_id, d->msg_id, strlen(d->msg_id), d);
    return d;
}

int ipmpi_graph_add(struct ipmpi_graph *graph, const char *msg_id, uint64_t ref)
{
    struct ipmpi_dependents *d = get(graph, msg_id);

    if (d == NULL)
        return IPMPI_ENOMEM;
    if (d->n > 0 && d->refs[d->n - 1] == ref)
        return 0;
    if (d->n == d->cap) {
        const size_t cap = d->cap > 0 ? 2 * d->cap : 4;
        uint64_t *refs = reallocarray(d->refs, cap, sizeof(*refs));

        if (refs == NULL)
            return IPMPI_ENOMEM;
        d->refs = refs;
        d->cap = cap;
    }
    d->refs[d->n++] = ref;
    return 0;
}

struct ipmpi_dependents *ipmpi_graph_take(struct ipmpi_graph *graph,
                                          const char *msg_id)
{
    struct ipmpi_dependents *d;

    HASH_FIND_STR(graph->by_id, msg_id, d);
    if (d != NULL)
        HASH_DEL(graph->by_id, d);
    return d;
}

void ipmpi_dependents_free(struct ipmpi_dependents *dependents)
{
    if (dependents == NULL)
        return;
    free(dependents->msg_id);
    free(dependents->refs);
    free(dependents);
}

void ipmpi_graph_clear(struct ipmpi_graph *graph)
{
    while (graph->by_id != NULL)
        ipmpi_dependents_free(ipmpi_graph_take(graph, graph->by_id->msg_id));
}

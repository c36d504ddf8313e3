/* Trees by which parcels travel (protocol.h, note [parcels]): k-nomial over
 * the nodes, and on each node over its engines; so a body crosses the network
 * once for each node.
 *
 * Threads: any; pure. */
#ifndef IPMPI_SCHEDULERS_TREE_H
#define IPMPI_SCHEDULERS_TREE_H

#include <stddef.h>

#include "runtime/engine/protocol.h"

/* One engine of a world. */
struct ipmpi_tree_place {
    const char *node; /* lent; the same text: the same node */
    int rank;         /* in the world */
    size_t member;    /* the caller's */
};

#define IPMPI_TREE_ROOT ((size_t)-1)

/* Lays a tree over the places, which it sorts: legs_out[i] and parent_out[i]
 * (the place that passes it on, or IPMPI_TREE_ROOT) are those of places[i],
 * and places[0] is the root. n is not 0. */
void ipmpi_tree_lay(struct ipmpi_tree_place *places, size_t n,
                    struct ipmpi_leg *legs_out, size_t *parent_out);

#endif

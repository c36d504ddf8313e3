/* k-nomial trees (Thakur, Rabenseifner, Gropp 2005, section 4; k = 4). Who is
 * at place p of a tree gets the data from the place that is p without its
 * lowest digit, base k, that is not 0; so its part of the tree is a row of
 * places, which begins with p.
 * Cost: log_k of the nodes + log_k of a node's engines, in steps. */
#include "bridge/schedulers/tree.h"

#include <stdlib.h>
#include <string.h>

enum { K = 4 };

static int compare(const void *a, const void *b)
{
    const struct ipmpi_tree_place *x = a, *y = b;
    const int by_node = strcmp(x->node, y->node);

    return by_node != 0 ? by_node : (x->rank > y->rank) - (x->rank < y->rank);
}

/* The value of the lowest digit's place that is not 0; p is not 0. */
static size_t place_of(size_t p)
{
    size_t place = 1;

    while (p / place % K == 0)
        place *= K;
    return place;
}

static size_t parent_of(size_t p)
{
    const size_t place = place_of(p);

    return p - p / place % K * place;
}

/* How many places, of n, the part of p has. */
static size_t span_of(size_t p, size_t n)
{
    if (p == 0)
        return n;
    return place_of(p) < n - p ? place_of(p) : n - p;
}

/* Where the node's engines end that begin at `first`. */
static size_t end_of_node(const struct ipmpi_tree_place *places, size_t n,
                          size_t first)
{
    size_t end = first + 1;

    while (end < n && strcmp(places[end].node, places[first].node) == 0)
        end++;
    return end;
}

/* The tree within a node; its first engine's part is set elsewhere. */
static void lay_node(const struct ipmpi_tree_place *places, size_t first,
                     size_t end, struct ipmpi_leg *legs, size_t *parent)
{
    for (size_t p = 1; p < end - first; p++) {
        legs[first + p] = (struct ipmpi_leg){
            .rank = places[first + p].rank,
            .size = (uint32_t)span_of(p, end - first),
            .local = 1,
        };
        parent[first + p] = first + parent_of(p);
    }
}

void ipmpi_tree_lay(struct ipmpi_tree_place *places, size_t n,
                    struct ipmpi_leg *legs_out, size_t *parent_out)
{
    size_t nodes = 0;

    qsort(places, n, sizeof(*places), compare);
    for (size_t at = 0; at < n; at = end_of_node(places, n, at))
        nodes++;
    for (size_t at = 0, p = 0; at < n; p++) {
        const size_t next = end_of_node(places, n, at);
        size_t above = 0, end = at;

        for (size_t i = 0; p > 0 && i < parent_of(p); i++)
            above = end_of_node(places, n, above);
        for (size_t i = 0; i < span_of(p, nodes); i++)
            end = end_of_node(places, n, end);
        legs_out[at] = (struct ipmpi_leg){.rank = places[at].rank,
                                          .size = (uint32_t)(end - at)};
        parent_out[at] = p > 0 ? above : IPMPI_TREE_ROOT;
        lay_node(places, at, next, legs_out, parent_out);
        at = next;
    }
}

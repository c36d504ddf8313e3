/* Members by the nodes that they are on, and groups of one member a node. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

int ipmpi_leader_of(const int *node, int i, int root)
{
    int leader = 0;

    if (node[i] == node[root])
        return root;
    while (node[leader] != node[i])
        leader++;
    return leader;
}

int ipmpi_group_narrow(struct ipmpi_group *group, const int *node, int root,
                       int *root_out, struct ipmpi_group *whole_out)
{
    int *rank = ipmpi_group_alloc(group, (size_t)group->n * sizeof(*rank));
    int n = 0, me = 0;

    if (rank == NULL)
        return IPMPI_ENOMEM;
    for (int i = 0; i < group->n; i++) {
        if (ipmpi_leader_of(node, i, root) != i)
            continue;
        me = i == group->me ? n : me;
        *root_out = i == root ? n : *root_out;
        rank[n++] = group->rank[i];
    }
    *whole_out = *group;
    group->plain = group->plain && n == group->n;
    group->spread = true;
    group->rank = rank;
    group->n = n;
    group->me = me;
    return 0;
}

void ipmpi_group_widen(struct ipmpi_group *group,
                       const struct ipmpi_group *whole)
{
    group->plain = whole->plain;
    group->spread = whole->spread;
    group->rank = whole->rank;
    group->n = whole->n;
    group->me = whole->me;
}

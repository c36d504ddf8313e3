/* For large data: scatter, then allgather in a ring; van de Geijn's, in
 * Barnett et al. 1994.
 * Cost: 2 (p - 1) latencies, 2 n (p - 1) / p bytes through each member. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

int ipmpi_bcast_scatter_ring(struct ipmpi_group *group, void *data, size_t len,
                             int root)
{
    const size_t n = (size_t)group->n;
    size_t *sizes = ipmpi_group_alloc(group, n * sizeof(*sizes));
    uint8_t *mine;
    int err;

    if (sizes == NULL)
        return IPMPI_ENOMEM;
    for (size_t i = 0; i < n; i++)
        sizes[i] = len / n + (i < len % n);
    mine = (uint8_t *)data + ipmpi_offset(sizes, group->me);
    err = ipmpi_scatter_linear(group, data, mine, sizes, root);
    return err == 0 ? ipmpi_allgather_ring(group, data, sizes) : err;
}

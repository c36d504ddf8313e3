/* The root sends each its piece, from where it lies: for large pieces.
 * Cost: at the root p - 1 latencies and all the bytes once, without a copy. */
#include "collectives/internal.h"

#include <string.h>

int ipmpi_scatter_linear(struct ipmpi_group *group, const void *all,
                         void *mine_out, const size_t *sizes, int root)
{
    const size_t len = sizes[group->me];
    const uint8_t *at = all;
    int err = 0;

    if (group->me != root) {
        err = ipmpi_group_receive(group, mine_out, len, root);
        return err == 0 ? ipmpi_group_wait(group, false) : err;
    }
    for (int i = 0; i < group->n && err == 0; i++) {
        if (i != root)
            err = ipmpi_group_send(group, at, sizes[i], i);
        else if (len > 0)
            memmove(mine_out, at, len);
        at += sizes[i];
    }
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

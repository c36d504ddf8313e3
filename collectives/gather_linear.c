/* Everyone sends to the root, which receives in place: for large pieces, where
 * a tree would carry them several times.
 * Cost: at the root p - 1 latencies and all the bytes once, without a copy. */
#include "collectives/internal.h"

#include <string.h>

int ipmpi_gather_linear(struct ipmpi_group *group, const void *mine,
                        void *all_out, const size_t *sizes, int root)
{
    const size_t len = sizes[group->me];
    uint8_t *at = all_out;
    int err = 0;

    if (group->me != root) {
        err = ipmpi_group_send(group, mine, len, root);
        return err == 0 ? ipmpi_group_wait(group, false) : err;
    }
    for (int i = 0; i < group->n && err == 0; i++) {
        if (i != root)
            err = ipmpi_group_receive(group, at, sizes[i], i);
        else if (len > 0)
            memmove(at, mine, len);
        at += sizes[i];
    }
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

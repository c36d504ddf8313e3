/* Dissemination barrier (Hensgen, Finkel, Manber 1988): ceil(lg p) rounds. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

int ipmpi_barrier_dissemination(struct ipmpi_group *group)
{
    const int n = group->n, me = group->me;
    uint8_t *byte = ipmpi_group_alloc(group, 2); /* may outlive this call */
    int err = byte == NULL ? IPMPI_ENOMEM : 0;

    if (err == 0)
        byte[0] = 0;
    for (int step = 1; step < n && err == 0; step *= 2)
        err = ipmpi_group_exchange(group, byte, 1, (me + step) % n, byte + 1, 1,
                                   (me - step + n) % n);
    return err;
}

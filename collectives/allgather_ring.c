/* Ring: each passes on what it received last; pieces of any sizes, in place
 * (Thakur, Rabenseifner, Gropp 2005, section 4.1).
 * Cost: p - 1 rounds; every byte through every member once. */
#include "collectives/internal.h"

int ipmpi_allgather_ring(struct ipmpi_group *group, void *all,
                         const size_t *sizes)
{
    const int n = group->n, me = group->me;
    const int left = (me + n - 1) % n, right = (me + 1) % n;
    uint8_t *at = all;
    int err = 0;

    for (int i = 0; i < n - 1 && err == 0; i++) {
        const int out = (me - i + n) % n, in = (me - i - 1 + n) % n;

        err = ipmpi_group_exchange(
            group, at + ipmpi_offset(sizes, out), sizes[out], right,
            at + ipmpi_offset(sizes, in), sizes[in], left);
    }
    return err;
}

/* Pairwise exchange: in round i each sends to the member i after it and
 * receives from the one i before (Thakur, Rabenseifner, Gropp 2005, 4.4).
 * Cost: p - 1 rounds, every byte once, straight to its place. */
#include "collectives/internal.h"

#include <string.h>

int ipmpi_alltoall_pairwise(struct ipmpi_group *group, const void *all,
                            const size_t *sizes, void *all_out,
                            const size_t *sizes_out)
{
    const int n = group->n, me = group->me;
    const uint8_t *from = all;
    uint8_t *to = all_out;
    int err = 0;

    if (sizes[me] > 0)
        memcpy(to + ipmpi_offset(sizes_out, me), from + ipmpi_offset(sizes, me),
               sizes[me]);
    for (int i = 1; i < n && err == 0; i++) {
        const int right = (me + i) % n, left = (me - i + n) % n;

        err = ipmpi_group_exchange(
            group, from + ipmpi_offset(sizes, right), sizes[right], right,
            to + ipmpi_offset(sizes_out, left), sizes_out[left], left);
    }
    return err;
}

/* Bruck et al. 1997: in round k everyone passes what it has to the member 2^k
 * before it; for small pieces of one size.
 * Cost: ceil(lg p) rounds, p n bytes through each member. */
#include "collectives/internal.h"

#include <string.h>

#include "runtime/base/error.h"

int ipmpi_allgather_bruck(struct ipmpi_group *group, const void *mine,
                          size_t len, void *all_out, bool patient)
{
    const int n = group->n, me = group->me;
    uint8_t *room = ipmpi_group_alloc(group, (size_t)n * len);
    uint8_t *all = all_out;
    int err = 0;

    if (room == NULL)
        return IPMPI_ENOMEM;
    if (len == 0)
        return 0;
    memcpy(room, mine, len);
    for (int have = 1; have < n && err == 0; have *= 2) {
        const int count = have < n - have ? have : n - have;

        err = ipmpi_group_receive(group, room + (size_t)have * len,
                                  (size_t)count * len, (me + have) % n);
        if (err == 0)
            err = ipmpi_group_send(group, room, (size_t)count * len,
                                   (me - have + n) % n);
        if (err == 0)
            err = ipmpi_group_wait(group, patient);
    }
    for (int i = 0; i < n && err == 0; i++) /* room[i] is member me + i's */
        memcpy(all + (size_t)((me + i) % n) * len, room + (size_t)i * len, len);
    return err;
}

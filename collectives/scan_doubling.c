/* Recursive doubling (Hillis, Steele 1986): in round k each gets the sum of
 * the 2^k members before those it has, and passes on what it had.
 * Cost: ceil(lg p) rounds of latency + n bytes + n operations. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

int ipmpi_scan_doubling(struct ipmpi_group *group, void *data,
                        const struct ipmpi_numbers *numbers)
{
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    const int n = group->n, me = group->me;
    void *room = ipmpi_group_alloc(group, len);
    int err = room == NULL ? IPMPI_ENOMEM : 0;

    for (int step = 1; step < n && err == 0; step *= 2) {
        if (me >= step)
            err = ipmpi_group_receive(group, room, len, me - step);
        if (err == 0 && me + step < n)
            err = ipmpi_group_send(group, data, len, me + step);
        if (err == 0)
            err = ipmpi_group_wait(group, false);
        if (err == 0 && me >= step)
            err = ipmpi_combine(room, data, numbers, numbers->count);
    }
    return err;
}

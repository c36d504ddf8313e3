/* Binomial tree towards the root (Thakur, Rabenseifner, Gropp 2005, 4.6). The
 * operations are commutative, so the tree may start at any root.
 * Cost: lg p rounds of latency + n bytes + n operations. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

int ipmpi_reduce_binomial(struct ipmpi_group *group, void *data,
                          const struct ipmpi_numbers *numbers, int root)
{
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    const int n = group->n, me = (group->me - root + n) % n;
    void *room = ipmpi_group_alloc(group, len);
    int err = room == NULL ? IPMPI_ENOMEM : 0;

    for (int step = 1; step < n && err == 0; step *= 2) {
        if (me & step) {
            err = ipmpi_group_send(group, data, len, (me - step + root) % n);
            return err == 0 ? ipmpi_group_wait(group, false) : err;
        }
        if (me + step >= n)
            continue;
        err = ipmpi_group_receive(group, room, len, (me + step + root) % n);
        if (err == 0)
            err = ipmpi_group_wait(group, false);
        if (err == 0)
            err = ipmpi_combine(room, data, numbers, numbers->count);
    }
    return err;
}

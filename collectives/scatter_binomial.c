/* Binomial tree, the gather backwards: each member receives what its subtree
 * needs and passes the halves on; for small pieces.
 * Cost: lg p rounds; the root copies and sends all the bytes once. */
#include "collectives/internal.h"

#include <string.h>

#include "runtime/base/error.h"

static size_t bytes_of(const struct ipmpi_group *group, const size_t *sizes,
                       int root, int first, int count)
{
    size_t sum = 0;

    for (int i = first; i < first + count && i < group->n; i++)
        sum += sizes[(i + root) % group->n];
    return sum;
}

/* From the group's order to that which starts at the root. */
static void roll(const struct ipmpi_group *group, const uint8_t *from,
                 uint8_t *to, const size_t *sizes, int root)
{
    const size_t before = ipmpi_offset(sizes, root);
    const size_t rest = ipmpi_offset(sizes, group->n) - before;

    if (rest > 0)
        memcpy(to, from + before, rest);
    if (before > 0)
        memcpy(to + rest, from, before);
}

int ipmpi_scatter_binomial(struct ipmpi_group *group, const void *all,
                           void *mine_out, const size_t *sizes, int root)
{
    const int n = group->n, me = (group->me - root + n) % n;
    const size_t len = sizes[group->me];
    uint8_t *room;
    int step, err = 0;

    for (step = 1; step < n && (me & step) == 0; step *= 2)
        ; /* our subtree: `step` members from us on */
    room = ipmpi_group_alloc(group, bytes_of(group, sizes, root, me, step));
    if (room == NULL)
        return IPMPI_ENOMEM;
    if (me == 0) {
        roll(group, all, room, sizes, root);
    } else {
        err = ipmpi_group_receive(group, room,
                                  bytes_of(group, sizes, root, me, step),
                                  (me - step + root) % n);
        if (err == 0)
            err = ipmpi_group_wait(group, false);
    }
    for (int k = step / 2; k > 0 && err == 0; k /= 2) {
        if (me + k < n)
            err = ipmpi_group_send(
                group, room + bytes_of(group, sizes, root, me, k),
                bytes_of(group, sizes, root, me + k, k), (me + k + root) % n);
    }
    if (err == 0 && len > 0)
        memcpy(mine_out, room, len);
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

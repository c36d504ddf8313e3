/* Binomial tree: each member collects its subtree, then hands it to its
 * parent; for small pieces (Thakur, Rabenseifner, Gropp 2005, section 4.3).
 * Cost: lg p rounds; the root receives all the bytes once and copies them. */
#include "collectives/internal.h"

#include <string.h>

#include "runtime/base/error.h"

/* The bytes of `count` members from place `first`, counted from the root. */
static size_t bytes_of(const struct ipmpi_group *group, const size_t *sizes,
                       int root, int first, int count)
{
    size_t sum = 0;

    for (int i = first; i < first + count && i < group->n; i++)
        sum += sizes[(i + root) % group->n];
    return sum;
}

/* From the order that starts at the root to the group's. */
static void unroll(const struct ipmpi_group *group, const uint8_t *from,
                   uint8_t *to, const size_t *sizes, int root)
{
    const size_t before = ipmpi_offset(sizes, root);
    const size_t rest = ipmpi_offset(sizes, group->n) - before;

    if (rest > 0)
        memcpy(to + before, from, rest);
    if (before > 0)
        memcpy(to, from + rest, before);
}

int ipmpi_gather_binomial(struct ipmpi_group *group, const void *mine,
                          void *all_out, const size_t *sizes, int root)
{
    const int n = group->n, me = (group->me - root + n) % n;
    uint8_t *room;
    size_t have = sizes[group->me];
    int step, err = 0;

    for (step = 1; step < n && (me & step) == 0; step *= 2)
        ; /* our subtree: `step` members from us on */
    room = ipmpi_group_alloc(group, bytes_of(group, sizes, root, me, step));
    if (room == NULL)
        return IPMPI_ENOMEM;
    if (have > 0)
        memcpy(room, mine, have);
    for (int k = 1; k < step && me + k < n && err == 0; k *= 2) {
        const size_t len = bytes_of(group, sizes, root, me + k, k);

        err = ipmpi_group_receive(group, room + have, len, (me + k + root) % n);
        have += len;
    }
    if (err == 0)
        err = ipmpi_group_wait(group, false);
    if (err != 0)
        return err;
    if (me == 0) {
        unroll(group, room, all_out, sizes, root);
        return 0;
    }
    err = ipmpi_group_send(group, room, have, (me - step + root) % n);
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

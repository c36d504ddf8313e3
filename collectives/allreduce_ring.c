/* Ring: reduce-scatter, then allgather, both around a ring (Patarasuk, Yuan
 * 2009: bandwidth-optimal); for large data. Each piece is reduced in one order
 * only, so all members get the same bits.
 * Cost: 2 (p - 1) rounds; 2 n (p - 1) / p bytes through each member. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

int ipmpi_allreduce_ring(struct ipmpi_group *group, void *data,
                         const struct ipmpi_numbers *numbers)
{
    const size_t size = ipmpi_number_size(numbers->number);
    const int n = group->n, me = group->me;
    const int left = (me + n - 1) % n, right = (me + 1) % n;
    const size_t p = (size_t)n, most = numbers->count / p + 1;
    size_t *sizes = ipmpi_group_alloc(group, p * sizeof(*sizes));
    void *room = ipmpi_group_alloc(group, most * size);
    uint8_t *at = data;
    int err = 0;

    if (sizes == NULL || room == NULL)
        return IPMPI_ENOMEM;
    for (size_t i = 0; i < p; i++)
        sizes[i] = (numbers->count / p + (i < numbers->count % p)) * size;
    /* After the rounds member i has the whole of piece i. */
    for (int i = 0; i < n - 1 && err == 0; i++) {
        const int out = (me - i - 1 + n) % n, in = (me - i - 2 + 2 * n) % n;

        err = ipmpi_group_exchange(group, at + ipmpi_offset(sizes, out),
                                   sizes[out], right, room, sizes[in], left);
        if (err == 0)
            err = ipmpi_combine(room, at + ipmpi_offset(sizes, in), numbers,
                                sizes[in] / size);
    }
    return err == 0 ? ipmpi_allgather_ring(group, data, sizes) : err;
}

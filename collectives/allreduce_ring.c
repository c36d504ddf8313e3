/* Ring: reduce-scatter, then allgather, both around a ring (Patarasuk, Yuan
 * 2009: bandwidth-optimal); for large data. Each piece is reduced in one order
 * only, so all members get the same bits.
 * Cost: 2 (p - 1) rounds; 2 n (p - 1) / p bytes through each member. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

/* One round of the first half: what comes from the left is combined with our
 * own numbers. It lands where the result will be, if that is not where our own
 * numbers are. */
static int reduce_round(struct ipmpi_group *group, const uint8_t *out,
                        size_t out_len, const uint8_t *own, uint8_t *in,
                        uint8_t *room, size_t in_len,
                        const struct ipmpi_numbers *numbers)
{
    const size_t count = in_len / ipmpi_number_size(numbers->number);
    const int n = group->n, right = (group->me + 1) % n;
    const int left = (group->me + n - 1) % n;
    uint8_t *const come = room != NULL ? room : in;
    int err =
        ipmpi_group_exchange(group, out, out_len, right, come, in_len, left);

    if (err != 0)
        return err;
    return ipmpi_combine(room != NULL ? room : own, in, numbers, count);
}

int ipmpi_allreduce_ring(struct ipmpi_group *group, const void *mine,
                         void *data, const struct ipmpi_numbers *numbers)
{
    const size_t size = ipmpi_number_size(numbers->number);
    const int n = group->n, me = group->me;
    const size_t p = (size_t)n, most = numbers->count / p + 1;
    size_t *sizes = ipmpi_group_alloc(group, p * sizeof(*sizes));
    const uint8_t *own = mine != NULL ? mine : data;
    uint8_t *at = data, *room = NULL;
    int err = 0;

    if (mine == NULL)
        room = ipmpi_group_alloc(group, most * size);
    if (sizes == NULL || (mine == NULL && room == NULL))
        return IPMPI_ENOMEM;
    for (size_t i = 0; i < p; i++)
        sizes[i] = (numbers->count / p + (i < numbers->count % p)) * size;
    /* After the rounds member i has the whole of piece i. */
    for (int i = 0; i < n - 1 && err == 0; i++) {
        const int out = (me - i - 1 + n) % n, in = (me - i - 2 + 2 * n) % n;
        const size_t from = ipmpi_offset(sizes, out);
        const size_t to = ipmpi_offset(sizes, in);

        err = reduce_round(group, (i == 0 ? own : at) + from, sizes[out],
                           own + to, at + to, room, sizes[in], numbers);
    }
    return err == 0 ? ipmpi_allgather_ring(group, data, sizes) : err;
}

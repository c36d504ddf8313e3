/* Which algorithm does what: by size, and by whether all ranks of the world
 * take part. The cross-over points are those usual for shared memory; they
 * have not been measured here.
 *
 * | verb      | whole world, below / from      | subset, below / from       |
 * |-----------|--------------------------------|----------------------------|
 * | bcast     | plain MPI / scatter and ring   | k-nomial / scatter and ring |
 * | gather    | binomial / linear              | the same                   |
 * | scatter   | binomial / linear              | the same                   |
 * | allgather | Bruck (pieces alike) / ring    | the same                   |
 * | reduce    | plain MPI                      | binomial                   |
 * | allreduce | plain MPI / ring               | doubling / ring            |
 * | scan      | plain MPI                      | doubling                   |
 * | alltoall  | pairwise                       | the same                   |
 * | barrier   | plain MPI                      | dissemination              |
 */
#include "collectives/internal.h"

#include <string.h>

#include "runtime/base/error.h"

enum {
    LARGE_BCAST = 128 * 1024,
    LARGE_ALLREDUCE = 32 * 1024,
    LARGE_PIECE = 8 * 1024, /* of gather and scatter */
    LARGE_BLOCK = 4 * 1024, /* of allgather */
};

static size_t total(const struct ipmpi_group *group, const size_t *sizes)
{
    return ipmpi_offset(sizes, group->n);
}

static bool are_alike(const struct ipmpi_group *group, const size_t *sizes)
{
    for (int i = 1; i < group->n; i++) {
        if (sizes[i] != sizes[0])
            return false;
    }
    return true;
}

static bool is_member(const struct ipmpi_group *group, int root)
{
    return root >= 0 && root < group->n;
}

static bool are_large(const struct ipmpi_group *group, const size_t *sizes)
{
    return total(group, sizes) / (size_t)group->n >= LARGE_PIECE;
}

int ipmpi_bcast(struct ipmpi_group *group, void *data, size_t len, int root)
{
    if (!is_member(group, root))
        return IPMPI_EINVAL;
    if (group->n == 1 || len == 0)
        return 0;
    if (len >= LARGE_BCAST && group->n > 2)
        return ipmpi_bcast_scatter_ring(group, data, len, root);
    return group->plain ? ipmpi_plain_bcast(group, data, len, root)
                        : ipmpi_bcast_knomial(group, data, len, root);
}

int ipmpi_gather(struct ipmpi_group *group, const void *mine, void *all_out,
                 const size_t *sizes, int root)
{
    if (!is_member(group, root))
        return IPMPI_EINVAL;
    return group->n <= 2 || are_large(group, sizes)
               ? ipmpi_gather_linear(group, mine, all_out, sizes, root)
               : ipmpi_gather_binomial(group, mine, all_out, sizes, root);
}

int ipmpi_scatter(struct ipmpi_group *group, const void *all, void *mine_out,
                  const size_t *sizes, int root)
{
    if (!is_member(group, root))
        return IPMPI_EINVAL;
    return group->n <= 2 || are_large(group, sizes)
               ? ipmpi_scatter_linear(group, all, mine_out, sizes, root)
               : ipmpi_scatter_binomial(group, all, mine_out, sizes, root);
}

int ipmpi_allgather(struct ipmpi_group *group, const void *mine, void *all_out,
                    const size_t *sizes)
{
    const size_t len = sizes[group->me];

    if (len < LARGE_BLOCK && are_alike(group, sizes))
        return ipmpi_allgather_bruck(group, mine, len, all_out, false);
    if (len > 0)
        memmove((uint8_t *)all_out + ipmpi_offset(sizes, group->me), mine, len);
    return ipmpi_allgather_ring(group, all_out, sizes);
}

int ipmpi_alltoall(struct ipmpi_group *group, const void *all,
                   const size_t *sizes, void *all_out, const size_t *sizes_out)
{
    return ipmpi_alltoall_pairwise(group, all, sizes, all_out, sizes_out);
}

int ipmpi_barrier(struct ipmpi_group *group)
{
    return group->plain ? ipmpi_plain_barrier(group)
                        : ipmpi_barrier_dissemination(group);
}

/* Nothing to do is not an error; a wrong operation is, also then. */
static int check(const struct ipmpi_group *group,
                 const struct ipmpi_numbers *numbers, bool *idle_out)
{
    *idle_out = group->n == 1 || numbers->count == 0;
    return ipmpi_numbers_can(numbers->number, numbers->operation)
               ? 0
               : IPMPI_EINVAL;
}

static bool use_plain(const struct ipmpi_group *group,
                      const struct ipmpi_numbers *numbers)
{
    return group->plain && !ipmpi_sum_is_ours(numbers);
}

int ipmpi_reduce(struct ipmpi_group *group, void *data,
                 const struct ipmpi_numbers *numbers, int root)
{
    bool idle;
    int err =
        is_member(group, root) ? check(group, numbers, &idle) : IPMPI_EINVAL;

    if (err != 0 || idle)
        return err;
    return use_plain(group, numbers)
               ? ipmpi_plain_reduce(group, data, numbers, root)
               : ipmpi_reduce_binomial(group, data, numbers, root);
}

int ipmpi_allreduce(struct ipmpi_group *group, const void *mine, void *data,
                    const struct ipmpi_numbers *numbers)
{
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    bool idle;
    int err = check(group, numbers, &idle);

    if (err != 0)
        return err;
    if (!idle && len >= LARGE_ALLREDUCE)
        return ipmpi_allreduce_ring(group, mine, data, numbers);
    if (!idle && use_plain(group, numbers))
        return ipmpi_plain_allreduce(group, mine, data, numbers);
    if (mine != NULL && len > 0)
        memcpy(data, mine, len);
    return idle ? 0 : ipmpi_allreduce_doubling(group, data, numbers);
}

int ipmpi_scan(struct ipmpi_group *group, void *data,
               const struct ipmpi_numbers *numbers)
{
    bool idle;
    int err = check(group, numbers, &idle);

    if (err != 0 || idle)
        return err;
    return use_plain(group, numbers)
               ? ipmpi_plain_scan(group, data, numbers)
               : ipmpi_scan_doubling(group, data, numbers);
}

/* Which algorithm does what: by size, by whether all ranks of the world take
 * part, and by whether the members are on nodes of their own.
 *
 * | verb      | whole world, below / from     | subset, below / from          |
 * |-----------|-------------------------------|-------------------------------|
 * | bcast     | k-nomial / plain MPI          | k-nomial                      |
 * |  on nodes | as above / scatter and ring   | k-nomial / scatter and ring   |
 * | gather    | linear; small pieces of many: binomial                        |
 * | scatter   | linear; small pieces of many: binomial                        |
 * | allgather | Bruck (pieces alike) / ring   | the same                      |
 * | reduce    | binomial                      | binomial                      |
 * | allreduce | plain MPI / ring              | doubling / ring               |
 * |  on nodes | one result for a node, in shared memory, for who can take it |
 * | scan      | doubling / plain MPI          | doubling                      |
 * | alltoall  | pairwise                      | the same                      |
 * | barrier   | plain MPI                     | dissemination                 |
 *
 * The cross-over points are from tests/bench/bench_collectives, measured on
 * 2026-11-23: 2 cores, Open MPI 4.1.4 within one node, with 4, 8 and 16 ranks,
 * so that ranks wait for a core more often than for data: few messages win.
 * Medians, in microseconds; in brackets what the other algorithm took:
 *
 * |                       |   4 ranks    |    8 ranks     |    16 ranks     |
 * |-----------------------|--------------|----------------|-----------------|
 * | bcast 4 KiB           |   28 (30)    |    78 (92)     |    231 (280)    |
 * | bcast 256 KiB, plain  |   79 (77)    |   265 (218)    |    722 (921)    |
 * | bcast 2 MiB, plain    |  414 (418)   |  1636 (2072)   |   5790 (5300)   |
 * | gather 512 B, linear  |   20 (24)    |    66 (69)     |    124 (165)    |
 * | gather 256 KiB        |   95 (167)   |   249 (725)    |   1053 (4292)   |
 * | scatter 256 KiB       |  100 (162)   |   575 (3976)   |   3824 (15236)  |
 * | allgather 4 KiB Bruck |   54 (77)    |   689 (886)    |  11192 (15444)  |
 * | allgather 32 KiB ring |  104 (193)   |  3333 (2483)   |  14749 (28342)  |
 * | reduce 4 KiB binomial |   30 (62)    |    49 (99)     |    272 (1606)   |
 * | reduce 2 MiB binomial | 1324 (2704)  | 12048 (16668)  |  41866 (28856)  |
 * | allreduce 4 KiB plain |   65 (84)    |    90 (711)    |   1432 (8540)   |
 * | allreduce 256 KiB     |  369 (554)   |  4204 (4750)   |  17097 (23777)  |
 * | allreduce 2 MiB ring  | 6448 (5737)  | 19914 (29967)  | 111604 (32486)  |
 * | allreduce 16 MiB ring*|      -       | 167925 (229352) | 311855 (406044) |
 * | allreduce 2 MiB, node**| 25759 (17538) | 27967 (35580) | 45314 (64908)   |
 * | allreduce 16 MiB **   | 179559 (127125) | 162210 (221179) |      -        |
 * | scan 64 B doubling    |    2 (25)    |     9 (175)    |    244 (800)    |
 * | scan 4 KiB plain      |   48 (76)    |   293 (465)    |    560 (1635)   |
 *
 * (*: without MPI's single copies between processes. **: of
 * ipmpi_allreduce_shared, on 2026-11-30 on a busy machine: only the ratios
 * count. Its result was new memory each time, the others' was warm. On engines,
 * where all is new, it takes 0.4 to 0.9 of the ring's time, with 2 to 16.)
 *
 * Scatter and ring was never the fastest broadcast among ranks of one node. It
 * moves least through each link, and is for members that share none; that, and
 * binomial trees for many, is what the models say: no such machine was there.
 */
#include "collectives/internal.h"

#include <string.h>

#include "runtime/base/error.h"

enum {
    LARGE_BCAST = 128 * 1024,
    LARGE_ALLREDUCE = 4 * 1024 * 1024,
    LARGE_ALLREDUCE_SUBSET = 1024 * 1024,
    LARGE_BLOCK = 32 * 1024, /* of allgather */
    LARGE_SCAN = 256,
    SMALL_PIECE = 1024, /* of gather and scatter, */
    MANY = 32,          /* with as many members */
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

/* Whether a tree spares the root many small messages. */
static bool suits_tree(const struct ipmpi_group *group, const size_t *sizes)
{
    return group->n >= MANY &&
           total(group, sizes) / (size_t)group->n < SMALL_PIECE;
}

int ipmpi_bcast(struct ipmpi_group *group, void *data, size_t len, int root)
{
    if (!is_member(group, root))
        return IPMPI_EINVAL;
    if (group->n == 1 || len == 0)
        return 0;
    if (len < LARGE_BCAST)
        return ipmpi_bcast_knomial(group, data, len, root);
    if (group->spread && group->n > 2)
        return ipmpi_bcast_scatter_ring(group, data, len, root);
    return group->plain ? ipmpi_plain_bcast(group, data, len, root)
                        : ipmpi_bcast_knomial(group, data, len, root);
}

int ipmpi_gather(struct ipmpi_group *group, const void *mine, void *all_out,
                 const size_t *sizes, int root)
{
    if (!is_member(group, root))
        return IPMPI_EINVAL;
    return suits_tree(group, sizes)
               ? ipmpi_gather_binomial(group, mine, all_out, sizes, root)
               : ipmpi_gather_linear(group, mine, all_out, sizes, root);
}

int ipmpi_scatter(struct ipmpi_group *group, const void *all, void *mine_out,
                  const size_t *sizes, int root)
{
    if (!is_member(group, root))
        return IPMPI_EINVAL;
    return suits_tree(group, sizes)
               ? ipmpi_scatter_binomial(group, all, mine_out, sizes, root)
               : ipmpi_scatter_linear(group, all, mine_out, sizes, root);
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
    return ipmpi_reduce_binomial(group, data, numbers, root);
}

int ipmpi_allreduce(struct ipmpi_group *group, const void *mine, void *data,
                    const struct ipmpi_numbers *numbers)
{
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    const size_t large =
        group->plain ? LARGE_ALLREDUCE : LARGE_ALLREDUCE_SUBSET;
    bool idle;
    int err = check(group, numbers, &idle);

    if (err != 0)
        return err;
    if (!idle && len >= large)
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
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    bool idle;
    int err = check(group, numbers, &idle);

    if (err != 0 || idle)
        return err;
    return use_plain(group, numbers) && len >= LARGE_SCAN
               ? ipmpi_plain_scan(group, data, numbers)
               : ipmpi_scan_doubling(group, data, numbers);
}

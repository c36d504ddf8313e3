/* All algorithms, at any number of ranks, over the whole world and subsets, for
 * sizes on both sides of the cross-over points, against what arithmetic says.
 */
#include <mpi.h>

#include <stdlib.h>

#include "collectives/internal.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "tests/check.h"

static MPI_Comm world;
static int world_rank, world_size;
static uint64_t last_id;

static int go_on(void *ctx)
{
    const int64_t *until = ctx;

    return ipmpi_clock_now_us() > *until ? IPMPI_ETIMEOUT : 0;
}

static int64_t deadline;

/* The members: every `stride`th rank, in rising or falling order. */
static struct ipmpi_group *open_group(int stride, bool falling)
{
    struct ipmpi_group *group = NULL;
    int ranks[64], n = 0;
    uint8_t byte = 7, all[64];

    last_id++;
    deadline = ipmpi_clock_now_us() + 30 * 1000000;
    for (int i = 0; i < world_size; i += stride)
        ranks[n++] = i;
    for (int i = 0; falling && i < n / 2; i++) {
        const int other = ranks[n - 1 - i];

        ranks[n - 1 - i] = ranks[i];
        ranks[i] = other;
    }
    if (world_rank % stride != 0) {
        CHECK_EQ(ipmpi_group_open((uintptr_t)world, ranks, n, last_id, go_on,
                                  &deadline, &group),
                 IPMPI_EINVAL);
        return NULL;
    }
    CHECK_EQ(ipmpi_group_open((uintptr_t)world, ranks, n, last_id, go_on,
                              &deadline, &group),
             0);
    CHECK_EQ(ipmpi_group_size(group), n);
    CHECK_EQ(ipmpi_agree(group, &byte, 1, all), 0);
    CHECK_EQ(all[n - 1], 7);
    CHECK_EQ(group->plain, n == world_size && (!falling || n == 1));
    return group;
}

typedef void check_fn(struct ipmpi_group *group, size_t len);

static void in_all_groups(check_fn *check)
{
    static const size_t lens[] = {0, 1, 24, 1000, 40000, 300000};

    for (int stride = 1; stride <= 3; stride++) {
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            struct ipmpi_group *group = open_group(stride, i % 2 == 1);

            if (group == NULL)
                continue;
            check(group, lens[i]);
            CHECK_EQ(ipmpi_group_close(&group), true);
        }
    }
}

static uint8_t byte_of(int member, size_t at)
{
    return (uint8_t)((size_t)member * 37 + at * 11 + (at >> 8));
}

static uint8_t *filled(int member, size_t from, size_t len)
{
    uint8_t *data = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        data[i] = byte_of(member, from + i);
    return data;
}

static bool is_filled(const uint8_t *data, int member, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != byte_of(member, from + i))
            return false;
    }
    return true;
}

/* ---- bcast ---------------------------------------------------------- */

typedef int bcast_fn(struct ipmpi_group *, void *, size_t, int);

static void check_bcast(struct ipmpi_group *group, size_t len)
{
    bcast_fn *const how[] = {ipmpi_bcast, ipmpi_bcast_knomial,
                             ipmpi_bcast_scatter_ring};

    for (int root = 0; root < group->n; root++) {
        for (size_t i = 0; i < 3; i++) {
            uint8_t *data = filled(group->me, 5, len);

            CHECK_EQ(how[i](group, data, len, root), 0);
            CHECK(is_filled(data, root, 5, len));
            free(data);
        }
    }
    CHECK_EQ(ipmpi_bcast(group, NULL, 0, group->n), IPMPI_EINVAL);
}

static void bcast(void **state)
{
    (void)state;
    in_all_groups(check_bcast);
}

/* Members on one node, on nodes of their own, on two; the rows of a table. */
static void make_nodes(const struct ipmpi_group *group, int how, int *node)
{
    for (int i = 0; i < group->n; i++)
        node[i] = how == 0 ? 3 : how == 1 ? i : i % 2;
}

static void check_bcast_shared(struct ipmpi_group *group, size_t len)
{
    struct ipmpi_buffer *buffer = NULL;
    int node[64] = {0};

    for (int how = 0; how < 3; how++) {
        for (int root = 0; root < group->n; root++) {
            uint8_t *data = filled(group->me, 5, len);
            int err;

            make_nodes(group, how, node);
            err = ipmpi_bcast_shared(group, group->me == root ? data : NULL,
                                     len, root, node, &buffer);
            CHECK_EQ(err, len == 0 ? IPMPI_EINVAL : 0);
            free(data);
            if (err != 0)
                continue;
            CHECK_EQ(ipmpi_buffer_len(buffer), len);
            CHECK(is_filled(ipmpi_buffer_data(buffer), root, 5, len));
            ipmpi_buffer_release(&buffer);
        }
    }
    CHECK(group->kept == NULL);
}

static void bcast_shared(void **state)
{
    (void)state;
    in_all_groups(check_bcast_shared);
    if (world_rank % 2 == 1) /* some have none, or all */
        setenv("IPMPI_SHARE", "no", 1);
    in_all_groups(check_bcast_shared);
    setenv("IPMPI_SHARE", "no", 1);
    in_all_groups(check_bcast_shared);
    unsetenv("IPMPI_SHARE");
}

/* ---- gather, scatter, allgather: pieces alike, and uneven with empty ones */

static void make_sizes(const struct ipmpi_group *group, size_t len, bool uneven,
                       size_t *sizes)
{
    for (int i = 0; i < group->n; i++)
        sizes[i] = uneven ? len * (size_t)(i % 3) : len;
}

static void check_all(const struct ipmpi_group *group, const uint8_t *all,
                      const size_t *sizes)
{
    for (int i = 0; i < group->n; i++)
        CHECK(is_filled(all + ipmpi_offset(sizes, i), i, 0, sizes[i]));
}

typedef int gather_fn(struct ipmpi_group *, const void *, void *,
                      const size_t *, int);

static void check_gather(struct ipmpi_group *group, size_t len)
{
    gather_fn *const how[] = {ipmpi_gather, ipmpi_gather_binomial,
                              ipmpi_gather_linear};
    size_t sizes[64];

    for (int i = 0; i < 6; i++) {
        const int root = (i * 5) % group->n;
        uint8_t *mine, *all;

        make_sizes(group, len, i % 2, sizes);
        mine = filled(group->me, 0, sizes[group->me]);
        all = malloc(ipmpi_offset(sizes, group->n) + 1);
        CHECK_EQ(how[i / 2](group, mine, all, sizes, root), 0);
        if (group->me == root)
            check_all(group, all, sizes);
        free(mine);
        free(all);
    }
}

static void gather(void **state)
{
    (void)state;
    in_all_groups(check_gather);
}

static void check_scatter(struct ipmpi_group *group, size_t len)
{
    gather_fn *const how[] = {ipmpi_scatter, ipmpi_scatter_binomial,
                              ipmpi_scatter_linear};
    size_t sizes[64];

    for (int i = 0; i < 6; i++) {
        const int root = (i * 5) % group->n;
        uint8_t *mine, *all;

        make_sizes(group, len, i % 2, sizes);
        all = filled(9, 0, ipmpi_offset(sizes, group->n));
        mine = malloc(sizes[group->me] + 1);
        CHECK_EQ(how[i / 2](group, group->me == root ? all : NULL, mine, sizes,
                            root),
                 0);
        CHECK(is_filled(mine, 9, ipmpi_offset(sizes, group->me),
                        sizes[group->me]));
        free(mine);
        free(all);
    }
}

static void scatter(void **state)
{
    (void)state;
    in_all_groups(check_scatter);
}

static void check_allgather(struct ipmpi_group *group, size_t len)
{
    size_t sizes[64];

    for (int i = 0; i < 3; i++) {
        uint8_t *mine, *all;
        int err;

        make_sizes(group, len, i == 1, sizes);
        mine = filled(group->me, 0, sizes[group->me]);
        all = malloc(ipmpi_offset(sizes, group->n) + 1);
        err = i == 2 ? ipmpi_allgather_bruck(group, mine, len, all, false)
                     : ipmpi_allgather(group, mine, all, sizes);
        CHECK_EQ(err, 0);
        check_all(group, all, sizes);
        free(mine);
        free(all);
    }
}

static void allgather(void **state)
{
    (void)state;
    in_all_groups(check_allgather);
}

/* Member i has for member j the bytes of (i, j); some have none. */
static size_t share(int i, int j, size_t len)
{
    return len * (size_t)((i + 2 * j) % 3) / 2;
}

static void check_alltoall(struct ipmpi_group *group, size_t len)
{
    const int me = group->me;
    size_t out_sizes[64], in_sizes[64], at = 0;
    uint8_t *out, *in;

    for (int i = 0; i < group->n; i++) {
        out_sizes[i] = share(me, i, len);
        in_sizes[i] = share(i, me, len);
    }
    out = malloc(ipmpi_offset(out_sizes, group->n) + 1);
    in = malloc(ipmpi_offset(in_sizes, group->n) + 1);
    for (int i = 0; i < group->n; i++) {
        for (size_t k = 0; k < out_sizes[i]; k++)
            out[at++] = byte_of(me * 8 + i, k);
    }
    CHECK_EQ(ipmpi_alltoall(group, out, out_sizes, in, in_sizes), 0);
    for (int i = 0; i < group->n; i++)
        CHECK(is_filled(in + ipmpi_offset(in_sizes, i), i * 8 + me, 0,
                        in_sizes[i]));
    free(out);
    free(in);
}

static void alltoall(void **state)
{
    (void)state;
    in_all_groups(check_alltoall);
}

/* ---- reductions ----------------------------------------------------- */

typedef int reduce_fn(struct ipmpi_group *, void *,
                      const struct ipmpi_numbers *);

static int reduce_at_last(struct ipmpi_group *group, void *data,
                          const struct ipmpi_numbers *numbers)
{
    return ipmpi_reduce(group, data, numbers, group->n - 1);
}

static int reduce_by_tree(struct ipmpi_group *group, void *data,
                          const struct ipmpi_numbers *numbers)
{
    return ipmpi_reduce_binomial(group, data, numbers, group->n - 1);
}

static int allreduce(struct ipmpi_group *group, void *data,
                     const struct ipmpi_numbers *numbers)
{
    return ipmpi_allreduce(group, NULL, data, numbers);
}

static int allreduce_ring(struct ipmpi_group *group, void *data,
                          const struct ipmpi_numbers *numbers)
{
    return ipmpi_allreduce_ring(group, NULL, data, numbers);
}

/* From memory of its own. */
static int allreduce_apart(struct ipmpi_group *group, void *data,
                           const struct ipmpi_numbers *numbers)
{
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    void *mine = malloc(len + 1);
    int err;

    memcpy(mine, data, len);
    memset(data, 0x77, len);
    err = ipmpi_allreduce(group, mine, data, numbers);
    free(mine);
    return err;
}

static const struct {
    reduce_fn *reduce;
    bool at_last_only, scans;
} reductions[] = {
    {allreduce, false, false},
    {allreduce_apart, false, false},
    {ipmpi_allreduce_doubling, false, false},
    {allreduce_ring, false, false},
    {reduce_at_last, true, false},
    {reduce_by_tree, true, false},
    {ipmpi_scan, false, true},
    {ipmpi_scan_doubling, false, true},
};

static void check_sum(struct ipmpi_group *group, size_t i, size_t count)
{
    const struct ipmpi_numbers numbers = {IPMPI_INT64, IPMPI_SUM, count};
    const int members = reductions[i].scans ? group->me + 1 : group->n;
    int64_t *data = malloc(count * sizeof(*data) + 1);
    size_t wrong = 0;

    for (size_t k = 0; k < count; k++)
        data[k] = (group->me + 1) * (int64_t)(k + 3);
    CHECK_EQ(reductions[i].reduce(group, data, &numbers), 0);
    for (size_t k = 0; k < count; k++)
        wrong += data[k] != (int64_t)(k + 3) * members * (members + 1) / 2;
    if (!reductions[i].at_last_only || group->me == group->n - 1)
        CHECK_EQ(wrong, 0);
    free(data);
}

static void check_reductions(struct ipmpi_group *group, size_t len)
{
    for (size_t i = 0; i < sizeof(reductions) / sizeof(reductions[0]); i++)
        check_sum(group, i, len / 8);
}

static void reduce(void **state)
{
    (void)state;
    in_all_groups(check_reductions);
}

/* Every number with every operation that it can, by two algorithms that must
 * agree; the others are refused. */
static void check_numbers(struct ipmpi_group *group, size_t len)
{
    for (int number = 0; number < IPMPI_NUMBERS; number++) {
        for (int op = 0; op < IPMPI_OPERATIONS; op++) {
            const size_t size = ipmpi_number_size(number);
            const struct ipmpi_numbers numbers = {number, op, len / size};
            uint8_t *a = calloc(1, len + 1), *b = calloc(1, len + 1);
            const bool can = ipmpi_numbers_can(number, op);

            for (size_t k = 0; k < len && (number <= IPMPI_UINT64); k++)
                a[k] = b[k] = byte_of(group->me, k);
            for (size_t k = 0; k < len && number == IPMPI_BOOL; k++)
                a[k] = b[k] = byte_of(group->me, k) & 1;
            CHECK_EQ(ipmpi_allreduce(group, NULL, a, &numbers),
                     can ? 0 : IPMPI_EINVAL);
            if (can) {
                CHECK_EQ(ipmpi_allreduce_ring(group, NULL, b, &numbers), 0);
                CHECK_MEM(a, b, len / size * size);
            }
            free(a);
            free(b);
        }
    }
}

static void numbers_and_operations(void **state)
{
    struct ipmpi_group *group = open_group(1, false);

    (void)state;
    check_numbers(group, 1000);
    CHECK_EQ(ipmpi_group_close(&group), true);
    CHECK_EQ(ipmpi_number_size(IPMPI_NUMBERS), 0);
}

/* ---- barrier, members, giving up ------------------------------------ */

static void check_barrier(struct ipmpi_group *group, size_t len)
{
    (void)len;
    CHECK_EQ(ipmpi_barrier(group), 0);
    CHECK_EQ(ipmpi_barrier_dissemination(group), 0);
}

static void barrier(void **state)
{
    (void)state;
    in_all_groups(check_barrier);
}

static void bad_members(void **state)
{
    static const struct {
        int ranks[2], n;
    } rows[] = {{{0, 0}, 2}, {{-1, 0}, 2}, {{99, 0}, 2}, {{0, 0}, 0}};
    struct ipmpi_group *group;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(ipmpi_group_open((uintptr_t)world, rows[i].ranks, rows[i].n, 1,
                                  go_on, &deadline, &group),
                 IPMPI_EINVAL);
}

/* The last member never comes: the others give up, and go on afterwards. */
static void one_is_missing(void **state)
{
    struct ipmpi_group *group;
    int ranks[64];
    uint8_t byte = 1, all[64];

    (void)state;
    last_id++;
    for (int i = 0; i < world_size; i++)
        ranks[i] = i;
    if (world_size > 1 && world_rank < world_size - 1) {
        const int64_t start = ipmpi_clock_now_us();

        deadline = start + 100000;
        CHECK_EQ(ipmpi_group_open((uintptr_t)world, ranks, world_size, last_id,
                                  go_on, &deadline, &group),
                 0);
        CHECK_EQ(ipmpi_agree(group, &byte, 1, all), IPMPI_ETIMEOUT);
        ipmpi_group_close(&group);
    }
    in_all_groups(check_bcast);
    in_all_groups(check_reductions);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bcast),
        cmocka_unit_test(bcast_shared),
        cmocka_unit_test(gather),
        cmocka_unit_test(scatter),
        cmocka_unit_test(allgather),
        cmocka_unit_test(alltoall),
        cmocka_unit_test(reduce),
        cmocka_unit_test(numbers_and_operations),
        cmocka_unit_test(barrier),
        cmocka_unit_test(bad_members),
        cmocka_unit_test(one_is_missing),
    };
    int provided, failed;

    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    MPI_Comm_dup(MPI_COMM_WORLD, &world);
    MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world, &world_rank);
    MPI_Comm_size(world, &world_size);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Comm_free(&world);
    MPI_Finalize();
    return failed;
}

#include "tests/collectives/groups.h"

#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

static MPI_Comm world;
static int world_rank, world_size;
static uint64_t last_id;
static int64_t deadline;

void groups_begin(int *argc, char ***argv)
{
    int provided;

    MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &provided);
    MPI_Comm_dup(MPI_COMM_WORLD, &world);
    MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world, &world_rank);
    MPI_Comm_size(world, &world_size);
}

void groups_end(void)
{
    MPI_Comm_free(&world);
    MPI_Finalize();
}

int groups_rank(void)
{
    return world_rank;
}

static int go_on(void *ctx)
{
    const int64_t *until = ctx;

    return ipmpi_clock_now_us() > *until ? IPMPI_ETIMEOUT : 0;
}

/* All ranks call it, also those that are no members: the ids must agree. */
static void next_group(int64_t patience_us)
{
    last_id++;
    deadline = ipmpi_clock_now_us() + patience_us;
}

static int open_ranks(const int *ranks, int n, struct ipmpi_group **group_out)
{
    return ipmpi_group_open((uintptr_t)world, ranks, n, last_id, go_on,
                            &deadline, group_out);
}

struct ipmpi_group *groups_open(int stride, bool falling)
{
    struct ipmpi_group *group = NULL;
    int ranks[MEMBERS_CAP], n = 0;
    uint8_t byte = 7, all[MEMBERS_CAP];

    next_group(30 * 1000000);
    for (int i = 0; i < world_size; i += stride)
        ranks[n++] = i;
    for (int i = 0; falling && i < n / 2; i++) {
        const int other = ranks[n - 1 - i];

        ranks[n - 1 - i] = ranks[i];
        ranks[i] = other;
    }
    if (world_rank % stride != 0) {
        CHECK_EQ(open_ranks(ranks, n, &group), IPMPI_EINVAL);
        return NULL;
    }
    CHECK_EQ(open_ranks(ranks, n, &group), 0);
    CHECK_EQ(ipmpi_group_size(group), n);
    CHECK_EQ(ipmpi_agree(group, &byte, 1, all), 0);
    CHECK_EQ(all[n - 1], 7);
    CHECK_EQ(group->plain, n == world_size && (!falling || n == 1));
    return group;
}

void groups_refuse(const int *ranks, int n)
{
    struct ipmpi_group *group;

    CHECK_EQ(open_ranks(ranks, n, &group), IPMPI_EINVAL);
}

void groups_miss_one(void)
{
    struct ipmpi_group *group;
    int ranks[MEMBERS_CAP];
    uint8_t byte = 1, all[MEMBERS_CAP];

    next_group(100000);
    for (int i = 0; i < world_size; i++)
        ranks[i] = i;
    if (world_rank == world_size - 1)
        return;
    CHECK_EQ(open_ranks(ranks, world_size, &group), 0);
    CHECK_EQ(ipmpi_agree(group, &byte, 1, all), IPMPI_ETIMEOUT);
    ipmpi_group_close(&group);
}

void groups_nodes(const struct ipmpi_group *group, int how, int *node_out)
{
    for (int i = 0; i < group->n; i++)
        node_out[i] = how == 0 ? 3 : how == 1 ? i : i % 2;
}

void groups_check(check_fn *check)
{
    static const size_t lens[] = {0, 1, 24, 1000, 40000, 300000};

    for (int stride = 1; stride <= 3; stride++) {
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            struct ipmpi_group *group = groups_open(stride, i % 2 == 1);

            if (group == NULL)
                continue;
            check(group, lens[i]);
            CHECK_EQ(ipmpi_group_close(&group), true);
        }
    }
}

uint8_t byte_of(int member, size_t at)
{
    return (uint8_t)((size_t)member * 37 + at * 11 + (at >> 8));
}

uint8_t *filled(int member, size_t from, size_t len)
{
    uint8_t *data = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        data[i] = byte_of(member, from + i);
    return data;
}

bool is_filled(const uint8_t *data, int member, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != byte_of(member, from + i))
            return false;
    }
    return true;
}

uint8_t *blank(size_t len)
{
    uint8_t *data = malloc(len + 1);

    memset(data, 0xee, len + 1);
    return data;
}

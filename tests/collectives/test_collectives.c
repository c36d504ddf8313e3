/* All algorithms that move bytes, at any number of ranks, over the whole world
 * and subsets, for sizes on both sides of the cross-over points. */
#include "tests/collectives/groups.h"

#include <stdlib.h>

#include "runtime/base/error.h"

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
    groups_check(check_bcast);
}

static void check_bcast_shared(struct ipmpi_group *group, size_t len)
{
    struct ipmpi_buffer *buffer = NULL;
    int node[MEMBERS_CAP] = {0};

    for (int how = 0; how < GROUPS_NODES; how++) {
        for (int root = 0; root < group->n; root++) {
            uint8_t *data = filled(group->me, 5, len);
            int err;

            groups_nodes(group, how, node);
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
    groups_check(check_bcast_shared);
    if (groups_rank() % 2 == 1) /* some have none, or all */
        setenv("IPMPI_SHARE", "no", 1);
    groups_check(check_bcast_shared);
    setenv("IPMPI_SHARE", "no", 1);
    groups_check(check_bcast_shared);
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
    size_t sizes[MEMBERS_CAP];

    for (int i = 0; i < 6; i++) {
        const int root = (i * 5) % group->n;
        uint8_t *mine, *all;

        make_sizes(group, len, i % 2, sizes);
        mine = filled(group->me, 0, sizes[group->me]);
        all = blank(ipmpi_offset(sizes, group->n));
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
    groups_check(check_gather);
}

static void check_scatter(struct ipmpi_group *group, size_t len)
{
    gather_fn *const how[] = {ipmpi_scatter, ipmpi_scatter_binomial,
                              ipmpi_scatter_linear};
    size_t sizes[MEMBERS_CAP];

    for (int i = 0; i < 6; i++) {
        const int root = (i * 5) % group->n;
        uint8_t *mine, *all;

        make_sizes(group, len, i % 2, sizes);
        all = filled(9, 0, ipmpi_offset(sizes, group->n));
        mine = blank(sizes[group->me]);
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
    groups_check(check_scatter);
}

static void check_allgather(struct ipmpi_group *group, size_t len)
{
    size_t sizes[MEMBERS_CAP];

    for (int i = 0; i < 3; i++) {
        uint8_t *mine, *all;
        int err;

        make_sizes(group, len, i == 1, sizes);
        mine = filled(group->me, 0, sizes[group->me]);
        all = blank(ipmpi_offset(sizes, group->n));
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
    groups_check(check_allgather);
}

/* Member i has for member j the bytes of (i, j); some have none. */
static size_t share(int i, int j, size_t len)
{
    return len * (size_t)((i + 2 * j) % 3) / 2;
}

static void check_alltoall(struct ipmpi_group *group, size_t len)
{
    const int me = group->me;
    size_t out_sizes[MEMBERS_CAP], in_sizes[MEMBERS_CAP], at = 0;
    uint8_t *out, *in;

    for (int i = 0; i < group->n; i++) {
        out_sizes[i] = share(me, i, len);
        in_sizes[i] = share(i, me, len);
    }
    out = blank(ipmpi_offset(out_sizes, group->n));
    in = blank(ipmpi_offset(in_sizes, group->n));
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
    groups_check(check_alltoall);
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
    groups_check(check_barrier);
}

static void bad_members(void **state)
{
    static const struct {
        int ranks[2], n;
    } rows[] = {{{0, 0}, 2}, {{-1, 0}, 2}, {{99, 0}, 2}, {{0, 0}, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        groups_refuse(rows[i].ranks, rows[i].n);
}

/* Groups after one that gave up work. */
static void one_is_missing(void **state)
{
    (void)state;
    groups_miss_one();
    groups_check(check_bcast);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bcast),          cmocka_unit_test(bcast_shared),
        cmocka_unit_test(gather),         cmocka_unit_test(scatter),
        cmocka_unit_test(allgather),      cmocka_unit_test(alltoall),
        cmocka_unit_test(barrier),        cmocka_unit_test(bad_members),
        cmocka_unit_test(one_is_missing),
    };
    int failed;

    groups_begin(&argc, &argv);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    groups_end();
    return failed;
}

/* mpirun -np N bench_collectives [most bytes [verb]]: how long each algorithm of
 * collectives/ takes, by size, in microseconds; the slowest rank counts, and
 * of several rounds the median. The fastest is marked. What it prints is what
 * the cross-over points in collectives/choose.c were taken from. */
#include <mpi.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/internal.h"

enum { ROUNDS = 9, COLUMNS = 5 };

static struct ipmpi_group *group;
static int me, n;
static uint8_t *a, *b;
static size_t *sizes;
static struct ipmpi_buffer *result;

static int go_on(void *ctx)
{
    (void)ctx;
    return 0;
}

/* What is measured: the verb with `len` bytes (of each member's piece, where
 * there are pieces). */
typedef int run_fn(size_t len);

static struct ipmpi_numbers doubles(size_t len)
{
    return (struct ipmpi_numbers){IPMPI_DOUBLE, IPMPI_SUM,
                                  len / sizeof(double)};
}

static void same_sizes(size_t len)
{
    for (int i = 0; i < n; i++)
        sizes[i] = len;
}

static int bcast_mpi(size_t len)
{
    return MPI_Bcast(a, (int)len, MPI_BYTE, 0, group->comm);
}

static int bcast_plain(size_t len)
{
    return ipmpi_plain_bcast(group, a, len, 0);
}

static int bcast_knomial(size_t len)
{
    return ipmpi_bcast_knomial(group, a, len, 0);
}

static int bcast_ring(size_t len)
{
    return n > 2 ? ipmpi_bcast_scatter_ring(group, a, len, 0)
                 : ipmpi_bcast_knomial(group, a, len, 0);
}

static int gather_mpi(size_t len)
{
    return MPI_Gather(a, (int)len, MPI_BYTE, b, (int)len, MPI_BYTE, 0,
                      group->comm);
}

static int gather_binomial(size_t len)
{
    same_sizes(len);
    return ipmpi_gather_binomial(group, a, b, sizes, 0);
}

static int gather_linear(size_t len)
{
    same_sizes(len);
    return ipmpi_gather_linear(group, a, b, sizes, 0);
}

static int scatter_mpi(size_t len)
{
    return MPI_Scatter(b, (int)len, MPI_BYTE, a, (int)len, MPI_BYTE, 0,
                       group->comm);
}

static int scatter_binomial(size_t len)
{
    same_sizes(len);
    return ipmpi_scatter_binomial(group, b, a, sizes, 0);
}

static int scatter_linear(size_t len)
{
    same_sizes(len);
    return ipmpi_scatter_linear(group, b, a, sizes, 0);
}

static int allgather_mpi(size_t len)
{
    return MPI_Allgather(a, (int)len, MPI_BYTE, b, (int)len, MPI_BYTE,
                         group->comm);
}

static int allgather_bruck(size_t len)
{
    return ipmpi_allgather_bruck(group, a, len, b, false);
}

static int allgather_ring(size_t len)
{
    same_sizes(len);
    memmove(b + (size_t)me * len, a, len);
    return ipmpi_allgather_ring(group, b, sizes);
}

static int reduce_mpi(size_t len)
{
    return MPI_Reduce(me == 0 ? MPI_IN_PLACE : a, a, (int)(len / 8), MPI_DOUBLE,
                      MPI_SUM, 0, group->comm);
}

static int reduce_binomial(size_t len)
{
    const struct ipmpi_numbers numbers = doubles(len);

    return ipmpi_reduce_binomial(group, a, &numbers, 0);
}

static int allreduce_mpi(size_t len)
{
    return MPI_Allreduce(b, a, (int)(len / 8), MPI_DOUBLE, MPI_SUM,
                         group->comm);
}

static int allreduce_plain(size_t len)
{
    const struct ipmpi_numbers numbers = doubles(len);

    return ipmpi_plain_allreduce(group, b, a, &numbers);
}

static int allreduce_doubling(size_t len)
{
    const struct ipmpi_numbers numbers = doubles(len);

    return ipmpi_allreduce_doubling(group, a, &numbers);
}

static int allreduce_ring(size_t len)
{
    const struct ipmpi_numbers numbers = doubles(len);

    return ipmpi_allreduce_ring(group, b, a, &numbers);
}

static int allreduce_shared(size_t len)
{
    const struct ipmpi_numbers numbers = doubles(len);
    int *node = calloc((size_t)n, sizeof(*node));
    int err;

    ipmpi_buffer_release(&result); /* as when a name is bound again */
    err = ipmpi_allreduce_shared(group, b, &numbers, node, &result);
    free(node);
    return err;
}

static int scan_mpi(size_t len)
{
    return MPI_Scan(MPI_IN_PLACE, a, (int)(len / 8), MPI_DOUBLE, MPI_SUM,
                    group->comm);
}

static int scan_plain(size_t len)
{
    const struct ipmpi_numbers numbers = doubles(len);

    return ipmpi_plain_scan(group, a, &numbers);
}

static int scan_doubling(size_t len)
{
    const struct ipmpi_numbers numbers = doubles(len);

    return ipmpi_scan_doubling(group, a, &numbers);
}

static int barrier_mpi(size_t len)
{
    (void)len;
    return MPI_Barrier(group->comm);
}

static int barrier_plain(size_t len)
{
    (void)len;
    return ipmpi_plain_barrier(group);
}

static int barrier_dissemination(size_t len)
{
    (void)len;
    return ipmpi_barrier_dissemination(group);
}

static const struct verb {
    const char *name;
    bool pieces; /* b holds one for each member */
    bool empty;  /* there is no data */
    struct {
        const char *name;
        run_fn *run;
    } how[COLUMNS]; /* the first is not ours */
} verbs[] = {
    {"bcast",
     false,
     false,
     {{"MPI_Bcast", bcast_mpi},
      {"plain", bcast_plain},
      {"k-nomial", bcast_knomial},
      {"scatter+ring", bcast_ring}}},
    {"gather",
     true,
     false,
     {{"MPI_Gather", gather_mpi},
      {"binomial", gather_binomial},
      {"linear", gather_linear}}},
    {"scatter",
     true,
     false,
     {{"MPI_Scatter", scatter_mpi},
      {"binomial", scatter_binomial},
      {"linear", scatter_linear}}},
    {"allgather",
     true,
     false,
     {{"MPI_Allgather", allgather_mpi},
      {"Bruck", allgather_bruck},
      {"ring", allgather_ring}}},
    {"reduce",
     false,
     false,
     {{"MPI_Reduce", reduce_mpi}, {"binomial", reduce_binomial}}},
    {"allreduce",
     false,
     false,
     {{"MPI_Allreduce", allreduce_mpi},
      {"plain", allreduce_plain},
      {"doubling", allreduce_doubling},
      {"ring", allreduce_ring},
      {"shared", allreduce_shared}}},
    {"scan",
     false,
     false,
     {{"MPI_Scan", scan_mpi},
      {"plain", scan_plain},
      {"doubling", scan_doubling}}},
    {"barrier",
     false,
     true,
     {{"MPI_Barrier", barrier_mpi},
      {"plain", barrier_plain},
      {"dissemination", barrier_dissemination}}},
};

/* A group for one measurement: what it allocates goes with it. */
static void open_group(void)
{
    static uint64_t id;
    int *ranks = malloc((size_t)n * sizeof(*ranks));

    for (int i = 0; i < n; i++)
        ranks[i] = i;
    if (ipmpi_group_open((uintptr_t)MPI_COMM_WORLD, ranks, n, ++id, go_on, NULL,
                         &group) != 0)
        MPI_Abort(MPI_COMM_WORLD, 1);
    free(ranks);
}

static int compare(const void *x, const void *y)
{
    const double p = *(const double *)x, q = *(const double *)y;

    return (p > q) - (p < q);
}

static double measure(run_fn *run, size_t len)
{
    const int times = len < 4096 ? 20 : len < 262144 ? 5 : 1;
    double taken[ROUNDS];

    for (int round = -1; round < ROUNDS; round++) { /* one to warm up */
        double start, mine, slowest;

        open_group();
        MPI_Barrier(MPI_COMM_WORLD);
        start = MPI_Wtime();
        for (int i = 0; i < times; i++)
            if (run(len) != 0)
                MPI_Abort(MPI_COMM_WORLD, 1);
        mine = (MPI_Wtime() - start) / times;
        MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
        if (round >= 0)
            taken[round] = slowest;
        ipmpi_group_close(&group);
    }
    qsort(taken, ROUNDS, sizeof(taken[0]), compare);
    return 1e6 * taken[ROUNDS / 2];
}

static void measure_row(const struct verb *verb, size_t len)
{
    double us[COLUMNS];
    int best = 1;

    for (int i = 0; i < COLUMNS && verb->how[i].run != NULL; i++) {
        us[i] = measure(verb->how[i].run, len);
        if (i > 0 && us[i] < us[best])
            best = i;
    }
    if (me != 0)
        return;
    printf("%-10s %9zu", verb->name, len);
    for (int i = 0; i < COLUMNS && verb->how[i].run != NULL; i++)
        printf("  %13s %9.0f%c", verb->how[i].name, us[i],
               i == best ? '*' : ' ');
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    size_t most;
    int provided;

    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    most = argc > 1 ? strtoul(argv[1], NULL, 0) : (size_t)16 << 20;
    a = calloc(most, 1);
    b = calloc(most, (size_t)n);
    sizes = calloc((size_t)n, sizeof(*sizes));
    if (a == NULL || b == NULL || sizes == NULL)
        MPI_Abort(MPI_COMM_WORLD, 1);
    if (me == 0)
        printf("%d ranks; microseconds, the fastest of ours marked\n", n);
    for (size_t v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++) {
        const size_t end = verbs[v].empty    ? 8
                           : verbs[v].pieces ? most / 8
                                             : most;

        if (argc > 2 && strcmp(argv[2], verbs[v].name) != 0)
            continue;
        for (size_t len = 8; len < end; len *= 8)
            measure_row(&verbs[v], len);
        measure_row(&verbs[v], end);
    }
    ipmpi_buffer_release(&result);
    free(a);
    free(b);
    free(sizes);
    MPI_Finalize();
    return 0;
}

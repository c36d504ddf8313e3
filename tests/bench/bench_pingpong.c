/* The transport beside bare MPI, between two ranks:
 *
 *     tests/mpi_run 2 build/tests/bench_pingpong [ROUNDS]
 *
 * Round trips of a small message: bare MPI that spins, our transport with both
 * ranks spinning, sleeping as the product does, and sleeping without the
 * adaptive spin; then small messages one way, and large ones. Medians of
 * batches. Ratios mean more than times: cores may be few. */
#include <mpi.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/comm/internal.h"

#define BATCHES 9
#define SMALL   200
#define LARGE   ((size_t)64 * 1024 * 1024)
#define ONE_WAY 20000
#define SLICE   32

enum way { BARE, SPINNING, ADAPTIVE, SLEEPING };

static struct ipmpi_comm *comm;
static MPI_Comm bare;
static int rank;
static unsigned got;

static void receive(void *ctx, int source, struct ipmpi_frames *frames)
{
    (void)ctx;
    (void)source;
    (void)frames;
    got++;
}

/* Takes messages until there have been `want`. */
static void await(unsigned want, enum way way)
{
    while (got < want) {
        struct pollfd fds[2];
        int at[2], n, wait;

        if (ipmpi_comm_progress(comm, SLICE, receive, NULL) > 0 ||
            way == SPINNING)
            continue;
        if (way == SLEEPING)
            comm->spin_us = 0;
        wait = ipmpi_comm_before_sleep(comm);
        n = ipmpi_comm_fds(comm, at);
        for (int i = 0; i < n; i++)
            fds[i] = (struct pollfd){.fd = at[i], .events = POLLIN};
        poll(fds, (nfds_t)n, wait);
        ipmpi_comm_after_sleep(comm, NULL, NULL);
    }
}

static void send_bytes(struct ipmpi_buffer *buffer)
{
    struct ipmpi_frames frames = {0};

    if (ipmpi_frames_add_view(&frames, buffer, 0, ipmpi_buffer_len(buffer)) !=
            0 ||
        ipmpi_comm_send(comm, 1 - rank, &frames) != 0)
        abort();
}

static void flush(void)
{
    while (ipmpi_comm_unsent_bytes(comm, -1) > 0)
        ipmpi_comm_progress(comm, SLICE, receive, NULL);
}

/* One ball there and back. */
static void trip(enum way way, struct ipmpi_buffer *ball)
{
    if (way == BARE) {
        char *data = ipmpi_buffer_data(ball);
        const int len = (int)ipmpi_buffer_len(ball);

        if (rank == 0)
            MPI_Send(data, len, MPI_BYTE, 1, 9, bare);
        MPI_Recv(data, len, MPI_BYTE, 1 - rank, 9, bare, MPI_STATUS_IGNORE);
        if (rank == 1)
            MPI_Send(data, len, MPI_BYTE, 0, 9, bare);
        return;
    }
    if (rank == 0)
        send_bytes(ball);
    await(got + 1, way);
    if (rank == 1)
        send_bytes(ball);
}

/* Many one way, one back. */
static void pour(enum way way, struct ipmpi_buffer *drop)
{
    char back = 0;

    for (int i = 0; i < ONE_WAY && rank == 0 && way == BARE; i++)
        MPI_Send(ipmpi_buffer_data(drop), SMALL, MPI_BYTE, 1, 9, bare);
    for (int i = 0; i < ONE_WAY && rank == 1 && way == BARE; i++)
        MPI_Recv(ipmpi_buffer_data(drop), SMALL, MPI_BYTE, 0, 9, bare,
                 MPI_STATUS_IGNORE);
    for (int i = 0; i < ONE_WAY && rank == 0 && way != BARE; i++) {
        send_bytes(drop);
        if (i % SLICE == 0)
            ipmpi_comm_progress(comm, SLICE, receive, NULL);
    }
    if (way != BARE && rank == 0)
        flush();
    if (way != BARE && rank == 1)
        await(got + ONE_WAY, way);
    MPI_Sendrecv(&back, 1, MPI_BYTE, 1 - rank, 8, &back, 1, MPI_BYTE, 1 - rank,
                 8, bare, MPI_STATUS_IGNORE);
}

typedef void work_fn(enum way way, struct ipmpi_buffer *buffer);

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median time in us of one of `rounds` calls of `work`. */
static double measure(work_fn *work, enum way way, size_t len, int rounds)
{
    struct ipmpi_buffer *buffer;
    double each[BATCHES];

    if (ipmpi_buffer_alloc(len, &buffer) != 0)
        abort();
    memset(ipmpi_buffer_data(buffer), 1, len);
    work(way, buffer);
    for (int i = 0; i < BATCHES; i++) {
        const int64_t start = ipmpi_clock_now_us();

        for (int k = 0; k < rounds; k++)
            work(way, buffer);
        each[i] = (double)(ipmpi_clock_now_us() - start) / rounds;
    }
    flush();
    MPI_Barrier(bare);
    ipmpi_buffer_release(&buffer);
    qsort(each, BATCHES, sizeof(*each), by_size);
    return each[BATCHES / 2];
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"bare MPI, spinning", "ours, spinning",
                                        "ours, as the product",
                                        "ours, always sleeping"};
    const int rounds = argc > 1 ? atoi(argv[1]) : 500;
    double trip_us[4], pour_us[4], large_us[4];

    if (rounds < 1 || ipmpi_comm_open(NULL, &comm) != 0)
        return 1;
    rank = ipmpi_comm_rank(comm);
    if (ipmpi_comm_size(comm) != 2) {
        fprintf(stderr, "bench_pingpong: needs 2 ranks\n");
        ipmpi_comm_close(&comm, 10000);
        return 2;
    }
    MPI_Comm_dup(MPI_COMM_WORLD, &bare);
    for (enum way way = BARE; way <= SLEEPING; way++) {
        trip_us[way] = measure(trip, way, SMALL, rounds);
        pour_us[way] = measure(pour, way, SMALL, 1) / ONE_WAY;
        large_us[way] = measure(trip, way, LARGE, 1) / 2;
    }
    if (rank == 0) {
        printf("%-24s %12s %7s %14s %7s %14s %7s\n", "two ranks", "round trip",
               "ratio", "one way", "ratio", "64 MiB", "ratio");
        for (enum way way = BARE; way <= SLEEPING; way++)
            printf("%-24s %9.2f us %7.2f %10.0f k/s %7.2f %9.0f MB/s %7.2f\n",
                   names[way], trip_us[way], trip_us[way] / trip_us[BARE],
                   1e3 / pour_us[way], pour_us[way] / pour_us[BARE],
                   (double)LARGE / large_us[way],
                   large_us[way] / large_us[BARE]);
    }
    MPI_Comm_free(&bare);
    return ipmpi_comm_close(&comm, 10000) == 0 ? 0 : 1;
}

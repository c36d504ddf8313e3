/* User code in another thread runs collectives on the engines' communicator
 * while the runtime's thread exchanges messages. */
#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/runtime/comm/job.h"

#define COLLECTIVES 200
#define MESSAGES    2000

static atomic_int user_failures;

static void *user_code(void *arg)
{
    MPI_Comm world = (MPI_Comm)ipmpi_comm_user_world(job);
    int rank, size;

    (void)arg;
    MPI_Comm_rank(world, &rank);
    MPI_Comm_size(world, &size);
    if (rank != job_rank - 1 || size != job_size - 1)
        user_failures++;
    for (int i = 0; i < COLLECTIVES; i++) {
        double mine[64], sum[64];

        for (int k = 0; k < 64; k++)
            mine[k] = rank + i + k;
        MPI_Allreduce(mine, sum, 64, MPI_DOUBLE, MPI_SUM, world);
        for (int k = 0; k < 64; k++)
            if (sum[k] != size * (i + k) + size * (size - 1) / 2.0)
                user_failures++;
    }
    return NULL;
}

struct counts {
    unsigned got, want;
};

static void count(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct counts *counts = ctx;
    const size_t len = frames->at[0].len;

    job_check_frame(frames, 0, source, 3, len);
    counts->got++;
}

static bool all_counted(void *ctx)
{
    struct counts *counts = ctx;

    return counts->got == counts->want && job_all_sent(NULL);
}

static void both_at_once(void **state)
{
    struct counts counts = {.want = MESSAGES * (unsigned)job_size};
    pthread_t user;

    (void)state;
    if (job_rank > 0)
        CHECK_EQ(pthread_create(&user, NULL, user_code, NULL), 0);
    for (unsigned i = 0; i < MESSAGES; i++)
        for (int dest = 0; dest < job_size; dest++) {
            struct ipmpi_frames frames = {0};

            job_add_frame(&frames, 3, i % 100 == 0 ? 30000 : i % 300);
            CHECK_EQ(ipmpi_comm_send(job, dest, &frames), 0);
        }
    CHECK(job_wait(all_counted, count, &counts));
    if (job_rank > 0)
        pthread_join(user, NULL);
    CHECK_EQ(user_failures, 0);
    job_barrier();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_at_once),
    };

    return cmocka_run_group_tests(tests, job_open, job_close);
}

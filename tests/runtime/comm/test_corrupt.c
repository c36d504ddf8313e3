/* A rank that sends nonsense is given up by whoever receives it; and a job of
 * two versions does not start. */
#include "runtime/comm/internal.h"
#include "tests/runtime/comm/job.h"

static struct ipmpi_packet_head head = {.magic = IPMPI_PACKET_MAGIC};

/* As a sender would, or nobody looks: note [announced] in awake.c. */
static int send_packet(const void *data, int len, int dest)
{
    if (job->peers[dest]->shared)
        ipmpi_awake_announce(job->awake, dest);
    return MPI_Send(data, len, MPI_BYTE, dest, IPMPI_TAG_PACKET,
                    job->worlds[0].comm);
}

static bool given_up(void *ctx)
{
    (void)ctx;
    return ipmpi_comm_is_dead(job, job_size - 1);
}

static void nonsense_is_death(void **state)
{
    (void)state;
    if (job_size < 2)
        skip();
    job_barrier();
    head.n_records = 77;
    if (job_rank == job_size - 1)
        for (int i = 0; i < job_size - 1; i++)
            CHECK_EQ(send_packet(&head, sizeof(head), i), MPI_SUCCESS);
    else
        CHECK(job_wait(given_up, job_nothing_expected, NULL));
}

/* A packet that announces a large frame, and a piece that is shorter. */
static void a_short_piece_is_death(void **state)
{
    struct {
        struct ipmpi_packet_head head;
        struct ipmpi_record_head record;
        uint64_t table[1];
    } packet = {
        {IPMPI_PACKET_MAGIC, 1, 0, 0}, {1, 1, 8}, {100000 | IPMPI_FRAME_LARGE}};

    (void)state;
    if (job_size < 3)
        skip();
    job_size--; /* the last one is dead to the others by now */
    if (job_rank == job_size - 1) {
        send_packet(&packet, sizeof(packet), 0);
        MPI_Send(&packet, 8, MPI_BYTE, 0, IPMPI_TAG_PIECE, job->worlds[0].comm);
    } else if (job_rank == 0) {
        CHECK(job_wait(given_up, job_nothing_expected, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_death),
        cmocka_unit_test(a_short_piece_is_death),
    };

    return cmocka_run_group_tests(tests, job_open, job_close);
}

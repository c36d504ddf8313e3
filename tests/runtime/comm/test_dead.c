/* The last rank dies in the middle of large messages both ways; the others
 * give it up without waiting for anything, and go on. */
#include "tests/runtime/comm/job.h"
#include "tests/runtime/comm/nanny.h"

#define LARGE ((size_t)8 * 1024 * 1024)

static bool heard;

static void last_words(void *ctx, int source, struct ipmpi_frames *frames)
{
    (void)ctx;
    CHECK_EQ(source, job_size - 1);
    job_check_frame(frames, 0, source, 5, 10);
    heard = true;
}

static bool have_heard(void *ctx)
{
    (void)ctx;
    return heard;
}

static int send_one(int dest, unsigned seq, size_t len)
{
    struct ipmpi_frames frames = {0};

    job_add_frame(&frames, seq, len);
    return ipmpi_comm_send(job, dest, &frames);
}

/* Speaks to all, starts something large, and is gone. */
static void die(void)
{
    for (int i = 0; i < job_size - 1; i++) {
        CHECK_EQ(send_one(i, 5, 10), 0);
        CHECK_EQ(send_one(i, 6, LARGE), 0);
    }
    raise(SIGKILL);
}

static void a_dead_peer_is_given_up(void **state)
{
    const int victim = job_size - 1;
    struct job_receiver none = {job_nothing_expected, NULL};
    const int64_t deadline = ipmpi_clock_now_us() + JOB_DEADLINE_US;
    int wait = 0;

    (void)state;
    job_barrier();
    if (job_rank == victim)
        die();
    CHECK(job_wait(have_heard, last_words, NULL));
    for (int i = 0; i < 100; i++)
        CHECK_EQ(send_one(victim, 7, 100), 0);
    CHECK_EQ(send_one(victim, 7, LARGE), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(send_one(victim, 7, 100), 0);
    for (int i = 0; i < 100; i++)
        ipmpi_comm_progress(job, 8, job_receive, &none);
    CHECK(ipmpi_comm_unsent_bytes(job, victim) >= LARGE);

    ipmpi_comm_mark_dead(job, victim);
    CHECK(ipmpi_comm_is_dead(job, victim));
    CHECK_EQ(ipmpi_comm_unsent_bytes(job, victim), 0);
    CHECK_EQ(ipmpi_comm_unsent_bytes(job, -1), 0);
    CHECK_EQ(send_one(victim, 7, 100), IPMPI_EDEAD);
    ipmpi_comm_mark_dead(job, victim); /* once more: nothing */

    job_size--; /* the living go on, */
    job_barrier();
    while (wait < 1000 && ipmpi_clock_now_us() < deadline) { /* and rest */
        ipmpi_comm_progress(job, 8, job_receive, &none);
        wait = ipmpi_comm_before_sleep(job);
        poll(NULL, 0, wait < 5 ? wait : 5);
        ipmpi_comm_after_sleep(job, NULL, NULL);
    }
    CHECK(wait >= 1000);
    job_barrier();
}

/* With a dead rank closing may or may not come to an end: it returns. */
static int close_with_the_dead(void **state)
{
    int err;

    (void)state;
    err = ipmpi_comm_close(&job, 3000);
    return err == 0 || err == IPMPI_ETIMEOUT ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_peer_is_given_up),
    };

    nanny_start();
    _exit(cmocka_run_group_tests(tests, job_open, close_with_the_dead));
}

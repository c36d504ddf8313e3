/* What the transport's tests share: one open transport per process, waiting
 * with a deadline, and messages whose content tells who sent them and when. */
#ifndef IPMPI_TESTS_COMM_JOB_H
#define IPMPI_TESTS_COMM_JOB_H

#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/comm/comm.h"
#include "tests/check.h"

#ifndef JOB_DEADLINE_US /* a test may need more */
#define JOB_DEADLINE_US ((int64_t)40 * 1000000)
#endif

static struct ipmpi_comm *job;
static int job_rank, job_size;
static int job_barriers;        /* messages of job_barrier() that have come */
static unsigned job_budget = 1; /* more could take what a next test sent */

typedef bool job_until_fn(void *ctx);

struct job_receiver {
    ipmpi_receive_fn *receive;
    void *ctx;
};

/* A rank may be at the next barrier while another still works: its message is
 * set aside here. */
static void job_receive(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct job_receiver *receiver = ctx;

    if (frames->n == 1 && frames->at[0].len == 7 &&
        memcmp(frames->at[0].data, "barrier", 7) == 0)
        job_barriers++;
    else
        receiver->receive(receiver->ctx, source, frames);
}

/* Turns, sleeping as the product does, until `until` holds. */
static inline bool job_wait(job_until_fn *until, ipmpi_receive_fn *receive,
                            void *ctx)
{
    const int64_t deadline = ipmpi_clock_now_us() + JOB_DEADLINE_US;
    struct job_receiver receiver = {receive, ctx};

    while (!until(ctx)) {
        struct pollfd fds[2];
        int at[2], n, wait;

        if (ipmpi_clock_now_us() > deadline)
            return false;
        if (ipmpi_comm_progress(job, job_budget, job_receive, &receiver) > 0)
            continue;
        wait = ipmpi_comm_before_sleep(job);
        n = ipmpi_comm_fds(job, at);
        for (int i = 0; i < n; i++)
            fds[i] = (struct pollfd){.fd = at[i], .events = POLLIN};
        poll(fds, (nfds_t)n, wait < 0 || wait > 1000 ? 1000 : wait);
        ipmpi_comm_after_sleep(job, NULL, NULL);
    }
    return true;
}

static inline bool job_all_sent(void *ctx)
{
    (void)ctx;
    return ipmpi_comm_unsent_bytes(job, -1) == 0;
}

/* Byte `at` of frame `frame` of message `seq` from `source`. */
static uint8_t job_byte(int source, unsigned seq, size_t frame, size_t at)
{
    return (uint8_t)((unsigned)source * 31 + seq * 7 + frame * 13 +
                     (at >> 12) * 5 + at);
}

/* Appends a frame of `len` bytes that job_check_frame recognises. */
static inline void job_add_frame(struct ipmpi_frames *frames, unsigned seq,
                                 size_t len)
{
    struct ipmpi_buffer *buffer;
    const size_t frame = frames->n;
    uint8_t *data;

    CHECK_EQ(ipmpi_buffer_alloc(len, &buffer), 0);
    data = ipmpi_buffer_data(buffer);
    for (size_t i = 0; i < len; i++)
        data[i] = job_byte(job_rank, seq, frame, i);
    CHECK_EQ(ipmpi_frames_add_view(frames, buffer, 0, len), 0);
    ipmpi_buffer_release(&buffer);
}

static inline void job_check_frame(const struct ipmpi_frames *frames,
                                   size_t frame, int source, unsigned seq,
                                   size_t len)
{
    const uint8_t *data = frames->at[frame].data;
    size_t wrong = 0;

    CHECK_EQ(frames->at[frame].len, len);
    CHECK_EQ((uintptr_t)data % 8 == 0 || len == 0, 1);
    for (size_t i = 0; i < len; i++)
        wrong += data[i] != job_byte(source, seq, frame, i);
    CHECK_EQ(wrong, 0);
}

static void job_nothing_expected(void *ctx, int source,
                                 struct ipmpi_frames *frames)
{
    (void)ctx;
    (void)source;
    (void)frames;
    fail_msg("a message nobody expects");
}

static bool job_barrier_passed(void *ctx)
{
    (void)ctx;
    return job_barriers >= (job_rank == 0 ? job_size - 1 : 1);
}

static void job_barrier_send(int dest)
{
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_static(&frames, "barrier", 7), 0);
    CHECK_EQ(ipmpi_comm_send(job, dest, &frames), 0);
}

/* A barrier of the transport's own messages, through rank 0. */
static inline void job_barrier(void)
{
    if (job_rank != 0)
        job_barrier_send(0);
    CHECK(job_wait(job_barrier_passed, job_nothing_expected, NULL));
    job_barriers -= job_rank == 0 ? job_size - 1 : 1;
    for (int i = 1; i < job_size && job_rank == 0; i++)
        job_barrier_send(i);
}

static int job_open(void **state)
{
    (void)state;
    if (ipmpi_comm_open(NULL, &job) != 0)
        return -1;
    job_rank = ipmpi_comm_rank(job);
    job_size = ipmpi_comm_size(job);
#ifdef JOB_REMOTE /* pretends that the ranks are on different hosts */
    for (int i = 0; i < job_size; i++)
        job->peers[i]->shared = false;
    job->worlds[0].announces = false;
#endif
    return 0;
}

static inline int job_close(void **state)
{
    (void)state;
    return ipmpi_comm_close(&job, 20000);
}

#endif

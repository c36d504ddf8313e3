/* One frame of more than 2 GiB, which no MPI count can name. */
#define JOB_DEADLINE_US ((int64_t)280 * 1000000) /* memory may be slow to get */
#include "tests/runtime/comm/job.h"

#define HUGE_LEN (((size_t)2 << 30) + 12345)

struct huge {
    bool here;
};

/* A word every page: enough to see a piece missing or out of place. */
static uint64_t word_at(size_t at)
{
    return at * 0x9e3779b97f4a7c15u;
}

static void receive(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct huge *huge = ctx;
    size_t wrong = 0;

    (void)source;
    CHECK_EQ(frames->n, 2);
    CHECK_EQ(frames->at[1].len, HUGE_LEN);
    for (size_t at = 0; at + 8 <= HUGE_LEN; at += 4096) {
        const uint64_t want = word_at(at);

        wrong += memcmp(frames->at[1].data + at, &want, 8) != 0;
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(frames->at[1].data[HUGE_LEN - 1], 77);
    huge->here = true;
}

static bool is_here(void *ctx)
{
    struct huge *huge = ctx;

    return huge->here;
}

static void more_than_2_gib(void **state)
{
    struct huge huge = {false};

    (void)state;
    if (job_rank == job_size - 1) {
        struct ipmpi_frames frames = {0};
        struct ipmpi_buffer *buffer;
        uint8_t *data;

        CHECK_EQ(ipmpi_buffer_alloc(HUGE_LEN, &buffer), 0);
        data = ipmpi_buffer_data(buffer);
        for (size_t at = 0; at + 8 <= HUGE_LEN; at += 4096) {
            const uint64_t word = word_at(at);

            memcpy(data + at, &word, 8);
        }
        data[HUGE_LEN - 1] = 77;
        CHECK_EQ(ipmpi_frames_add_copy(&frames, "head", 4), 0);
        CHECK_EQ(ipmpi_frames_add_view(&frames, buffer, 0, HUGE_LEN), 0);
        ipmpi_buffer_release(&buffer);
        CHECK_EQ(ipmpi_comm_send(job, 0, &frames), 0);
        CHECK(job_wait(job_all_sent, receive, &huge));
    }
    if (job_rank == 0)
        CHECK(job_wait(is_here, receive, &huge));
    job_barrier();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_2_gib),
    };

    return cmocka_run_group_tests(tests, job_open, job_close);
}

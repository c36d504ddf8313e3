/* Each allocation of the transport fails in its turn: a send is refused whole
 * or arrives whole, and a message that has no memory to arrive in arrives when
 * there is some. */
#include "runtime/base/log.h"
#include "tests/fault.h"
#include "tests/runtime/comm/job.h"

#define MESSAGES 40 /* more than a window, so that some are queued */

struct tally {
    unsigned got, want;
    uint64_t order;
};

static int send_pair(uint64_t word, struct ipmpi_buffer *large)
{
    struct ipmpi_frames frames = {0};
    struct ipmpi_buffer *small;

    CHECK_EQ(ipmpi_buffer_alloc(sizeof(word), &small), 0);
    memcpy(ipmpi_buffer_data(small), &word, sizeof(word));
    CHECK_EQ(ipmpi_frames_add_view(&frames, small, 0, sizeof(word)), 0);
    if (word % 4 == 0)
        CHECK_EQ(
            ipmpi_frames_add_view(&frames, large, 0, ipmpi_buffer_len(large)),
            0);
    ipmpi_buffer_release(&small);
    return ipmpi_comm_send(job, job_rank, &frames);
}

static void tally(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct tally *t = ctx;
    uint64_t word;

    CHECK_EQ(source, job_rank);
    memcpy(&word, frames->at[0].data, sizeof(word));
    CHECK(word >= t->order);
    CHECK_EQ(frames->n, word % 4 == 0 ? 2 : 1);
    t->order = word + 1;
    t->got++;
}

static bool all_tallied(void *ctx)
{
    struct tally *t = ctx;

    return t->got == t->want && job_all_sent(NULL);
}

/* The sends are made with memory, the rest of the way without. */
static void receiving_waits_for_memory(void **state)
{
    struct ipmpi_buffer *large;
    unsigned nth = 1;
    bool fired;

    (void)state;
    ipmpi_log_set_level(IPMPI_LOG_ERROR + 1);
    CHECK_EQ(ipmpi_buffer_alloc(50000, &large), 0);
    memset(ipmpi_buffer_data(large), 1, 50000);
    do {
        struct tally t = {0};

        for (uint64_t i = 0; i < MESSAGES; i++)
            t.want += send_pair(i, large) == 0;
        CHECK_EQ(t.want, MESSAGES);
        fault_arm(nth++);
        CHECK(job_wait(all_tallied, tally, &t));
        fired = fault_disarm();
    } while (fired);
    ipmpi_buffer_release(&large);
}

static int send_prepared(struct ipmpi_frames *frames, unsigned nth,
                         bool *fired_out)
{
    int err;

    fault_arm(nth);
    err = ipmpi_comm_send(job, job_rank, frames);
    *fired_out = fault_disarm();
    return err;
}

static void sends_are_whole_or_refused(void **state)
{
    struct ipmpi_buffer *large;

    (void)state;
    CHECK_EQ(ipmpi_buffer_alloc(50000, &large), 0);
    memset(ipmpi_buffer_data(large), 1, 50000);
    for (unsigned nth = 1; nth < 8; nth++) {
        struct tally t = {0};

        for (uint64_t i = 0; i < MESSAGES; i++) {
            struct ipmpi_frames frames = {0};
            bool fired;
            int err;

            CHECK_EQ(ipmpi_frames_add_copy(&frames, &i, sizeof(i)), 0);
            if (i % 4 == 0)
                CHECK_EQ(ipmpi_frames_add_view(&frames, large, 0, 50000), 0);
            err = send_prepared(&frames, nth, &fired);
            CHECK(err == 0 || (fired && err == IPMPI_ENOMEM));
            CHECK_EQ(frames.n, 0);
            t.want += err == 0;
        }
        CHECK(job_wait(all_tallied, tally, &t));
        CHECK_EQ(ipmpi_comm_unsent_bytes(job, -1), 0);
    }
    ipmpi_buffer_release(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receiving_waits_for_memory),
        cmocka_unit_test(sends_are_whole_or_refused),
    };

    return cmocka_run_group_tests(tests, job_open, job_close);
}

/* Messages of every shape, to every rank (oneself included), in order. */
#include "tests/runtime/comm/job.h"

#define KIB (size_t)1024
#define MIB (size_t)1024 * 1024

/* A shape is a list of runs: `times` frames of `len` bytes. */
struct run {
    size_t times, len;
};

static const struct shape {
    const char *name;
    struct run runs[6];
} shapes[] = {
    {"no frame at all", {{0}}},
    {"one empty frame", {{1, 0}}},
    {"empty frames only", {{17, 0}}},
    {"one byte", {{1, 1}}},
    {"a header and a body", {{1, 48}, {1, 200}}},
    {"just below large", {{1, 16 * KIB - 1}}},
    {"just large", {{1, 16 * KIB}}},
    {"many frames", {{1000, 10}}},
    {"many empty, one not", {{500, 0}, {1, 5}, {500, 0}}},
    {"more than is packed", {{40, 8 * KIB}}},
    {"overflow and empty", {{9, 15 * KIB}, {3, 0}, {2, 3}}},
    {"large between small", {{1, 48}, {1, 5 * MIB}, {1, 9}, {1, 70 * KIB}}},
    {"many large", {{300, 20 * KIB}}},
    {"64 MiB", {{1, 30}, {1, 64 * MIB}, {1, 30}}},
    {"a small one after it", {{1, 8}}},
};

#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct seen {
    unsigned *next; /* of each source */
    unsigned total, expected;
};

static void check_shape(const struct shape *shape, int source, unsigned seq,
                        const struct ipmpi_frames *frames)
{
    size_t frame = 0;

    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < shape->runs[i].times; k++) {
            CHECK(frame < frames->n);
            job_check_frame(frames, frame, source, seq, shape->runs[i].len);
            frame++;
        }
    CHECK_EQ(frame, frames->n);
}

static void receive(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct seen *seen = ctx;
    const unsigned seq = seen->next[source]++;

    CHECK(seq < N_SHAPES);
    check_shape(&shapes[seq], source, seq, frames);
    seen->total++;
}

static bool all_here(void *ctx)
{
    struct seen *seen = ctx;

    return seen->total == seen->expected && job_all_sent(NULL);
}

static void send_shape(const struct shape *shape, unsigned seq)
{
    struct ipmpi_frames frames = {0};

    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < shape->runs[i].times; k++)
            job_add_frame(&frames, seq, shape->runs[i].len);
    for (int dest = 0; dest < job_size; dest++) {
        struct ipmpi_frames copy = {0};

        CHECK_EQ(ipmpi_frames_add_from(&copy, &frames, 0, frames.n), 0);
        CHECK_EQ(ipmpi_comm_send(job, dest, &copy), 0);
        CHECK_EQ(copy.n, 0);
        CHECK(copy.at == NULL);
    }
    ipmpi_frames_clear(&frames);
}

static void shapes_arrive_in_order(void **state)
{
    struct seen seen = {.expected = (unsigned)(N_SHAPES * (size_t)job_size)};

    (void)state;
    seen.next = calloc((size_t)job_size, sizeof(*seen.next));
    for (unsigned seq = 0; seq < N_SHAPES; seq++)
        send_shape(&shapes[seq], seq);
    CHECK(job_wait(all_here, receive, &seen));
    free(seen.next);
    job_barrier();
}

/* Frames that are moved away in the callback live on. */
static void keep(void *ctx, int source, struct ipmpi_frames *frames)
{
    (void)source;
    ipmpi_frames_move(ctx, frames);
}

static bool kept(void *ctx)
{
    struct ipmpi_frames *frames = ctx;

    return frames->n > 0;
}

static void frames_can_be_kept(void **state)
{
    struct ipmpi_frames frames = {0}, mine = {0};

    (void)state;
    job_add_frame(&frames, 1, 100);
    job_add_frame(&frames, 1, MIB);
    CHECK_EQ(ipmpi_comm_send(job, job_rank, &frames), 0);
    CHECK(job_wait(kept, keep, &mine));
    CHECK_EQ(mine.n, 2);
    job_check_frame(&mine, 0, job_rank, 1, 100);
    job_check_frame(&mine, 1, job_rank, 1, MIB);
    ipmpi_frames_clear(&mine);
    job_barrier();
}

static void bad_sends_are_refused(void **state)
{
    static const uint8_t byte;
    struct ipmpi_frames frames = {0};

    (void)state;
    ipmpi_frames_add_copy(&frames, "x", 1);
    CHECK_EQ(ipmpi_comm_send(job, job_size, &frames), IPMPI_EINVAL);
    CHECK_EQ(frames.n, 0);
    ipmpi_frames_add_copy(&frames, "x", 1);
    CHECK_EQ(ipmpi_comm_send(job, -1, &frames), IPMPI_EINVAL);
    ipmpi_frames_add_static(&frames, &byte, (size_t)1 << 47);
    CHECK_EQ(ipmpi_comm_send(job, 0, &frames), IPMPI_ETOOBIG);
    CHECK_EQ(frames.n, 0);
    CHECK_EQ(ipmpi_comm_unsent_bytes(job, -1), 0);
    job_barrier();
}

static void rank_0_has_no_user_world(void **state)
{
    (void)state;
    CHECK_EQ(ipmpi_comm_user_world(job) == 0, job_rank == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_arrive_in_order),
        cmocka_unit_test(frames_can_be_kept),
        cmocka_unit_test(bad_sends_are_refused),
        cmocka_unit_test(rank_0_has_no_user_world),
    };

    return cmocka_run_group_tests(tests, job_open, job_close);
}

/* Sleeping ranks: they do sleep, bells wake them, and a busy exchange rings
 * none. Judged by counters, never by time. */
#include "runtime/comm/internal.h"
#include "tests/runtime/comm/job.h"

#define ROUNDS 200
#define FLOOD  20000

struct game {
    unsigned got, want;
    int partner;
    bool reply;
};

static void send_word(int dest, uint64_t word)
{
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&frames, &word, sizeof(word)), 0);
    CHECK_EQ(ipmpi_comm_send(job, dest, &frames), 0);
}

static void take_word(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct game *game = ctx;
    uint64_t word;

    CHECK_EQ(source, game->partner);
    CHECK_EQ(frames->n, 1);
    memcpy(&word, frames->at[0].data, sizeof(word));
    CHECK_EQ(word, game->got);
    game->got++;
    if (game->reply)
        send_word(source, word);
}

static bool got_all(void *ctx)
{
    struct game *game = ctx;

    return game->got >= game->want;
}

static void await_sleep(int peer)
{
    const int64_t deadline = ipmpi_clock_now_us() + JOB_DEADLINE_US;

    do { /* it looks once more after it has said that it sleeps */
        CHECK(ipmpi_clock_now_us() < deadline);
        poll(NULL, 0, 1);
    } while (!ipmpi_awake_sleeps(job->awake, peer));
    poll(NULL, 0, 1);
}

/* Rank 0 sends each ball only when rank 1 is asleep: the counters must show
 * that it was rung for (now and then it wakes by itself just then). */
static void sleepers_are_woken(void **state)
{
    struct ipmpi_comm_counters before, after;
    struct game game = {.partner = 1 - job_rank, .reply = job_rank == 1};

    (void)state;
    if (job_size < 2)
        skip();
    ipmpi_comm_counters(job, &before);
    if (job_rank == 1) {
        game.want = ROUNDS;
        CHECK(job_wait(got_all, take_word, &game));
    } else if (job_rank == 0) {
        for (unsigned i = 0; i < ROUNDS; i++) {
            await_sleep(1);
            send_word(1, i);
            game.want = i + 1;
            CHECK(job_wait(got_all, take_word, &game));
        }
    }
    ipmpi_comm_counters(job, &after);
    if (job_rank == 1)
        CHECK(after.sleeps - before.sleeps >= ROUNDS / 4);
    if (job_rank == 0)
        CHECK(after.bells_rung - before.bells_rung >= ROUNDS / 4);
    job_barrier();
}

static void take_any(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct game *game = ctx;

    CHECK_EQ(source, game->partner);
    CHECK_EQ(frames->n, 1);
    game->got++;
}

/* What shared memory takes in one go has left when it has been sent: nothing
 * of it is in flight, whether its receiver is awake or not. */
static void a_packet_leaves_at_once(void **state)
{
    static const size_t lens[] = {8, 200, 300, 1000, 2000, 3900};
    const unsigned n = sizeof(lens) / sizeof(lens[0]);
    struct game game = {.partner = 1 - job_rank, .want = n};

    (void)state;
    if (job_size < 2)
        skip();
    if (job_rank == 1)
        CHECK(job_wait(got_all, take_any, &game));
    for (unsigned i = 0; job_rank == 0 && i < n; i++) {
        char bytes[4000] = "";
        struct ipmpi_frames frames = {0};

        await_sleep(1);
        CHECK_EQ(ipmpi_frames_add_copy(&frames, bytes, lens[i]), 0);
        CHECK_EQ(ipmpi_comm_send(job, 1, &frames), 0);
        CHECK_EQ(job->requests.n, 0);
    }
    job_barrier();
}

/* A flood both ways: all arrive in order, and the bells that ring are few. */
static void a_flood_rings_few_bells(void **state)
{
    struct ipmpi_comm_counters before, after;
    struct game game = {.partner = 1 - job_rank, .want = FLOOD};

    (void)state;
    if (job_size < 2)
        skip();
    job_budget = 64;
    ipmpi_comm_counters(job, &before);
    for (unsigned i = 0; i < FLOOD && job_rank < 2; i++)
        send_word(game.partner, i);
    if (job_rank < 2) {
        CHECK(job_wait(got_all, take_word, &game));
        CHECK(job_wait(job_all_sent, take_word, &game));
    }
    job_budget = 1;
    ipmpi_comm_counters(job, &after);
    CHECK(after.bells_rung - before.bells_rung < FLOOD / 10);
    if (job_rank < 2)
        CHECK_EQ(after.messages_received - before.messages_received >= FLOOD,
                 1);
    job_barrier();
}

/* With nothing to do a rank asks to sleep for seconds, not milliseconds. */
static void idle_means_idle(void **state)
{
    const int64_t deadline = ipmpi_clock_now_us() + JOB_DEADLINE_US;
    int wait = 0;

    (void)state;
    job_barrier();
    while (wait < 1000 && ipmpi_clock_now_us() < deadline) {
        struct job_receiver none = {job_nothing_expected, NULL};

        ipmpi_comm_progress(job, 8, job_receive, &none);
        wait = ipmpi_comm_before_sleep(job);
        poll(NULL, 0, wait < 5 ? wait : 5);
        ipmpi_comm_after_sleep(job, NULL, NULL);
    }
    CHECK(wait >= 1000);
    job_barrier();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleepers_are_woken),
        cmocka_unit_test(a_packet_leaves_at_once),
        cmocka_unit_test(a_flood_rings_few_bells),
        cmocka_unit_test(idle_means_idle),
    };

    return cmocka_run_group_tests(tests, job_open, job_close);
}

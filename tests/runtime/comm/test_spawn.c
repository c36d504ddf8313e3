/* Worlds that are added to a job: the test's rank 0 spawns the test itself,
 * twice; the new ranks answer what they are sent, small and large, and end
 * with the job. Spawned ranks know themselves by their argument. Worlds reach
 * each other by TCP, so this chooses its interface as a nanny does. */
#include <unistd.h>

#include "runtime/process/interfaces.h"
#include "tests/runtime/comm/job.h"

#define LARGE ((size_t)5 * 1024 * 1024)
#define N     2

static char self[4096];
static int n_answers;
static bool told_to_end;

/* --- a spawned rank --------------------------------------------------- */

static void answer(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct ipmpi_frames out = {0};
    const int32_t number = ipmpi_comm_number(job);

    (void)ctx;
    CHECK_EQ(source, 0);
    if (frames->at[0].len == 0) { /* farewell */
        told_to_end = true;
        ipmpi_comm_part(job, 0);
        CHECK(ipmpi_comm_is_dead(job, 0));
        return;
    }
    CHECK_EQ(ipmpi_frames_add_from(&out, frames, 0, frames->n), 0);
    CHECK_EQ(ipmpi_frames_add_copy(&out, &number, sizeof(number)), 0);
    CHECK_EQ(ipmpi_comm_send(job, 0, &out), 0);
}

static bool has_ended(void *ctx)
{
    (void)ctx;
    return told_to_end;
}

static int be_spawned(void)
{
    if (ipmpi_comm_open(NULL, &job) != 0)
        return 1;
    CHECK_EQ(ipmpi_comm_size(job), N + 1);
    CHECK(ipmpi_comm_rank(job) > 0);
    CHECK(ipmpi_comm_user_world(job) != 0);
    CHECK(job_wait(has_ended, answer, NULL));
    return ipmpi_comm_close(&job, 20000) == 0 ? 0 : 1;
}

/* --- the job ---------------------------------------------------------- */

static bool spawn_has_ended(void *ctx)
{
    return ipmpi_comm_spawned(job, ctx) == 0;
}

static void take_answer(void *ctx, int source, struct ipmpi_frames *frames)
{
    const size_t *len = ctx;
    int32_t number;

    CHECK_EQ(frames->n, 2);
    memcpy(&number, frames->at[1].data, sizeof(number));
    CHECK_EQ(number, source);
    job_check_frame(frames, 0, 0, 3, *len);
    n_answers++;
}

static bool all_answered(void *ctx)
{
    (void)ctx;
    return n_answers == N;
}

static void ask(int first, size_t len)
{
    n_answers = 0;
    for (int i = 0; i < N; i++) {
        struct ipmpi_frames frames = {0};

        job_add_frame(&frames, 3, len);
        CHECK_EQ(ipmpi_comm_send(job, first + i, &frames), 0);
    }
    CHECK(job_wait(all_answered, take_answer, &len));
}

static void worlds_join(void **state)
{
    char *argv[] = {"spawned", NULL};
    struct ipmpi_spawned spawned;
    struct ipmpi_frames none = {0};

    (void)state;
    if (job_rank != 0) {
        CHECK_EQ(ipmpi_comm_spawn(job, self, argv, 1, NULL), IPMPI_EINVAL);
        return;
    }
    CHECK_EQ(ipmpi_comm_spawn(job, self, argv, 0, NULL), IPMPI_EINVAL);
    CHECK_EQ(ipmpi_comm_spawned(job, &spawned), IPMPI_EEMPTY);
    for (int world = 0; world < 2; world++) {
        const int first = ipmpi_comm_size(job);

        CHECK_EQ(ipmpi_comm_spawn(job, self, argv, N, NULL), 0);
        CHECK_EQ(ipmpi_comm_size(job), first + N);
        CHECK_EQ(ipmpi_comm_send(job, first, &none), IPMPI_EDEAD);
        CHECK(job_wait(spawn_has_ended, job_nothing_expected, &spawned));
        CHECK_EQ(spawned.err, 0);
        CHECK_EQ(spawned.first, first);
        CHECK_EQ(spawned.n, N);
        ask(first, 10);
        ask(first, LARGE);
    }
    for (int i = job_size; i < ipmpi_comm_size(job); i++) {
        struct ipmpi_frames farewell = {0};

        CHECK_EQ(ipmpi_frames_add_static(&farewell, "", 0), 0);
        CHECK_EQ(ipmpi_comm_send(job, i, &farewell), 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(worlds_join)};
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[len > 0 ? len : 0] = '\0';
    if (ipmpi_interface_set(false) != 0)
        return 1;
    if (argc > 1 && strcmp(argv[1], "spawned") == 0)
        return be_spawned();
    return cmocka_run_group_tests(tests, job_open, job_close);
}

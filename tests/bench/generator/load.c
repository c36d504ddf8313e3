/* Keeps a number of tasks in flight and notes when each was answered.
 *
 * Invariant: a task's time is that of its first reply; `sent` counts all tasks
 * sent, those that warm up first. */
#include "tests/bench/generator/load.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

struct run {
    struct bench_client *client;
    const struct ipmpi_frames *call;
    int64_t end_us; /* the deadline */
    uint64_t sent, answered, in_flight;
    int64_t *sent_us; /* by task */
    int64_t *took_us; /* 0: not answered yet */
    uint64_t n;       /* tasks in all */
    uint64_t first;   /* the first that counts */
    bool has_idle;    /* one was heard: the subscription is live */
    struct bench_result *result;
};

static void take_reply(struct run *run, uint64_t task)
{
    const int64_t took = ipmpi_clock_now_us() - run->sent_us[task];

    if (run->took_us[task] != 0) {
        run->result->twice++;
        return;
    }
    run->took_us[task] = took > 0 ? took : 1;
    run->answered++;
    run->result->replies += task >= run->first;
}

/* Takes all there is. Returns whether there was anything. */
static bool take(struct run *run)
{
    enum bench_event event;
    uint64_t task = 0;
    bool did = false;

    while ((event = bench_client_take(run->client, &task)) != BENCH_NOTHING) {
        did = true;
        if (event == BENCH_FORGED || task >= run->sent) {
            run->result->forged += event != BENCH_OTHER;
            continue;
        }
        if (event == BENCH_IDLE) {
            run->has_idle = true;
            run->result->idle += task >= run->first;
        } else if (event != BENCH_OTHER) {
            run->result->failed += event == BENCH_FAILED;
            take_reply(run, task);
        }
        if (run->sent < run->n && run->sent - run->answered < run->in_flight)
            break; /* the next one goes before the rest is looked at */
    }
    return did;
}

static int send_some(struct run *run, uint64_t until)
{
    int err = 0;

    while (err == 0 && run->sent < until &&
           run->sent - run->answered < run->in_flight) {
        run->sent_us[run->sent] = ipmpi_clock_now_us();
        err = bench_client_send(run->client, run->call);
        run->sent += err == 0;
    }
    return err;
}

static int wait_for_more(struct run *run)
{
    const int64_t left = run->end_us - ipmpi_clock_now_us();

    if (left <= 0)
        return IPMPI_ETIMEOUT;
    bench_client_wait(run->client, (int)(left / 1000 + 1));
    return 0;
}

/* Sends tasks up to `until` and takes their replies. */
static int run_until(struct run *run, uint64_t until)
{
    int err = 0;

    while (err == 0 && run->answered < until) {
        err = send_some(run, until);
        if (err == 0 && !take(run))
            err = wait_for_more(run);
    }
    return err;
}

/* Output is published after the reply. Not all need to come: PUB may drop. */
static void hear_idle(struct run *run)
{
    const int64_t quiet_us = 500 * 1000;

    run->end_us = ipmpi_clock_now_us() + quiet_us;
    while (run->result->idle < run->n - run->first)
        if (take(run))
            run->end_us = ipmpi_clock_now_us() + quiet_us;
        else if (wait_for_more(run) != 0)
            return;
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void sum_up(struct run *run)
{
    const uint64_t n = run->n - run->first;
    int64_t *took = run->took_us + run->first;

    if (n == 0)
        return;
    qsort(took, n, sizeof(*took), by_value);
    run->result->p50_us = (double)took[(n - 1) / 2];
    run->result->p99_us = (double)took[(n - 1) * 99 / 100];
    run->result->worst_us = (double)took[n - 1];
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) /
               1e6;
}

static int measure(struct run *run)
{
    const int64_t start_us = ipmpi_clock_now_us();
    const double cpu_s = cpu_seconds();
    int err = run_until(run, run->n);

    run->result->seconds = (double)(ipmpi_clock_now_us() - start_us) / 1e6;
    run->result->client_cpu_s = cpu_seconds() - cpu_s;
    return err;
}

/* Until the subscription is live, too: what is published before is lost. If
 * all of the warm-up's output was, there is nothing to hear; then half a second
 * is long enough. */
static void await_subscription(struct run *run)
{
    const int64_t end_us = run->end_us;

    run->end_us = ipmpi_clock_now_us() + 500 * 1000;
    while (!run->has_idle && wait_for_more(run) == 0)
        take(run);
    run->end_us = end_us;
}

static int warm_up(struct run *run, const struct bench_load *load, bool iopub)
{
    int err;

    run->in_flight = load->in_flight;
    err = run_until(run, load->warm_up);
    if (err == 0 && iopub && load->warm_up > 0)
        await_subscription(run);
    return err;
}

int bench_load_run(struct bench_client *client, const struct ipmpi_frames *call,
                   const struct bench_load *load, bool iopub,
                   struct bench_result *result_out)
{
    struct run run = {
        .client = client,
        .call = call,
        .end_us = ipmpi_clock_now_us() + (int64_t)load->timeout_ms * 1000,
        .n = load->warm_up + load->tasks,
        .first = load->warm_up,
        .result = result_out,
    };
    int err;

    *result_out = (struct bench_result){0};
    run.sent_us = calloc(run.n + 1, sizeof(*run.sent_us));
    run.took_us = calloc(run.n + 1, sizeof(*run.took_us));
    err = run.sent_us == NULL || run.took_us == NULL
              ? IPMPI_ENOMEM
              : warm_up(&run, load, iopub);
    if (err == 0)
        err = measure(&run);
    if (err == 0 && iopub)
        hear_idle(&run);
    if (err == 0)
        sum_up(&run);
    free(run.sent_us);
    free(run.took_us);
    return err;
}

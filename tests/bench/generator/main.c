/* bench_generator: load for a controller, without a client's own costs.
 *
 *   tests/bench/noop_call.py CALL
 *   build/tests/bench_generator --call CALL CONNECTION_FILE */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "runtime/base/error.h"
#include "tests/bench/generator/load.h"

enum { CALL_MOST = 1 << 20 };

struct settings {
    struct bench_client_options client;
    struct bench_load load;
    const char *call_file;
    bool json;
};

static const char usage[] =
    "usage: bench_generator --call FILE [options] CONNECTION_FILE\n"
    "Measures an ipyparallel-compatible controller: no-op tasks per second\n"
    "and their latency.\n"
    "  --call FILE      the task, as tests/bench/noop_call.py writes it\n"
    "  --tasks N        that are counted (10000)\n"
    "  --warm-up N      before them (200)\n"
    "  --in-flight N    at most so many unanswered (1)\n"
    "  --engines N      wait until there are so many (1)\n"
    "  --balanced       through the task scheduler (the default)\n"
    "  --direct         to each engine in turn\n"
    "  --no-iopub       do not subscribe to the tasks' output, as\n"
    "                   ipyparallel's client does\n"
    "  --timeout S      for the whole (120)\n"
    "  --json           the result as JSON\n"
    "Exit status: 0, 1 (a task failed or was not answered), 2 (usage).\n";

static _Noreturn void refuse(const char *what)
{
    fprintf(stderr, "bench_generator: %s\n%s", what, usage);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    const unsigned long long value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value > 100000000)
        refuse("a number is not one");
    return value;
}

static void parse(int argc, char **argv, struct settings *s)
{
    static const struct option options[] = {
        {"call", required_argument, NULL, 'c'},
        {"tasks", required_argument, NULL, 'n'},
        {"warm-up", required_argument, NULL, 'w'},
        {"in-flight", required_argument, NULL, 'f'},
        {"engines", required_argument, NULL, 'e'},
        {"balanced", no_argument, NULL, 'b'},
        {"direct", no_argument, NULL, 'd'},
        {"no-iopub", no_argument, NULL, 'q'},
        {"timeout", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int letter;

    while ((letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (letter) {
        case 'c':
            s->call_file = optarg;
            break;
        case 'n':
            s->load.tasks = number(optarg);
            break;
        case 'w':
            s->load.warm_up = number(optarg);
            break;
        case 'f':
            s->load.in_flight = number(optarg);
            break;
        case 'e':
            s->client.engines = (size_t)number(optarg);
            break;
        case 'b':
        case 'd':
            s->client.direct = letter == 'd';
            break;
        case 'q':
            s->client.iopub = false;
            break;
        case 't':
            s->load.timeout_ms = (int)(number(optarg) * 1000);
            break;
        case 'j':
            s->json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            refuse("no such option");
        }
    }
    if (optind + 1 != argc || s->call_file == NULL)
        refuse("a connection file and --call are needed");
    if (s->load.in_flight == 0 || s->load.tasks == 0 || s->client.engines == 0)
        refuse("at least one task, one in flight, and one engine");
    s->client.connection_file = argv[optind];
    s->client.timeout_ms = s->load.timeout_ms;
}

/* Buffers, each after its length (32 bits, little-endian). */
static int read_call(const char *path, struct ipmpi_frames *call_out)
{
    FILE *file = fopen(path, "rb");
    unsigned char head[4];
    char *bytes;
    int err = 0;

    if (file == NULL)
        return IPMPI_EIO;
    while (err == 0 && fread(head, 1, sizeof(head), file) == sizeof(head)) {
        const size_t len = (size_t)head[0] | (size_t)head[1] << 8 |
                           (size_t)head[2] << 16 | (size_t)head[3] << 24;

        bytes = len <= CALL_MOST ? malloc(len + 1) : NULL;
        if (bytes == NULL || fread(bytes, 1, len, file) != len)
            err = IPMPI_EIO;
        else
            err = ipmpi_frames_add_copy(call_out, bytes, len);
        free(bytes);
    }
    fclose(file);
    return err != 0 || call_out->n > 0 ? err : IPMPI_EIO;
}

static void show(const struct settings *s, const struct bench_result *r,
                 size_t engines)
{
    printf("%llu tasks, %s, %zu engines, %llu in flight: %.0f tasks/s\n"
           "p50 %.0f us, p99 %.0f us, worst %.0f us; the generator took "
           "%.1f us of cpu a task\n",
           (unsigned long long)r->replies,
           s->client.direct ? "direct" : "balanced", engines,
           (unsigned long long)s->load.in_flight,
           (double)r->replies / r->seconds, r->p50_us, r->p99_us, r->worst_us,
           1e6 * r->client_cpu_s / (double)r->replies);
    if (s->client.iopub)
        printf("%llu ends were published\n", (unsigned long long)r->idle);
}

static void show_json(const struct settings *s, const struct bench_result *r,
                      size_t engines)
{
    json_t *made = json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, "
        "s:f}",
        "direct", s->client.direct, "engines", (json_int_t)engines, "in_flight",
        (json_int_t)s->load.in_flight, "tasks", (json_int_t)r->replies,
        "failed", (json_int_t)r->failed, "forged", (json_int_t)r->forged,
        "twice", (json_int_t)r->twice, "idle", (json_int_t)r->idle, "seconds",
        r->seconds, "tasks_per_second", (double)r->replies / r->seconds,
        "p50_us", r->p50_us, "p99_us", r->p99_us, "worst_us", r->worst_us,
        "client_cpu_us_per_task", 1e6 * r->client_cpu_s / (double)r->replies);

    if (made != NULL)
        json_dumpf(made, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(made);
}

static int run(const struct settings *s, const struct ipmpi_frames *call)
{
    struct bench_client *client;
    struct bench_result result;
    size_t engines;
    int err = bench_client_open(&s->client, &client);

    if (err != 0)
        return 1;
    engines = bench_client_engines(client);
    err = bench_load_run(client, call, &s->load, s->client.iopub, &result);
    bench_client_close(&client);
    if (err != 0)
        fprintf(stderr, "bench_generator: %s after %llu of %llu replies\n",
                ipmpi_strerror(err), (unsigned long long)result.replies,
                (unsigned long long)s->load.tasks);
    else if (s->json)
        show_json(s, &result, engines);
    else
        show(s, &result, engines);
    if (result.failed + result.forged + result.twice > 0)
        fprintf(stderr,
                "bench_generator: %llu tasks failed, %llu replies were not "
                "signed with the cluster's key, %llu came twice\n",
                (unsigned long long)result.failed,
                (unsigned long long)result.forged,
                (unsigned long long)result.twice);
    return err != 0 || result.failed + result.forged + result.twice > 0;
}

int main(int argc, char **argv)
{
    struct settings s = {
        .client = {.iopub = true, .engines = 1},
        .load = {.tasks = 10000,
                 .in_flight = 1,
                 .warm_up = 200,
                 .timeout_ms = 120000},
    };
    struct ipmpi_frames call = {0};
    int status = 1;

    parse(argc, argv, &s);
    if (read_call(s.call_file, &call) == 0)
        status = run(&s, &call);
    else
        fprintf(stderr,
                "bench_generator: %s holds no call: write it with "
                "tests/bench/noop_call.py\n",
                s.call_file);
    ipmpi_frames_clear(&call);
    return status;
}

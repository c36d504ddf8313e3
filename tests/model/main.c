/* scale_model: the scheduling core at sizes that no machine at hand has.
 *
 *   build/tests/scale_model --engines 1000,10000 --load pareto,tree */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "tests/model/world.h"

enum { SIZES_MOST = 16, ROOTS_MOST = 300 };

struct choice {
    int engines[SIZES_MOST];
    int nengines;
    bool shapes[MODEL_TREE + 1];
    double tasks_per_engine;
    bool json;
    struct model_settings set;
};

static const char *const shape_names[] = {"uniform", "pareto", "tree"};

static const char usage[] =
    "usage: scale_model [options]\n"
    "Runs the product's rank 0 (hub and schedulers) with many simulated\n"
    "engines, which steal as the product's do (runtime/tasks), in virtual\n"
    "time, and tells how well they do.\n"
    "  --engines N[,N..]   (1000,10000,100000)\n"
    "  --load NAME[,..]    uniform, pareto, tree (all)\n"
    "  --tasks N           that clients submit for each engine (20; of a "
    "tree,\n"
    "                      one root for every ten engines, at most 300)\n"
    "  --mean-ms T         mean time of a task (1000)\n"
    "  --overhead-us T     an engine's own, for each task (60)\n"
    "  --far-us T, --near-us T\n"
    "                      latency between nodes (20) and on one (5)\n"
    "  --per-node N        engines on a node (64)\n"
    "  --rank0-us T        rank 0's time for a message in or out (4)\n"
    "  --client-us T       and for a client's request, and its reply (20)\n"
    "  --prefetch N        tasks ahead of the one that runs (4)\n"
    "  --no-steal          engines do not steal from each other\n"
    "  --fail SHARE        of the engines that dies half-way (0; not of a\n"
    "                      tree's)\n"
    "  --notice-ms T       until rank 0 hears of a death (20)\n"
    "  --seed N            (1)\n"
    "  --json              the results as JSON\n"
    "efficiency: the ideal makespan (all work spread evenly, or the longest\n"
    "task or path) by the one seen; who does not know how long tasks take\n"
    "can promise no more than ideal + longest; rank 0 busy: its share of the "
    "makespan;\n"
    "limit: the number of engines at which tasks like these take all of its\n"
    "time; code us: processor time of this machine in rank 0's hub and\n"
    "schedulers. Exit status: 0, 1 (a task was lost, decided twice or never), "
    "2.\n";

static _Noreturn void refuse(const char *what)
{
    fprintf(stderr, "scale_model: %s\n%s", what, usage);
    exit(2);
}

static double number(const char *text, double least, double most)
{
    char *end;
    const double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= least && value <= most))
        refuse("a number is not one, or too small or large");
    return value;
}

static void set_engines(struct choice *c, char *text)
{
    c->nengines = 0;
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        if (c->nengines == SIZES_MOST)
            refuse("too many sizes");
        c->engines[c->nengines++] = (int)number(word, 1, 10e6);
    }
}

static void set_shapes(struct choice *c, char *text)
{
    memset(c->shapes, 0, sizeof(c->shapes));
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        int i = 0;

        while (i <= MODEL_TREE && strcmp(word, shape_names[i]) != 0)
            i++;
        if (i > MODEL_TREE)
            refuse("no such load");
        c->shapes[i] = true;
    }
}

static int64_t us(const char *text)
{
    return (int64_t)(1e3 * number(text, 0, 1e9));
}

static const struct option options[] = {
    {"engines", required_argument, NULL, 'e'},
    {"load", required_argument, NULL, 'l'},
    {"tasks", required_argument, NULL, 'n'},
    {"mean-ms", required_argument, NULL, 'm'},
    {"overhead-us", required_argument, NULL, 'o'},
    {"far-us", required_argument, NULL, 'f'},
    {"near-us", required_argument, NULL, 'r'},
    {"per-node", required_argument, NULL, 'p'},
    {"rank0-us", required_argument, NULL, '0'},
    {"client-us", required_argument, NULL, 'c'},
    {"prefetch", required_argument, NULL, 'a'},
    {"no-steal", no_argument, NULL, 's'},
    {"fail", required_argument, NULL, 'x'},
    {"notice-ms", required_argument, NULL, 't'},
    {"seed", required_argument, NULL, 'd'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void set_times(struct model_settings *set, int letter, const char *text)
{
    switch (letter) {
    case 'm':
        set->mean_ns = 1000 * us(text);
        break;
    case 'o':
        set->overhead_ns = us(text);
        break;
    case 'f':
        set->far_ns = us(text);
        break;
    case 'r':
        set->near_ns = us(text);
        break;
    case '0':
        set->rank0_ns = us(text);
        break;
    case 'c':
        set->client_ns = us(text);
        break;
    case 't':
        set->notice_ns = 1000 * us(text);
        break;
    default:
        refuse("no such option");
    }
}

static void parse(int argc, char **argv, struct choice *c)
{
    int letter;

    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'e':
            set_engines(c, optarg);
            break;
        case 'l':
            set_shapes(c, optarg);
            break;
        case 'n':
            c->tasks_per_engine = number(optarg, 0, 1e6);
            break;
        case 'p':
            c->set.per_node = (int)number(optarg, 1, 1e6);
            break;
        case 'a':
            c->set.prefetch = (int)number(optarg, 0, 4096);
            break;
        case 's':
            c->set.steal = false;
            break;
        case 'x':
            c->set.fail = number(optarg, 0, 0.9);
            break;
        case 'd':
            c->set.seed = (uint64_t)number(optarg, 0, 1e15);
            break;
        case 'j':
            c->json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            set_times(&c->set, letter, optarg);
        }
    }
    if (optind != argc)
        refuse("too many arguments");
}

struct row {
    struct model_settings set;
    struct model_result result;
    bool ended;
    double efficiency, busy, limit, messages, code_us, real_s;
};

static double per_task(const struct row *row, double value)
{
    return row->result.tasks > 0 ? value / (double)row->result.tasks : 0;
}

static void measure(struct row *row)
{
    struct timespec from, to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    row->ended = model_run(&row->set, &row->result);
    clock_gettime(CLOCK_MONOTONIC, &to);
    row->real_s = (double)(to.tv_sec - from.tv_sec) +
                  (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    if (row->result.makespan_ns == 0)
        return;
    row->efficiency =
        (double)row->result.ideal_ns / (double)row->result.makespan_ns;
    row->busy =
        (double)row->result.rank0_busy_ns / (double)row->result.makespan_ns;
    row->messages =
        per_task(row, (double)(row->result.rank0_in + row->result.rank0_out));
    row->code_us = per_task(row, (double)row->result.rank0_code_ns / 1e3);
    row->limit = (double)row->set.mean_ns /
                 per_task(row, (double)row->result.rank0_busy_ns);
}

static bool is_good(const struct row *row)
{
    return row->ended && row->result.lost == 0 && row->result.twice == 0 &&
           row->result.decided == row->result.tasks;
}

static void show_head(void)
{
    printf("%8s %-8s %10s %9s %9s %6s %9s %7s %9s %9s %10s %9s %8s\n",
           "engines", "load", "tasks", "ideal s", "took s", "effic.",
           "messages", "rank 0", "limit", "code us", "stolen", "recovery",
           "real s");
    printf("%8s %-8s %10s %9s %9s %6s %9s %7s %9s %9s %10s %9s %8s\n", "", "",
           "", "", "", "", "per task", "busy", "engines", "per task", "tasks",
           "ms", "");
}

static void show(const struct row *row)
{
    const struct model_result *r = &row->result;

    printf("%8d %-8s %10llu %9.3f %9.3f %6.3f %9.3f %6.1f%% %9.0f %9.2f "
           "%10llu ",
           row->set.engines, shape_names[row->set.shape],
           (unsigned long long)r->tasks, (double)r->ideal_ns / 1e9,
           (double)r->makespan_ns / 1e9, row->efficiency, row->messages,
           100 * row->busy, row->limit, row->code_us,
           (unsigned long long)r->stolen);
    if (r->deaths > 0)
        printf("%9.1f", (double)r->recovery_ns / 1e6);
    else
        printf("%9s", "-");
    printf(" %8.2f%s\n", row->real_s,
           !is_good(row)      ? "  TASKS WERE LOST OR DECIDED TWICE"
           : row->busy > 0.95 ? "  rank 0 is the limit"
                              : "");
    fflush(stdout);
}

static json_t *to_json(const struct row *row)
{
    const struct model_result *r = &row->result;

    return json_pack(
        "{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, "
        "s:f, s:f, s:I, s:I, s:f, s:f}",
        "engines", row->set.engines, "load", shape_names[row->set.shape],
        "tasks", (json_int_t)r->tasks, "decided", (json_int_t)r->decided,
        "lost", (json_int_t)r->lost, "twice", (json_int_t)r->twice, "again",
        (json_int_t)r->again, "deaths", (json_int_t)r->deaths, "ideal_s",
        (double)r->ideal_ns / 1e9, "makespan_s", (double)r->makespan_ns / 1e9,
        "efficiency", row->efficiency, "rank0_messages_per_task", row->messages,
        "rank0_busy", row->busy, "rank0_limit_engines", row->limit,
        "rank0_code_us_per_task", row->code_us, "thefts", (json_int_t)r->thefts,
        "stolen", (json_int_t)r->stolen, "recovery_ms",
        (double)r->recovery_ns / 1e6, "real_s", row->real_s);
}

static uint64_t tasks_for(const struct choice *c, int engines,
                          enum model_shape shape)
{
    const double n =
        shape == MODEL_TREE ? engines / 10.0 : engines * c->tasks_per_engine;

    return n < 1 ? 1 : (uint64_t)n;
}

static bool run_all(const struct choice *c, json_t *rows)
{
    bool good = true;

    for (int shape = 0; shape <= MODEL_TREE; shape++) {
        for (int i = 0; i < c->nengines && c->shapes[shape]; i++) {
            struct row row = {.set = c->set};

            row.set.engines = c->engines[i];
            row.set.shape = shape;
            row.set.tasks = tasks_for(c, c->engines[i], shape);
            if (shape == MODEL_TREE)
                row.set.fail = 0;
            measure(&row);
            good &= is_good(&row);
            if (c->json)
                json_array_append_new(rows, to_json(&row));
            else
                show(&row);
        }
    }
    return good;
}

int main(int argc, char **argv)
{
    struct choice c = {
        .engines = {1000, 10000, 100000},
        .nengines = 3,
        .shapes = {true, true, true},
        .tasks_per_engine = 20,
        .set = {.per_node = 64,
                .mean_ns = 1000 * 1000 * 1000,
                .overhead_ns = 60 * 1000,
                .near_ns = 5 * 1000,
                .far_ns = 20 * 1000,
                .rank0_ns = 4 * 1000,
                .client_ns = 20 * 1000,
                .prefetch = 4,
                .steal = true,
                .notice_ns = 20 * 1000 * 1000,
                .seed = 1},
    };
    json_t *rows = json_array();
    bool good;

    parse(argc, argv, &c);
    if (!c.json)
        show_head();
    good = run_all(&c, rows);
    if (c.json) {
        json_dumpf(rows, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        putchar('\n');
    }
    json_decref(rows);
    return good ? 0 : 1;
}

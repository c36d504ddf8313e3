/* ipmpi status: what a cluster does at this moment. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/clusters/ask.h"
#include "launch/local/status_show.h"
#include "launch/verb.h"
#include "runtime/base/error.h"

enum { KEY_JSON = 256, ASK_MS = 5000 };

struct status {
    struct ipmpi_where where;
    bool json;
    double watch_s; /* 0: once */
};

static const struct argp_option table[] = {
    {"watch", 'w', "SECONDS", OPTION_ARG_OPTIONAL,
     "again and again, every 2 seconds unless told otherwise", 1},
    {"json", KEY_JSON, 0, 0, "JSON instead of tables; one line with --watch",
     1},
    {0},
};

static error_t on_option(int key, char *value, struct argp_state *state)
{
    struct status *status = state->input;
    char *end;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &status->where;
        return 0;
    case KEY_JSON:
        status->json = true;
        return 0;
    case 'w':
        status->watch_s = value != NULL ? strtod(value, &end) : 2;
        if (value != NULL && (*end != '\0' || !(status->watch_s >= 0.1 &&
                                                status->watch_s <= 86400)))
            argp_error(state, "--watch: %s is not a time from 0.1 s", value);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char doc[] =
    "Shows a cluster's engines by node, their state, what each runs and for "
    "how long, what waits, and memory.\v"
    "Columns: queue counts what was sent to the very engine, tasks what the "
    "load-balanced scheduler gave it, both with what it runs; completed is "
    "since it came.\n\n"
    "Exit status: 0; 1 it does not answer; 72 there is none; 64 wrong use.";
static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {table, on_option, 0, doc, children, 0, 0};

static int explain(const struct ipmpi_paths *paths, int err)
{
    const char *name = ipmpi_paths_name(paths);
    struct ipmpi_holder holder;

    ipmpi_holder_read(paths, &holder);
    if (holder.held && err == IPMPI_ENOENT)
        fprintf(stderr,
                "ipmpi status: the cluster (%s) on %s is still starting\n",
                name, holder.host);
    else if (holder.held || (err != IPMPI_ENOENT && holder.host[0] == '\0'))
        fprintf(stderr, "ipmpi status: the cluster (%s): %s\n", name,
                err == IPMPI_ETIMEOUT ? "no answer in time"
                                      : ipmpi_strerror(err));
    else {
        fprintf(stderr, "ipmpi status: no cluster runs (%s)%s\n", name,
                err != IPMPI_ENOENT
                    ? "; one that died left its files, which `ipmpi stop` "
                      "removes"
                    : "");
        return IPMPI_EXIT_NO_CLUSTER;
    }
    return IPMPI_EXIT_FAILED;
}

/* Dead ones are not waited for. */
static int ask(const struct ipmpi_paths *paths, json_t **answer_out)
{
    struct ipmpi_holder holder;

    ipmpi_holder_read(paths, &holder);
    if (ipmpi_holder_died(&holder))
        return IPMPI_EDEAD;
    return ipmpi_ask_status(paths, ASK_MS, answer_out);
}

static void show_json(const json_t *answer, bool line)
{
    json_dumpf(answer, stdout, line ? JSON_COMPACT : JSON_INDENT(2));
    putchar('\n');
}

static int show_once(const struct status *status,
                     const struct ipmpi_paths *paths)
{
    json_t *answer = NULL;
    int err = ask(paths, &answer);

    if (err != 0)
        return explain(paths, err);
    if (status->json) {
        show_json(answer, status->watch_s > 0);
    } else {
        if (status->watch_s > 0 && isatty(1))
            fputs("\033[H\033[2J", stdout); /* home, clear */
        ipmpi_status_show(stdout, answer, ipmpi_paths_name(paths));
    }
    fflush(stdout);
    json_decref(answer);
    return ferror(stdout) ? IPMPI_EXIT_FAILED : IPMPI_EXIT_OK;
}

int ipmpi_verb_status(int argc, char **argv)
{
    struct status status = {0};
    struct ipmpi_paths paths;
    int code;

    argp_parse(&parser, argc, argv, 0, NULL, &status);
    if (!ipmpi_paths_find_for(argv[0], &status.where, &paths))
        return IPMPI_EXIT_USAGE;
    do {
        code = show_once(&status, &paths);
        if (code == IPMPI_EXIT_OK && status.watch_s > 0)
            usleep((useconds_t)(status.watch_s * 1e6));
    } while (code == IPMPI_EXIT_OK && status.watch_s > 0);
    ipmpi_paths_clear(&paths);
    return code;
}

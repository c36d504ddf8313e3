/* Options of a job. */
#include "launch/rendezvous/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/rendezvous/files.h"
#include "launch/channel/protocol.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    KEY_MIN = 0x100,
    KEY_MAX,
    KEY_RANKS,
    KEY_JOIN,
    KEY_LAST_CALL,
    KEY_NETWORK,
    KEY_CLUSTER,
    KEY_PROFILE,
    KEY_DETACH,
    KEY_RESTARTS,
    KEY_KEEP_GOING,
};

static const struct argp_option options[] = {
    {"job", 'j', "NAME", 0, "its name; default: ipmpi", 0},
    {"min-nodes", KEY_MIN, "N", 0,
     "start with so few (default: all), and begin anew when fewer are left", 0},
    {"nodes", KEY_MAX, "N", 0, "and with so many at most", 0},
    {"ranks-per-node", KEY_RANKS, "N", 0,
     "default: as many as a node has slots", 0},
    {"join-timeout", KEY_JOIN, "S", 0,
     "seconds to wait for enough nodes; default 600", 0},
    {"last-call", KEY_LAST_CALL, "S", 0,
     "seconds to wait for more than enough; default 10", 0},
    {"restarts", KEY_RESTARTS, "N", 0,
     "new generations after the leader was lost; default 3", 0},
    {"network", KEY_NETWORK, "CIDR[,..]", 0,
     "networks for MPI; default: where the agents are reached", 0},
    {"env", 'x', "NAME=VALUE", 0,
     "for all ranks; sent in clear by Open MPI: nothing secret", 0},
    {"cluster-id", KEY_CLUSTER, "ID", 0, "names the connection files", 0},
    {"profile-dir", KEY_PROFILE, "DIR", 0, "where they are written", 0},
    {"keep-going", KEY_KEEP_GOING, NULL, 0,
     "a program that outlives lost ranks and nodes (a cluster does)", 0},
    {"detach", KEY_DETACH, NULL, 0, "leave once the job runs", 0},
    {0},
};

static unsigned number(struct argp_state *state, const char *text,
                       unsigned least)
{
    char *end;
    const long value = strtol(text, &end, 10);

    if (*text == 0 || *end != 0 || value < (long)least || value > 1000000)
        argp_error(state, "%s is not a number from %u on", text, least);
    return (unsigned)value;
}

static void add_variable(struct argp_state *state, json_t *environment,
                         const char *text)
{
    const char *equals = strchr(text, '=');
    char name[256];

    if (equals == NULL || equals == text ||
        (size_t)(equals - text) >= sizeof(name))
        argp_error(state, "%s is not NAME=VALUE", text);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    json_object_set_new(environment, name, json_string(equals + 1));
}

/* The job's limits. False: the option is none of them. */
static bool parse_limit(int key, char *text, struct argp_state *state,
                        struct ipmpi_spec *spec)
{
    struct ipmpi_rendezvous_limits *limits = &spec->job.limits;

    switch (key) {
    case KEY_MIN:
        spec->min = number(state, text, 1);
        return true;
    case KEY_MAX:
        spec->max = number(state, text, 1);
        return true;
    case KEY_JOIN:
        limits->join_us = (int64_t)number(state, text, 1) * IPMPI_SECOND_US;
        return true;
    case KEY_LAST_CALL:
        limits->last_call_us =
            (int64_t)number(state, text, 0) * IPMPI_SECOND_US;
        return true;
    case KEY_RESTARTS:
        limits->restarts = number(state, text, 0);
        return true;
    default:
        return false;
    }
}

/* Rank 0 listens where the leader was reached; the ranks after it are
 * engines. */
static char *const cluster_argv[] = {"ipmpi-engine", "--ip={ip}",
                                     "--ports={ports}", NULL};

/* Either the user's own program, or options for ours. */
static error_t take_program(struct ipmpi_spec *spec, char **words)
{
    const size_t ours = sizeof(cluster_argv) / sizeof(cluster_argv[0]) - 1;
    size_t n = 0;

    if (words[0][0] != '-') {
        spec->job.argv = words;
        spec->own_program = true;
        return 0;
    }
    while (words[n] != NULL)
        n++;
    spec->cluster_argv = calloc(ours + n + 1, sizeof(*words));
    if (spec->cluster_argv == NULL)
        return ENOMEM;
    memcpy(spec->cluster_argv, cluster_argv, ours * sizeof(*words));
    memcpy(spec->cluster_argv + ours, words, n * sizeof(*words));
    spec->job.argv = spec->cluster_argv;
    return 0;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct ipmpi_spec *spec = state->input;

    if (parse_limit(key, text, state, spec))
        return 0;
    switch (key) {
    case 'j':
        spec->job.name = text;
        break;
    case KEY_RANKS:
        spec->job.ranks_per_node = number(state, text, 1);
        break;
    case KEY_NETWORK:
        spec->job.networks = text;
        break;
    case 'x':
        add_variable(state, spec->job.environment, text);
        break;
    case KEY_CLUSTER:
        spec->cluster_id = text;
        break;
    case KEY_PROFILE:
        spec->profile_dir = text;
        break;
    case KEY_KEEP_GOING:
        spec->job.keep_going = true;
        break;
    case KEY_DETACH:
        spec->job.detach = true;
        break;
    case ARGP_KEY_ARGS:
        return take_program(spec, state->argv + state->next);
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp ipmpi_spec_argp = {.options = options, .parser = parse};

static void take_connection(void *arg, json_t *file, const char *host)
{
    const struct ipmpi_spec *spec = arg;
    const int err =
        ipmpi_files_connection(spec->profile_dir, spec->cluster_id, file, host,
                               &spec->job.secret, spec->job.name);

    if (err != 0)
        ipmpi_log_error("JOB-FILE",
                        "the connection file cannot be written: "
                        "%s",
                        ipmpi_strerror(err));
}

void ipmpi_spec_init(struct ipmpi_spec *spec)
{
    memset(spec, 0, sizeof(*spec));
    spec->job.name = "ipmpi";
    spec->job.mode = IPMPI_MODE_SECRET;
    spec->job.argv = cluster_argv;
    spec->job.environment = json_object();
    spec->job.fd = -1;
    spec->cluster_id = "";
    ipmpi_driver_limits(&spec->job.limits);
}

int ipmpi_spec_finish(struct ipmpi_spec *spec)
{
    const size_t len = strlen(spec->job.name);

    if (spec->max == 0)
        spec->max = spec->min ? spec->min : 1;
    spec->job.limits.keep = spec->min ? spec->min : 1;
    if (spec->min == 0)
        spec->min = spec->max;
    if (spec->min > spec->max || len == 0 || len >= IPMPI_JOB_CAP ||
        strspn(spec->job.name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != len)
        return IPMPI_EINVAL;
    spec->job.limits.min = spec->min;
    spec->job.limits.max = spec->max;
    if (!spec->own_program) {
        spec->job.controller = spec->job.keep_going = true;
        spec->job.limits.grow = true;
        spec->job.file = take_connection;
        if (spec->job.arg == NULL)
            spec->job.arg = spec;
    }
    return 0;
}

void ipmpi_spec_forget_files(const struct ipmpi_spec *spec)
{
    if (!spec->own_program)
        ipmpi_files_forget_connection(spec->profile_dir, spec->cluster_id);
}

void ipmpi_spec_clear(struct ipmpi_spec *spec)
{
    json_decref(spec->job.environment);
    spec->job.environment = NULL;
    free(spec->cluster_argv);
    spec->cluster_argv = NULL;
    ipmpi_secret_wipe(&spec->job.secret);
    ipmpi_secret_wipe(&spec->job.private_key);
}

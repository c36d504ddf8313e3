/* ipmpi submit slurm: a whole cluster as one batch job. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/clusters/ask.h"
#include "launch/machine/machine.h"
#include "launch/slurm/slurm.h"
#include "launch/verb.h"
#include "launch/clusters/where.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum {
    KEY_TASKS_PER_NODE = 256,
    KEY_MEM,
    KEY_GRES,
    KEY_SBATCH,
    KEY_MPIRUN,
    KEY_PYTHON,
    KEY_WAIT,
    KEY_DRY,
    OPTIONS_MOST = 64,
    ASK_MS = 2000,
    PAUSE_US = 500 * 1000,
    WAIT_S = 3600,
};

struct submit {
    struct ipmpi_where where;
    char *options[OPTIONS_MOST + 1]; /* of sbatch; owned */
    size_t noptions;
    bool mpirun, wait, dry, output_given;
    char *python; /* "--python=P"; owned */
    const char *system;
    char **more;
};

static const struct argp_option table[] = {
    {0, 0, 0, 0, "Size and time, as sbatch has them:", 1},
    {"nodes", 'N', "N", 0, "nodes", 0},
    {"ntasks", 'n', "N", 0, "ranks in all: the controller and N-1 engines", 0},
    {"tasks-per-node", KEY_TASKS_PER_NODE, "N", 0, "ranks on each node", 0},
    {"ntasks-per-node", 0, 0, OPTION_ALIAS | OPTION_HIDDEN, 0, 0},
    {"cpus-per-task", 'c', "N", 0, "cpus of each rank", 0},
    {"time", 't', "TIME", 0, "time limit: minutes, h:mm:ss or d-hh:mm:ss", 0},
    {"partition", 'p', "NAME", 0, "partition", 0},
    {"account", 'A', "NAME", 0, "account", 0},
    {"qos", 'q', "NAME", 0, "quality of service", 0},
    {"constraint", 'C', "LIST", 0, "features that nodes must have", 0},
    {"mem", KEY_MEM, "SIZE", 0, "memory of each node", 0},
    {"gres", KEY_GRES, "LIST", 0, "generic resources of each node", 0},
    {"job-name", 'J', "NAME", 0, "the job's name (ipmpi)", 0},
    {"output", 'o', "FILE", 0, "the job's log (in the profile's log/)", 0},
    {"sbatch", KEY_SBATCH, "OPTION", 0,
     "any other option of sbatch, as --sbatch=--exclusive; may be repeated", 0},
    {0, 0, 0, 0, "The cluster:", 2},
    {"mpirun", KEY_MPIRUN, 0, 0, "start ranks by mpirun, not srun --mpi=pmix",
     0},
    {"python", KEY_PYTHON, "PATH", 0, "interpreter of the engines", 0},
    {"wait", KEY_WAIT, 0, 0, "return when the cluster is ready, or has failed",
     0},
    {"dry-run", KEY_DRY, 0, 0, "print the batch script", 0},
    {0},
};

static const struct {
    int key;
    const char *name;
} passed[] = {
    {'N', "nodes"},
    {'n', "ntasks"},
    {KEY_TASKS_PER_NODE, "ntasks-per-node"},
    {'c', "cpus-per-task"},
    {'t', "time"},
    {'p', "partition"},
    {'A', "account"},
    {'q', "qos"},
    {'C', "constraint"},
    {KEY_MEM, "mem"},
    {KEY_GRES, "gres"},
    {'J', "job-name"},
    {'o', "output"},
};

/* A line break would end the line of the script that it is on. */
static void add_option(struct submit *submit, struct argp_state *state,
                       const char *name, const char *value)
{
    char *text;

    if (strchr(value, '\n') != NULL)
        argp_error(state, "an option of sbatch has one line");
    if (submit->noptions == OPTIONS_MOST)
        argp_error(state, "more than %d options of sbatch", OPTIONS_MOST);
    if (name != NULL ? asprintf(&text, "--%s=%s", name, value) < 0
                     : asprintf(&text, "%s", value) < 0)
        argp_failure(state, IPMPI_EXIT_FAILED, 0, "out of memory");
    submit->options[submit->noptions++] = text;
}

/* An option that sbatch has, too. False: none of those. */
static bool pass_on(struct submit *submit, struct argp_state *state, int key,
                    const char *value)
{
    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
        if (passed[i].key != key)
            continue;
        submit->output_given = submit->output_given || key == 'o';
        add_option(submit, state, passed[i].name, value);
        return true;
    }
    return false;
}

/* The batch system's name, then what ipmpi-engine is given. */
static void on_word(struct submit *submit, struct argp_state *state,
                    const char *value)
{
    if (submit->system != NULL) {
        submit->more = state->argv + state->next - 1;
        state->next = state->argc;
        return;
    }
    submit->system = value;
    if (strcmp(value, "slurm") != 0)
        argp_error(state, "no batch system \"%s\"; there is: slurm", value);
}

static error_t on_option(int key, char *value, struct argp_state *state)
{
    struct submit *submit = state->input;

    if (pass_on(submit, state, key, value))
        return 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &submit->where;
        return 0;
    case KEY_SBATCH:
        if (strncmp(value, "-", 1) != 0)
            argp_error(state, "--sbatch: %s is not an option", value);
        add_option(submit, state, NULL, value);
        return 0;
    case KEY_MPIRUN:
        submit->mpirun = true;
        return 0;
    case KEY_PYTHON:
        free(submit->python);
        return asprintf(&submit->python, "--python=%s", value) < 0 ? ENOMEM : 0;
    case KEY_WAIT:
        submit->wait = true;
        return 0;
    case KEY_DRY:
        submit->dry = true;
        return 0;
    case ARGP_KEY_ARG:
        on_word(submit, state, value);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which batch system? There is: slurm");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char doc[] =
    "Submits a cluster as one batch job; its id is slurm-JOBNUMBER.\v"
    "  ipmpi submit slurm -N 4 --tasks-per-node 16 -t 8:00:00\n"
    "  >>> rc = ipp.Client(cluster_id=\"slurm-4711\")\n\n"
    "Of all ranks one is the controller. The profile directory must be on a "
    "file system that the nodes share. Two minutes before the time limit, and "
    "at scancel, the cluster ends in good order and its clients are told. "
    "`ipmpi stop --cluster-id slurm-4711` ends it early.\n\n"
    "Exit status: 0 submitted (with --wait: ready); 1 it did not start; 64 "
    "wrong use; 71 Slurm refused, or is not there.";
static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {
    table, on_option, "slurm [-- OPTION-OF-IPMPI-ENGINE...]", doc, children,
    0,     0};

/* Until the cluster answers, or the job is gone. */
static int wait_ready(const struct ipmpi_paths *paths, const char *id)
{
    const int64_t end_us = ipmpi_clock_now_us() + WAIT_S * 1000000LL;
    char state[256], last[256] = "";
    json_t *status;

    while (ipmpi_clock_now_us() < end_us) {
        if (ipmpi_ask_status(paths, ASK_MS, &status) == 0) {
            printf("ready: %zu engines\n",
                   json_array_size(json_object_get(status, "engines")));
            json_decref(status);
            return IPMPI_EXIT_OK;
        }
        ipmpi_slurm_state(id, state, sizeof(state));
        if (state[0] == '\0' || strncmp(state, "FAILED", 6) == 0 ||
            strncmp(state, "CANCELLED", 9) == 0) {
            fprintf(stderr,
                    "ipmpi submit: job %s ended (%s); its log tells "
                    "why: ipmpi logs --cluster-id slurm-%s\n",
                    id, state[0] != '\0' ? state : "gone", id);
            return IPMPI_EXIT_FAILED;
        }
        if (strcmp(state, last) != 0) {
            snprintf(last, sizeof(last), "%s", state);
            fprintf(stderr, "job %s: %s\n", id, state);
        }
        usleep(PAUSE_US);
    }
    fprintf(stderr, "ipmpi submit: job %s is still not ready\n", id);
    return IPMPI_EXIT_FAILED;
}

static void make_log_dir(const struct ipmpi_paths *paths)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s", paths->profile_dir);
    for (char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = '\0';
        mkdir(path, 0777);
        *p = '/';
    }
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/log", paths->profile_dir);
    mkdir(path, 0777);
}

static int submit_job(const struct submit *submit,
                      const struct ipmpi_paths *paths,
                      const struct ipmpi_slurm_job *job)
{
    char id[64], cluster_id[80];
    struct ipmpi_paths own;
    int err, status = ipmpi_slurm_submit(job, id, sizeof(id));

    if (status != IPMPI_EXIT_OK)
        return status;
    snprintf(cluster_id, sizeof(cluster_id), "slurm-%s", id);
    err = ipmpi_paths_make(
        paths->profile_dir,
        paths->cluster_id[0] != '\0' ? paths->cluster_id : cluster_id, &own);
    if (err != 0)
        return IPMPI_EXIT_FAILED;
    printf("submitted job %s; ipp.Client(cluster_id=\"%s\")\n", id,
           own.cluster_id);
    fflush(stdout);
    if (submit->wait)
        status = wait_ready(&own, id);
    ipmpi_paths_clear(&own);
    return status;
}

static int prepare(struct submit *submit, const struct ipmpi_paths *paths)
{
    char engine[PATH_MAX], ipmpi[PATH_MAX];
    char **args = submit->more;
    char *only[] = {submit->python, NULL};
    struct ipmpi_slurm_job job = {
        .profile_dir = paths->profile_dir,
        .cluster_id = paths->cluster_id,
        .mpirun = submit->mpirun,
        .engine = engine,
        .ipmpi = ipmpi,
        .options = (const char *const *)submit->options,
    };

    if (args != NULL && submit->python != NULL)
        *--args = submit->python; /* where "--" or the system's name was */
    job.engine_args = args != NULL ? args : only;
    if (!ipmpi_machine_program("ipmpi-engine", engine) ||
        !ipmpi_machine_program("ipmpi", ipmpi)) {
        fputs("ipmpi submit: ipmpi-engine is neither beside ipmpi nor in "
              "PATH\n",
              stderr);
        return IPMPI_EXIT_FAILED;
    }
    if (submit->dry) {
        ipmpi_slurm_write(&job, stdout);
        return IPMPI_EXIT_OK;
    }
    make_log_dir(paths);
    return submit_job(submit, paths, &job);
}

static void add_default_output(struct submit *submit,
                               const struct ipmpi_paths *paths)
{
    if (!submit->output_given && submit->noptions < OPTIONS_MOST &&
        asprintf(&submit->options[submit->noptions],
                 "--output=%s/log/ipmpi-%s%s.log", paths->profile_dir,
                 paths->cluster_id,
                 paths->cluster_id[0] != '\0' ? "" : "slurm-%j") >= 0)
        submit->noptions++;
}

int ipmpi_verb_submit(int argc, char **argv)
{
    struct submit submit = {0};
    struct ipmpi_paths paths;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &submit);
    if (!ipmpi_paths_find_for(argv[0], &submit.where, &paths))
        return IPMPI_EXIT_USAGE;
    add_default_output(&submit, &paths);
    status = prepare(&submit, &paths);
    ipmpi_paths_clear(&paths);
    while (submit.noptions > 0)
        free(submit.options[--submit.noptions]);
    free(submit.python);
    return status;
}

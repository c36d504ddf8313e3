/* Options that sbatch has, too, are handed to it as they are. */
#include "launch/slurm/submit_options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/machine/shell.h"
#include "launch/verb.h"

enum {
    KEY_TASKS_PER_NODE = 256,
    KEY_MEM,
    KEY_GRES,
    KEY_SBATCH,
    KEY_MPIRUN,
    KEY_PYTHON,
    KEY_WAIT,
    KEY_DRY,
    WAIT_S = 3600,
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
    {"wait", KEY_WAIT, "SECONDS", OPTION_ARG_OPTIONAL,
     "return when the cluster is ready, or has failed, or after so long (3600)",
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

/* "--NAME=VALUE" as a line of the script has it; NULL: no memory. */
static char *named_option(const char *name, const char *value)
{
    char *word, *text = NULL;
    size_t len;
    FILE *out;

    if (asprintf(&word, "--%s=%s", name, value) < 0)
        return NULL;
    out = open_memstream(&text, &len);
    if (out != NULL) {
        ipmpi_shell_quote(word, out); /* sbatch knows quotes, too */
        fclose(out);
    }
    free(word);
    return text;
}

/* A line break would end the line of the script that it is on. */
static void add_option(struct ipmpi_submit *submit, struct argp_state *state,
                       const char *name, const char *value)
{
    char *text;

    if (strchr(value, '\n') != NULL)
        argp_error(state, "an option of sbatch has one line");
    if (submit->noptions == IPMPI_SUBMIT_OPTIONS - 1) /* --output is to come */
        argp_error(state, "too many options of sbatch");
    text = name != NULL ? named_option(name, value) : strdup(value);
    if (text == NULL)
        argp_failure(state, IPMPI_EXIT_FAILED, 0, "out of memory");
    submit->options[submit->noptions++] = text;
}

/* An option that sbatch has, too. False: none of those. */
static bool pass_on(struct ipmpi_submit *submit, struct argp_state *state,
                    int key, const char *value)
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
static void on_word(struct ipmpi_submit *submit, struct argp_state *state,
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
    struct ipmpi_submit *submit = state->input;
    char *end;

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
        submit->wait_s = value != NULL ? strtol(value, &end, 10) : WAIT_S;
        if (submit->wait_s < 1 || (value != NULL && *end != '\0'))
            argp_error(state, "--wait: %s is not a number of seconds", value);
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
    "file system that the nodes share. Two minutes before the time limit "
    "(Slurm may be half a minute early: of a limit of two minutes nothing is "
    "left), and at scancel, the cluster ends in good order and its clients are told. "
    "`ipmpi stop --cluster-id slurm-4711` ends it early.\n\n"
    "Exit status: 0 submitted (with --wait: ready); 1 it did not start; 64 "
    "wrong use; 71 Slurm refused, or is not there.";
static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {
    table, on_option, "slurm [-- OPTION-OF-IPMPI-ENGINE...]", doc, children,
    0,     0};

void ipmpi_submit_parse(int argc, char **argv, struct ipmpi_submit *submit_out)
{
    *submit_out = (struct ipmpi_submit){0};
    argp_parse(&parser, argc, argv, 0, NULL, submit_out);
}

void ipmpi_submit_clear(struct ipmpi_submit *submit)
{
    while (submit->noptions > 0)
        free(submit->options[--submit->noptions]);
    free(submit->python);
}

bool ipmpi_submit_default_output(struct ipmpi_submit *submit,
                                 const struct ipmpi_paths *paths)
{
    const bool has_id = paths->cluster_id[0] != '\0';
    char *path, *text;

    if (submit->output_given)
        return true;
    if (asprintf(&path, "%s/log/ipmpi-%s.log", paths->profile_dir,
                 has_id ? paths->cluster_id : "slurm-%j") < 0)
        return false;
    text = named_option("output", path);
    free(path);
    if (text != NULL)
        submit->options[submit->noptions++] = text;
    return text != NULL;
}

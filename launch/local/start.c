/* ipmpi start: a cluster on this machine, or in the allocation of the batch
 * job that this runs in. In the foreground this process becomes mpirun; with
 * --daemon it waits until the cluster is ready and leaves it behind. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/local/daemon.h"
#include "launch/machine/machine.h"
#include "launch/machine/shell.h"
#include "launch/verb.h"
#include "launch/clusters/where.h"
#include "runtime/base/error.h"

enum { KEY_PYTHON = 256, KEY_WAIT, KEY_DRY, ENGINES_MOST = 1 << 20 };

struct start {
    struct ipmpi_where where;
    int engines; /* -1: one a cpu */
    bool daemon, dry;
    int wait_s;
    const char *python;
    char **more; /* for ipmpi-engine */
};

static const struct argp_option table[] = {
    {"engines", 'n', "N", 0, "how many engines (one for each cpu)", 1},
    {"daemon", 'd', 0, 0,
     "return when the cluster is ready, and leave it running", 1},
    {"wait", KEY_WAIT, "SECONDS", 0,
     "with --daemon: how long it may take to start (120)", 1},
    {"python", KEY_PYTHON, "PATH", 0,
     "interpreter of the engines (the active environment's python3)", 1},
    {"dry-run", KEY_DRY, 0, 0, "print the command instead of running it", 1},
    {0},
};

static int whole_number(const char *text, int least, int most, int *out)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least ||
        value > most)
        return IPMPI_EINVAL;
    *out = (int)value;
    return 0;
}

static error_t on_option(int key, char *value, struct argp_state *state)
{
    struct start *start = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &start->where;
        return 0;
    case 'n':
        if (whole_number(value, 0, ENGINES_MOST, &start->engines) != 0)
            argp_error(state, "-n: %s is not a number of engines", value);
        return 0;
    case 'd':
        start->daemon = true;
        return 0;
    case KEY_WAIT:
        if (whole_number(value, 1, 86400, &start->wait_s) != 0)
            argp_error(state, "--wait: %s is not a number of seconds", value);
        return 0;
    case KEY_PYTHON:
        start->python = value;
        return 0;
    case KEY_DRY:
        start->dry = true;
        return 0;
    case ARGP_KEY_ARGS:
        if (state->quoted == 0 || state->next > state->quoted)
            argp_error(state,
                       "%s: -n tells how many engines; what is meant "
                       "for ipmpi-engine follows --",
                       state->argv[state->next]);
        start->more = state->argv + state->next;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char doc[] =
    "Starts a cluster: a controller and N engines in one MPI job.\v"
    "  ipmpi start -n 4                 in the foreground; Ctrl-C ends it\n"
    "  ipmpi start -n 4 --daemon        in the background; `ipmpi stop` ends "
    "it\n"
    "  ipmpi start -n 4 -- --db sqlite  options for ipmpi-engine after --\n\n"
    "Then, in Python: import ipyparallel as ipp; rc = ipp.Client()\n\n"
    "Exit status: 0 the cluster runs (--daemon), or was shut down; 1 it did "
    "not start; 64 wrong use; in the foreground else that of mpirun: 1 after "
    "Ctrl-C, 2 for a wrong option after --, 3 if no Python is fit for engines.";

static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {
    table, on_option, "[-- OPTION-OF-IPMPI-ENGINE...]", doc, children, 0, 0};

/* argv of mpirun: a few words, then what the user gave for the engines. The
 * strings are lent; the caller frees the table.
 *
 * mpirun goes by its name: called by a path, it puts the directories of that
 * installation before the user's in PATH and LD_LIBRARY_PATH of the ranks, and
 * engines would find another Python than the user does. */
struct command {
    char **argv;
    char engine[PATH_MAX], ranks[16];
    char *profile_dir, *cluster_id, *python;
};

static void command_clear(struct command *command)
{
    free(command->argv);
    free(command->profile_dir);
    free(command->cluster_id);
    free(command->python);
}

static size_t count(char *const *words)
{
    size_t n = 0;

    while (words != NULL && words[n] != NULL)
        n++;
    return n;
}

static int build(const struct start *start, const struct ipmpi_paths *paths,
                 struct command *command)
{
    const size_t nmore = count(start->more);
    size_t n = 0;

    command->argv = calloc(nmore + 10, sizeof(char *));
    if (command->argv == NULL ||
        asprintf(&command->profile_dir, "--profile-dir=%s",
                 paths->profile_dir) < 0 ||
        asprintf(&command->cluster_id, "--cluster-id=%s", paths->cluster_id) <
            0 ||
        (start->python != NULL &&
         asprintf(&command->python, "--python=%s", start->python) < 0))
        return IPMPI_ENOMEM;
    snprintf(command->ranks, sizeof(command->ranks), "%d", start->engines + 1);
    command->argv[n++] = (char *)"mpirun";
    command->argv[n++] = (char *)"-np";
    command->argv[n++] = command->ranks;
    command->argv[n++] = command->engine;
    command->argv[n++] = command->profile_dir;
    command->argv[n++] = command->cluster_id;
    if (command->python != NULL)
        command->argv[n++] = command->python;
    if (nmore > 0)
        memcpy(&command->argv[n], start->more, nmore * sizeof(char *));
    return 0;
}

static bool find_programs(struct command *command)
{
    char mpirun[PATH_MAX];

    if (!ipmpi_machine_program("ipmpi-engine", command->engine)) {
        fputs("ipmpi start: ipmpi-engine is neither beside ipmpi nor in PATH; "
              "install ipmpi whole\n",
              stderr);
        return false;
    }
    if (!ipmpi_machine_in_path("mpirun", mpirun)) {
        fputs("ipmpi start: mpirun is not in PATH; install Open MPI (Debian: "
              "openmpi-bin)\n",
              stderr);
        return false;
    }
    return true;
}

static bool is_taken(const struct ipmpi_paths *paths)
{
    struct ipmpi_holder holder;

    ipmpi_holder_read(paths, &holder);
    if (holder.held)
        fprintf(stderr,
                "ipmpi start: a cluster runs already (%s; %s, pid %d); stop "
                "it with `ipmpi stop`, or give this one a --cluster-id\n",
                ipmpi_paths_name(paths), holder.host, (int)holder.pid);
    return holder.held;
}

/* A line that does the same in a shell. */
static int show(const struct ipmpi_machine *machine, char *const *argv)
{
    struct ipmpi_setting settings[IPMPI_SETTINGS_MOST];
    const size_t n = ipmpi_machine_settings(machine, settings);

    for (size_t i = 0; i < n; i++)
        printf("%s=%s ", settings[i].name, settings[i].value);
    for (; *argv != NULL; argv++) {
        ipmpi_shell_quote(*argv, stdout);
        putchar(argv[1] != NULL ? ' ' : '\n');
    }
    return IPMPI_EXIT_OK;
}

static int run(const struct start *start, const struct ipmpi_paths *paths,
               const struct ipmpi_machine *machine, char **argv)
{
    if (start->dry)
        return show(machine, argv);
    ipmpi_machine_prepare(machine);
    if (is_taken(paths))
        return IPMPI_EXIT_FAILED;
    if (start->daemon)
        return ipmpi_daemon_start(paths, argv, start->engines, start->wait_s);
    execvp(argv[0], argv);
    fprintf(stderr, "ipmpi start: cannot run %s: %s\n", argv[0],
            strerror(errno));
    return IPMPI_EXIT_FAILED;
}

int ipmpi_verb_start(int argc, char **argv)
{
    struct start start = {.engines = -1, .wait_s = 120};
    struct command command = {0};
    struct ipmpi_machine machine;
    struct ipmpi_paths paths;
    int status = IPMPI_EXIT_FAILED;

    argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &start);
    if (!ipmpi_paths_find_for(argv[0], &start.where, &paths))
        return IPMPI_EXIT_USAGE;
    ipmpi_machine_look(&machine);
    if (start.engines < 0)
        start.engines = (int)machine.cpus;
    if (find_programs(&command) && build(&start, &paths, &command) == 0)
        status = run(&start, &paths, &machine, command.argv);
    command_clear(&command);
    ipmpi_paths_clear(&paths);
    return status;
}

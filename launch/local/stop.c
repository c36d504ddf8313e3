/* ipmpi stop: asks a cluster to leave, and insists if it does not.
 *
 *   ask      shutdown requests, as Client.shutdown(hub=True) sends them
 *   TERM     to mpirun, or to rank 0 if mpirun is not known
 *   KILL     to the same; mpirun's daemons clean up by themselves
 *
 * The signals only work on the machine that has the processes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/clusters/ask.h"
#include "launch/clusters/profiles.h"
#include "launch/verb.h"
#include "launch/clusters/where.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum { ASK_MS = 3000, PAUSE_US = 20 * 1000, WAIT_MS = 5000, KEY_ALL = 256 };

struct stop {
    struct ipmpi_where where;
    bool all;
};

static const struct argp_option table[] = {
    {"all", KEY_ALL, 0, 0, "every cluster of every profile", 1},
    {0},
};

static error_t on_option(int key, char *value, struct argp_state *state)
{
    struct stop *stop = state->input;

    (void)value;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &stop->where;
        return 0;
    case KEY_ALL:
        stop->all = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char doc[] =
    "Stops a cluster, however it was started.\v"
    "Exit status: 0 it has ended; 1 it did not end; 72 there was none.";
static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {table, on_option, "", doc, children, 0, 0};

static bool is_launcher(pid_t pid)
{
    static const char *const names[] = {"mpirun", "mpiexec", "orterun",
                                        "prterun", "srun"};
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    if (fscanf(file, "%31s", name) != 1)
        name[0] = '\0';
    fclose(file);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* mpirun's pid, if the cluster file tells one that is still an mpirun. */
static pid_t find_mpirun(const struct ipmpi_paths *paths)
{
    json_t *file = ipmpi_where_load(paths->cluster_file);
    const json_t *state =
        json_object_get(json_object_get(file, "controller"), "state");
    const pid_t pid = (pid_t)json_integer_value(json_object_get(state, "pid"));

    json_decref(file);
    return pid > 1 && is_launcher(pid) ? pid : 0;
}

/* Until the name is free and the process, if there is one here, is gone. */
static bool wait_end(const struct ipmpi_paths *paths, pid_t pid, int wait_ms)
{
    const int64_t end_us = ipmpi_clock_now_us() + wait_ms * 1000LL;
    struct ipmpi_holder holder;

    for (;;) {
        ipmpi_holder_read(paths, &holder);
        if (!holder.held && (pid == 0 || kill(pid, 0) != 0))
            return true;
        if (ipmpi_clock_now_us() > end_us)
            return false;
        usleep(PAUSE_US);
    }
}

static bool insist(const struct ipmpi_paths *paths, pid_t pid, bool here)
{
    static const int signals[] = {SIGTERM, SIGKILL};

    if (!here || pid <= 1)
        return false;
    for (size_t i = 0; i < 2; i++) {
        kill(pid, signals[i]);
        if (wait_end(paths, pid, WAIT_MS))
            return true;
    }
    return false;
}

/* What a cluster that was killed could not tidy up. */
static void tidy(const struct ipmpi_paths *paths)
{
    struct ipmpi_holder holder;

    ipmpi_holder_read(paths, &holder);
    if (holder.held)
        return;
    unlink(paths->client_file);
    unlink(paths->engine_file);
    unlink(paths->cluster_file);
}

static int stop_one(const struct ipmpi_paths *paths)
{
    struct ipmpi_holder holder;
    pid_t mpirun;
    int err;

    ipmpi_holder_read(paths, &holder);
    mpirun = find_mpirun(paths);
    err = ipmpi_ask_shutdown(paths, ASK_MS);
    if (!holder.held && err != 0) {
        fprintf(stderr, "ipmpi stop: no cluster runs (%s)\n",
                ipmpi_paths_name(paths));
        return IPMPI_EXIT_NO_CLUSTER;
    }
    if (!(err == 0 && wait_end(paths, mpirun, WAIT_MS)) &&
        !insist(paths, mpirun != 0 ? mpirun : holder.pid, holder.here)) {
        fprintf(stderr, "ipmpi stop: the cluster (%s) on %s did not end: %s\n",
                ipmpi_paths_name(paths), holder.host,
                err != 0 ? ipmpi_strerror(err)
                         : "it was asked, and still "
                           "holds its lock");
        return IPMPI_EXIT_FAILED;
    }
    tidy(paths);
    printf("stopped (%s)\n", ipmpi_paths_name(paths));
    return IPMPI_EXIT_OK;
}

static int stop_all(const struct ipmpi_where *where)
{
    struct ipmpi_profiles profiles;
    int status = IPMPI_EXIT_OK;

    if (ipmpi_profiles_find(where, &profiles) != 0)
        return IPMPI_EXIT_FAILED;
    for (size_t i = 0; i < profiles.n; i++) {
        struct ipmpi_holder holder;

        ipmpi_holder_read(&profiles.at[i], &holder);
        if (holder.held && stop_one(&profiles.at[i]) != IPMPI_EXIT_OK)
            status = IPMPI_EXIT_FAILED;
    }
    ipmpi_profiles_clear(&profiles);
    return status;
}

int ipmpi_verb_stop(int argc, char **argv)
{
    struct stop stop = {0};
    struct ipmpi_paths paths;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &stop);
    if (stop.all)
        return stop_all(&stop.where);
    if (ipmpi_paths_find(&stop.where, &paths) != 0)
        return IPMPI_EXIT_USAGE;
    status = stop_one(&paths);
    ipmpi_paths_clear(&paths);
    return status;
}

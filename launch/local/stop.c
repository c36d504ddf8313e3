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
#include "launch/clusters/where.h"
#include "launch/local/process.h"
#include "launch/verb.h"
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
    "Stops a cluster, however it was started: asks it to leave, which tells "
    "its clients; on this machine insists after 5 seconds, by TERM and then "
    "KILL.\v"
    "Files that a cluster left when it was killed are removed.\n\n"
    "Exit status: 0 it has ended; 1 it did not end; 72 there was none (with "
    "--all: 0); 64 wrong use.";
static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {table, on_option, 0, doc, children, 0, 0};

/* Until the name is free and the process, if there is one here, is gone. */
static bool wait_end(const struct ipmpi_paths *paths, pid_t pid, int wait_ms)
{
    const int64_t end_us = ipmpi_clock_now_us() + wait_ms * 1000LL;
    struct ipmpi_holder holder;

    for (;;) {
        ipmpi_holder_read(paths, &holder);
        if (!holder.held && (pid == 0 || !ipmpi_process_lives(pid)))
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

/* What a cluster that was killed could not tidy up; whether there was any. */
static bool tidy(const struct ipmpi_paths *paths)
{
    struct ipmpi_holder holder;
    bool any;

    ipmpi_holder_read(paths, &holder);
    if (holder.held)
        return false;
    any = unlink(paths->client_file) == 0;
    any |= unlink(paths->engine_file) == 0;
    any |= unlink(paths->cluster_file) == 0;
    any |= unlink(paths->lock_file) == 0;
    return any;
}

/* One that died on this machine leaves its lock file. Of another machine
 * nobody can be sure here: its locks may not reach us. */
static int say_none(const struct ipmpi_paths *paths,
                    const struct ipmpi_holder *last)
{
    const bool left = last->here && tidy(paths);

    fprintf(stderr, "ipmpi stop: no cluster runs (%s)%s\n",
            ipmpi_paths_name(paths),
            left ? "; removed the files of one that died" : "");
    return IPMPI_EXIT_NO_CLUSTER;
}

static int stop_one(const struct ipmpi_paths *paths)
{
    struct ipmpi_holder holder;
    pid_t mpirun;
    int err;

    ipmpi_holder_read(paths, &holder);
    mpirun = holder.held && holder.here ? ipmpi_process_mpirun(holder.pid) : 0;
    err = ipmpi_ask_shutdown(paths, ASK_MS);
    if (!holder.held && err != 0)
        return say_none(paths, &holder);
    if (!(err == 0 && wait_end(paths, mpirun, WAIT_MS)) &&
        !insist(paths, mpirun != 0 ? mpirun : holder.pid, holder.here)) {
        fprintf(stderr, "ipmpi stop: the cluster (%s) on %s did not end: %s\n",
                ipmpi_paths_name(paths), holder.host,
                err != 0 ? ipmpi_strerror(err)
                         : "it was asked, and still holds its lock");
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
        else if (!holder.held && holder.here)
            tidy(&profiles.at[i]);
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
    if (!ipmpi_paths_find_for(argv[0], &stop.where, &paths))
        return IPMPI_EXIT_USAGE;
    status = stop_one(&paths);
    ipmpi_paths_clear(&paths);
    return status;
}

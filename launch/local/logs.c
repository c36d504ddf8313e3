/* ipmpi logs: what a cluster's processes have printed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/clusters/where.h"
#include "launch/local/cluster_file.h"
#include "launch/verb.h"

enum { PAUSE_US = 200 * 1000, CHUNK = 65536 };

struct logs {
    struct ipmpi_where where;
    bool follow, path;
    long lines; /* -1: all */
};

static const struct argp_option table[] = {
    {"follow", 'f', 0, 0, "go on as the log grows, until the cluster ends", 1},
    {"lines", 'n', "N", 0, "only the last N lines", 1},
    {"path", 'p', 0, 0, "print where the log is instead", 1},
    {0},
};

static error_t on_option(int key, char *value, struct argp_state *state)
{
    struct logs *logs = state->input;
    char *end;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &logs->where;
        return 0;
    case 'f':
        logs->follow = true;
        return 0;
    case 'p':
        logs->path = true;
        return 0;
    case 'n':
        logs->lines = strtol(value, &end, 10);
        if (end == value || *end != '\0' || logs->lines < 0)
            argp_error(state, "-n: %s is not a number of lines", value);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char doc[] =
    "Shows the log of a cluster that was started by `ipmpi start --daemon` or "
    "by ipyparallel's launchers, also after its end.\v"
    "Exit status: 0; 1 it cannot be read; 72 there is none.";
static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {table, on_option, 0, doc, children, 0, 0};

/* Moves to the start of the last `lines` lines. */
static void seek_lines(FILE *log, long lines)
{
    long at, seen = 0;

    fseek(log, 0, SEEK_END);
    at = ftell(log);
    if (lines == 0)
        return;
    while (at > 0) {
        fseek(log, --at, SEEK_SET);
        if (fgetc(log) == '\n' && seen++ == lines) {
            return; /* just past this line's end */
        }
    }
    rewind(log);
}

static void copy(FILE *log)
{
    static char chunk[CHUNK];
    size_t got;

    while ((got = fread(chunk, 1, sizeof(chunk), log)) > 0)
        fwrite(chunk, 1, got, stdout);
    fflush(stdout);
    clearerr(log);
}

/* Was the log last written to before the lock was taken? */
static bool is_older(const char *log, const char *lock)
{
    struct stat one, other;

    return stat(log, &one) == 0 && stat(lock, &other) == 0 &&
           (one.st_mtim.tv_sec < other.st_mtim.tv_sec ||
            (one.st_mtim.tv_sec == other.st_mtim.tv_sec &&
             one.st_mtim.tv_nsec < other.st_mtim.tv_nsec));
}

static int show(const struct logs *logs, const struct ipmpi_paths *paths,
                const char *path)
{
    FILE *log = fopen(path, "r");
    struct ipmpi_holder holder;

    if (log == NULL) {
        fprintf(stderr, "ipmpi logs: %s: %s\n", path,
                errno == ENOENT ? "no log; a cluster that mpirun started by "
                                  "hand writes to its terminal"
                                : strerror(errno));
        return errno == ENOENT ? IPMPI_EXIT_NO_CLUSTER : IPMPI_EXIT_FAILED;
    }
    ipmpi_holder_read(paths, &holder);
    if (holder.held && is_older(path, paths->lock_file))
        fputs("ipmpi logs: this is of an earlier cluster; the one that runs "
              "now writes to its terminal\n",
              stderr);
    if (logs->lines >= 0)
        seek_lines(log, logs->lines);
    copy(log);
    while (logs->follow && holder.held && !ferror(stdout)) {
        usleep(PAUSE_US);
        ipmpi_holder_read(paths, &holder);
        copy(log);
    }
    fclose(log);
    return IPMPI_EXIT_OK;
}

int ipmpi_verb_logs(int argc, char **argv)
{
    struct logs logs = {.lines = -1};
    struct ipmpi_paths paths;
    char *path;
    int status = IPMPI_EXIT_FAILED;

    argp_parse(&parser, argc, argv, 0, NULL, &logs);
    if (!ipmpi_paths_find_for(argv[0], &logs.where, &paths))
        return IPMPI_EXIT_USAGE;
    path = ipmpi_cluster_file_log(&paths);
    if (path == NULL) /* of a batch job, or of a daemon that is gone */
        path = strdup(paths.log_file);
    if (path != NULL && logs.path)
        status = puts(path) >= 0 ? IPMPI_EXIT_OK : IPMPI_EXIT_FAILED;
    else if (path != NULL)
        status = show(&logs, &paths, path);
    free(path);
    ipmpi_paths_clear(&paths);
    return status;
}

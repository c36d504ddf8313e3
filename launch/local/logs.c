/* ipmpi logs: what a cluster's processes have printed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/verb.h"
#include "launch/clusters/where.h"

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
static const struct argp parser = {table, on_option, "", doc, children, 0, 0};

/* The log that the cluster file names, else the one that we write. */
static char *find_log(const struct ipmpi_paths *paths)
{
    json_t *file = ipmpi_where_load(paths->cluster_file);
    const json_t *state =
        json_object_get(json_object_get(file, "controller"), "state");
    const char *named =
        json_string_value(json_object_get(state, "output_file"));
    char *path = strdup(
        named != NULL && access(named, R_OK) == 0 ? named : paths->log_file);

    json_decref(file);
    return path;
}

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
    if (logs->lines >= 0)
        seek_lines(log, logs->lines);
    copy(log);
    ipmpi_holder_read(paths, &holder);
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
    if (ipmpi_paths_find(&logs.where, &paths) != 0)
        return IPMPI_EXIT_USAGE;
    path = find_log(&paths);
    if (path != NULL && logs.path)
        status = puts(path) >= 0 ? IPMPI_EXIT_OK : IPMPI_EXIT_FAILED;
    else if (path != NULL)
        status = show(&logs, &paths, path);
    free(path);
    ipmpi_paths_clear(&paths);
    return status;
}

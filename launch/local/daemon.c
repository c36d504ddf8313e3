/* Start, wait, and leave behind. */
#include "launch/local/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/clusters/ask.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum { PAUSE_US = 50 * 1000, ASK_MS = 1000, TAIL_BYTES = 8000, END_MS = 5000 };

/* --- the log ------------------------------------------------------------- */

static void make_parents(const char *path)
{
    char *copy = strdup(path);

    for (char *p = copy != NULL ? strchr(copy + 1, '/') : NULL; p != NULL;
         p = strchr(p + 1, '/')) {
        *p = '\0';
        mkdir(copy, 0777);
        *p = '/';
    }
    free(copy);
}

/* A fresh log; the one before it is kept as .1. */
static int open_log(const char *path)
{
    char *old = NULL;
    int fd;

    make_parents(path);
    if (asprintf(&old, "%s.1", path) >= 0)
        rename(path, old);
    free(old);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        fprintf(stderr, "ipmpi start: cannot write %s: %s\n", path,
                strerror(errno));
    return fd;
}

static void show_tail(const char *path)
{
    FILE *log = fopen(path, "r");
    char line[1024];

    if (log == NULL)
        return;
    if (fseek(log, -TAIL_BYTES, SEEK_END) == 0)
        (void)fgets(line, sizeof(line), log); /* a part of a line */
    else
        rewind(log);
    while (fgets(line, sizeof(line), log) != NULL)
        fputs(line, stderr);
    fclose(log);
}

/* --- the job ------------------------------------------------------------- */

static pid_t spawn(char **argv, int log_fd)
{
    const pid_t pid = fork();

    if (pid == 0) {
        const int null_fd = open("/dev/null", O_RDONLY);

        setsid();
        dup2(null_fd, 0);
        dup2(log_fd, 1);
        dup2(log_fd, 2);
        execv(argv[0], argv);
        fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

static bool has_ended(pid_t pid, int *status_out)
{
    return waitpid(pid, status_out, WNOHANG) == pid;
}

static void end_job(pid_t pid)
{
    const int64_t end_us = ipmpi_clock_now_us() + END_MS * 1000;
    int status;

    kill(pid, SIGTERM);
    while (!has_ended(pid, &status)) {
        if (ipmpi_clock_now_us() > end_us)
            kill(pid, SIGKILL);
        usleep(PAUSE_US);
    }
}

static size_t count_ready(const json_t *status)
{
    const json_t *engine;
    size_t i, n = 0;

    json_array_foreach(json_object_get(status, "engines"), i, engine)
    {
        const char *state = json_string_value(json_object_get(engine, "state"));

        n += state == NULL || strcmp(state, "starting") != 0;
    }
    return n;
}

/* 0, IPMPI_EDEAD with the wait status, IPMPI_ETIMEOUT with how many engines
 * there were. */
static int wait_ready(const struct ipmpi_paths *paths, pid_t pid, int engines,
                      int wait_s, int *detail_out)
{
    const int64_t end_us = ipmpi_clock_now_us() + wait_s * 1000000LL;
    struct ipmpi_holder holder;
    json_t *status;

    *detail_out = 0;
    for (;;) {
        if (has_ended(pid, detail_out))
            return IPMPI_EDEAD;
        ipmpi_holder_read(paths, &holder); /* the file may be an older one's */
        if (holder.held && ipmpi_ask_status(paths, ASK_MS, &status) == 0) {
            *detail_out = (int)count_ready(status);
            json_decref(status);
            if (*detail_out >= engines)
                return 0;
        }
        if (ipmpi_clock_now_us() > end_us)
            return IPMPI_ETIMEOUT;
        usleep(PAUSE_US);
    }
}

/* --- the cluster file ---------------------------------------------------- */

static json_t *state_of(const struct ipmpi_paths *paths, pid_t pid)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:s}", "profile_dir", paths->profile_dir,
                     "cluster_id", paths->cluster_id, "state", "running", "pid",
                     (int)pid, "output_file", paths->log_file);
}

static json_t *sets_of(const struct ipmpi_paths *paths, int engines)
{
    json_t *ids = json_array();

    for (int id = 0; id < engines; id++)
        json_array_append_new(ids, json_integer(id));
    return json_pack("{s:{s:s,s:s,s:s,s:i,s:o,s:s}}", "0", "profile_dir",
                     paths->profile_dir, "cluster_id", paths->cluster_id,
                     "state", "running", "n", engines, "engine_ids", ids,
                     "output_file", paths->log_file);
}

/* As ipyparallel.Cluster writes it: compat 12.3. */
static void write_cluster_file(const struct ipmpi_paths *paths, pid_t pid,
                               int engines)
{
    json_t *file = json_pack(
        "{s:{s:s,s:[],s:s,s:s,s:f,s:i,s:s,s:s},s:{s:s,s:o},s:{s:s,s:o}}",
        "cluster", "cluster_id", paths->cluster_id, "controller_args",
        "controller_ip", "", "controller_location", "", "delay", 1.0, "n",
        engines, "profile_dir", paths->profile_dir, "class",
        "ipyparallel.cluster.cluster.Cluster", "controller", "class", "ipmpi",
        "state", state_of(paths, pid), "engines", "class", "ipmpi", "sets",
        sets_of(paths, engines));
    const mode_t mask = umask(077);

    if (file == NULL || json_dump_file(file, paths->cluster_file, 0) != 0)
        fprintf(stderr,
                "ipmpi start: cannot write %s; ipcluster will not list this "
                "cluster\n",
                paths->cluster_file);
    umask(mask);
    json_decref(file);
}

/* --- the verb's half ----------------------------------------------------- */

static int tell_failure(const struct ipmpi_paths *paths, pid_t pid, int err,
                        int detail, int engines, int wait_s)
{
    if (err == IPMPI_ETIMEOUT)
        end_job(pid);
    fprintf(stderr, "--- the job's output (%s):\n", paths->log_file);
    show_tail(paths->log_file);
    fputs("---\n", stderr);
    if (err == IPMPI_ETIMEOUT)
        fprintf(stderr,
                "ipmpi start: %d of %d engines were there after %d s; the job "
                "was ended. --wait gives it more time\n",
                detail, engines, wait_s);
    else if (WIFSIGNALED(detail))
        fprintf(stderr, "ipmpi start: the job was ended by signal %d (%s)\n",
                WTERMSIG(detail), strsignal(WTERMSIG(detail)));
    else
        fprintf(stderr,
                "ipmpi start: the job ended with status %d while it started; "
                "`ipmpi doctor` looks for reasons\n",
                WEXITSTATUS(detail));
    return IPMPI_EXIT_FAILED;
}

int ipmpi_daemon_start(const struct ipmpi_paths *paths, char **argv,
                       int engines, int wait_s)
{
    const int log_fd = open_log(paths->log_file);
    int detail, err;
    pid_t pid;

    if (log_fd < 0)
        return IPMPI_EXIT_FAILED;
    pid = spawn(argv, log_fd);
    close(log_fd);
    if (pid < 0) {
        fprintf(stderr, "ipmpi start: fork: %s\n", strerror(errno));
        return IPMPI_EXIT_FAILED;
    }
    err = wait_ready(paths, pid, engines, wait_s, &detail);
    if (err != 0)
        return tell_failure(paths, pid, err, detail, engines, wait_s);
    write_cluster_file(paths, pid, engines);
    printf("cluster ready: %d engines (%s)\n", engines,
           ipmpi_paths_name(paths));
    return IPMPI_EXIT_OK;
}

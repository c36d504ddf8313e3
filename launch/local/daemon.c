/* Start, wait, and leave behind. */
#include "launch/local/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/clusters/ask.h"
#include "launch/local/cluster_file.h"
#include "launch/local/daemon_log.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum { PAUSE_US = 50 * 1000, ASK_MS = 1000, END_MS = 5000 };

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
        execvp(argv[0], argv);
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

static volatile sig_atomic_t told_to_end;

static void on_end_signal(int number)
{
    told_to_end = number;
}

/* The pause between two looks ends early when such a signal comes. */
static void listen_to_end_signals(void)
{
    const struct sigaction action = {.sa_handler = on_end_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* Whether the cluster that has the name is of our job, and not one that was
 * started by other means in this very moment. */
static bool is_ours(const struct ipmpi_paths *paths, pid_t job)
{
    struct ipmpi_holder holder;

    ipmpi_holder_read(paths, &holder);
    return holder.held && (!holder.here || getsid(holder.pid) == job);
}

/* 0, IPMPI_EDEAD with the wait status, IPMPI_ETIMEOUT with how many engines
 * there were, IPMPI_ESTATE when a signal said that it is enough. */
static int wait_ready(const struct ipmpi_paths *paths, pid_t pid, int engines,
                      int wait_s, int *detail_out)
{
    const int64_t end_us = ipmpi_clock_now_us() + wait_s * 1000000LL;
    json_t *status;

    *detail_out = 0;
    for (;;) {
        if (has_ended(pid, detail_out))
            return IPMPI_EDEAD;
        if (told_to_end != 0)
            return IPMPI_ESTATE;
        if (is_ours(paths, pid) &&
            ipmpi_ask_status(paths, ASK_MS, &status) == 0) {
            *detail_out = (int)ipmpi_ask_count_ready(status);
            json_decref(status);
            if (*detail_out >= engines)
                return 0;
        }
        if (ipmpi_clock_now_us() > end_us)
            return IPMPI_ETIMEOUT;
        usleep(PAUSE_US);
    }
}

/* --- the verb's half ----------------------------------------------------- */

static void tell_failure(const struct ipmpi_paths *paths, int err, int detail,
                         int engines, int wait_s)
{
    fprintf(stderr, "--- the job's output (%s):\n", paths->log_file);
    ipmpi_daemon_log_show_tail(paths->log_file);
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
}

static int finish(const struct ipmpi_paths *paths, pid_t pid, int engines)
{
    if (!ipmpi_cluster_file_write(paths, pid, engines))
        fprintf(stderr,
                "ipmpi start: cannot write %s; ipcluster will not list this "
                "cluster\n",
                paths->cluster_file);
    printf("cluster ready: %d engine%s (%s)\n", engines,
           engines == 1 ? "" : "s", ipmpi_paths_name(paths));
    return IPMPI_EXIT_OK;
}

static int start_and_wait(const struct ipmpi_paths *paths, char **argv,
                          int engines, int wait_s, int log_fd)
{
    int detail, err;
    pid_t pid;

    listen_to_end_signals();
    pid = spawn(argv, log_fd);
    if (pid < 0) {
        fprintf(stderr, "ipmpi start: fork: %s\n", strerror(errno));
        return IPMPI_EXIT_FAILED;
    }
    err = wait_ready(paths, pid, engines, wait_s, &detail);
    if (err == 0)
        return finish(paths, pid, engines);
    if (err != IPMPI_EDEAD)
        end_job(pid);
    if (err == IPMPI_ESTATE) {
        fputs("ipmpi start: told to stop; the job was ended\n", stderr);
        return 128 + told_to_end;
    }
    tell_failure(paths, err, detail, engines, wait_s);
    return IPMPI_EXIT_FAILED;
}

int ipmpi_daemon_start(const struct ipmpi_paths *paths, char **argv,
                       int engines, int wait_s)
{
    struct ipmpi_daemon_log log;
    int status;

    if (!ipmpi_paths_make_log_dir("ipmpi start", paths) ||
        !ipmpi_daemon_log_open(paths->log_file, &log))
        return IPMPI_EXIT_FAILED;
    status = start_and_wait(paths, argv, engines, wait_s, log.fd);
    ipmpi_daemon_log_close(&log);
    return status;
}

/* fork and exec, with the launcher's signal settings for the child.
 *
 * Open MPI signals process groups: the launcher made the nanny the leader of
 * one, and everything a nanny starts stays in it, so that the launcher's KILL
 * ends all of it. */
#include "runtime/process/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/process/link.h"

enum { SIGNALS = 64 };

static uint64_t bit(int n)
{
    return (uint64_t)1 << (n - 1);
}

int ipmpi_signals_take(struct ipmpi_signals *was_out, int *fd_out)
{
    static const int ours[] = {SIGTERM, SIGINT,  SIGHUP,
                               SIGCHLD, SIGUSR1, SIGUSR2};
    struct ipmpi_signals was = {0};
    struct sigaction action;
    sigset_t blocked, take;
    int fd;

    sigemptyset(&take);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        sigaddset(&take, ours[i]);
    if (sigprocmask(SIG_BLOCK, &take, &blocked) != 0)
        return IPMPI_ESYS;
    for (int n = 1; n <= SIGNALS; n++) {
        if (sigismember(&blocked, n) == 1)
            was.blocked |= bit(n);
        if (sigaction(n, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            was.ignored |= bit(n);
    }
    if (was.ignored & bit(SIGCHLD)) /* or exits would not be told */
        signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); /* a log that nobody reads must not end us */
    fd = signalfd(-1, &take, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return IPMPI_ESYS;
    *was_out = was;
    *fd_out = fd;
    return 0;
}

static void restore_signals(const struct ipmpi_signals *was)
{
    sigset_t blocked;

    sigemptyset(&blocked);
    for (int n = 1; n <= SIGNALS; n++)
        if (was->blocked & bit(n))
            sigaddset(&blocked, n);
    if (was->ignored & bit(SIGCHLD))
        signal(SIGCHLD, SIG_IGN);
    if ((was->ignored & bit(SIGPIPE)) == 0)
        signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static void keep_open(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, 0);
}

/* In the child; says errno by `failed_fd` if it comes back. */
static void become(const struct ipmpi_child *child, pid_t nanny, int failed_fd)
{
    char number[16];
    int err;

    if (child->death_signal != 0)
        prctl(PR_SET_PDEATHSIG, child->death_signal);
    if (getppid() != nanny) /* it died before that could count */
        _exit(1);
    keep_open(child->keep_fd[0]);
    keep_open(child->keep_fd[1]);
    keep_open(child->link_fd);
    unsetenv(IPMPI_LINK_ENV);
    if (child->link_fd >= 0) {
        snprintf(number, sizeof(number), "%d", child->link_fd);
        setenv(IPMPI_LINK_ENV, number, 1);
    }
    restore_signals(child->signals);
    execv(child->path, child->argv);
    err = errno;
    if (write(failed_fd, &err, sizeof(err)) < 0)
        _exit(126);
    _exit(127);
}

int ipmpi_child_start(const struct ipmpi_child *child, pid_t *pid_out)
{
    const pid_t nanny = getpid();
    int failed[2], err = 0;
    pid_t pid;

    if (pipe2(failed, O_CLOEXEC) != 0)
        return IPMPI_ESYS;
    pid = fork();
    if (pid == 0)
        become(child, nanny, failed[1]);
    close(failed[1]);
    /* End of file: exec closed the pipe, or nothing was forked. */
    if (pid > 0 && read(failed[0], &err, sizeof(err)) == (ssize_t)sizeof(err))
        waitpid(pid, NULL, 0);
    else if (pid < 0)
        err = errno;
    close(failed[0]);
    if (err != 0) {
        errno = err;
        return IPMPI_ESYS;
    }
    *pid_out = pid;
    return 0;
}

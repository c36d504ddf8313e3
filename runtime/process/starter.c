/* Starting the controller, engines, zygote and check. */
#include "runtime/process/starter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/process/host.h"
#include "runtime/process/zygote.h"

/* Note [huge pages]. libzmq takes memory for what it receives from malloc, and
 * of fresh memory a fault a page costs more than the copy. glibc's malloc asks
 * for huge pages if its environment says so from the start. The controller's
 * alone: engines fork, and what they allocate is the user's business. */
#define TUNABLES   "GLIBC_TUNABLES"
#define HUGE_PAGES "glibc.malloc.hugetlb=1"

int ipmpi_start_controller(const struct ipmpi_nanny_task *task,
                           const struct ipmpi_signals *signals, int link_fd,
                           pid_t *pid_out)
{
    const struct ipmpi_child child = {.path = task->parts->controller,
                                      .argv = task->argv,
                                      .link_fd = link_fd,
                                      .keep_fd = {-1, -1},
                                      .death_signal = SIGTERM,
                                      .signals = signals};
    const bool tuned = getenv(TUNABLES) != NULL; /* by the user */
    int err;

    if (!tuned)
        setenv(TUNABLES, HUGE_PAGES, 1); /* slower without: no failure */
    err = ipmpi_child_start(&child, pid_out);
    if (!tuned)
        unsetenv(TUNABLES);
    return err;
}

/* Runs this binary again as one that embeds Python; see host.h. */
static int start_host(const struct ipmpi_nanny_task *task, const char *name,
                      struct ipmpi_child *child, pid_t *pid_out)
{
    const char *python = task->options->python;
    char **argv = calloc((size_t)task->argc + 3, sizeof(*argv));
    int err;

    if (argv == NULL)
        return IPMPI_ENOMEM;
    argv[0] = (char *)name;
    argv[1] = (char *)(task->place->rank == 0 ? "1" : "0");
    argv[2] = (char *)(python != NULL ? python : "");
    memcpy(&argv[3], &task->argv[1], (size_t)task->argc * sizeof(*argv));
    child->path = task->parts->self;
    child->argv = argv;
    err = ipmpi_child_start(child, pid_out);
    free(argv);
    return err;
}

int ipmpi_start_engine(const struct ipmpi_nanny_task *task,
                       const struct ipmpi_signals *signals, int link_fd,
                       pid_t *pid_out)
{
    struct ipmpi_child child = {.link_fd = link_fd,
                                .keep_fd = {-1, -1},
                                .death_signal = SIGKILL,
                                .signals = signals};

    return start_host(task, IPMPI_HOST_RANK, &child, pid_out);
}

int ipmpi_start_check(const struct ipmpi_nanny_task *task,
                      const struct ipmpi_signals *signals, pid_t *pid_out)
{
    struct ipmpi_child child = {.link_fd = -1,
                                .keep_fd = {-1, -1},
                                .death_signal = SIGKILL,
                                .signals = signals};

    return start_host(task, IPMPI_HOST_CHECK, &child, pid_out);
}

int ipmpi_start_zygote(const struct ipmpi_nanny_task *task,
                       const struct ipmpi_signals *signals, const char *name,
                       int *keeper_out, pid_t *pid_out)
{
    struct ipmpi_child child = {.link_fd = -1, .signals = signals};
    int keeper[2], listener, saved, err;
    char fds[32];

    err = ipmpi_zygote_listen(name, &listener);
    if (err != 0)
        return err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, keeper) != 0) {
        saved = errno;
        close(listener);
        errno = saved;
        return IPMPI_ESYS;
    }
    snprintf(fds, sizeof(fds), "%d,%d", listener, keeper[1]);
    child.keep_fd[0] = listener;
    child.keep_fd[1] = keeper[1];
    setenv(IPMPI_ZYGOTE_ENV, fds, 1);
    err = start_host(task, IPMPI_HOST_ZYGOTE, &child, pid_out);
    unsetenv(IPMPI_ZYGOTE_ENV);
    saved = errno;
    close(listener); /* if the zygote dies, callers must be refused */
    close(keeper[1]);
    if (err != 0)
        close(keeper[0]);
    else
        *keeper_out = keeper[0];
    errno = saved;
    return err;
}

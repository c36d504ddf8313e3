/* One child, one pipe, one deadline. */
#include "launch/machine/run_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

static void become(char *const *argv, int write_fd)
{
    const int null_fd = open("/dev/null", O_RDONLY);

    setpgid(0, 0); /* so that its children can be ended with it */
    dup2(null_fd, 0);
    dup2(write_fd, 1);
    dup2(write_fd, 2);
    execvp(argv[0], argv);
    _exit(127);
}

/* Until its end of the pipe closes; what does not fit is read and dropped. */
static int gather(int fd, int64_t end_us, char *output, size_t cap)
{
    size_t len = 0;

    output[0] = '\0';
    for (;;) {
        const int64_t left_us = end_us - ipmpi_clock_now_us();
        struct pollfd item = {.fd = fd, .events = POLLIN};
        char chunk[1024];
        ssize_t got;

        if (left_us <= 0 || poll(&item, 1, (int)(left_us / 1000) + 1) == 0)
            return IPMPI_ETIMEOUT;
        got = read(fd, chunk, sizeof(chunk));
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return IPMPI_ESYS;
        if (got < 0)
            continue;
        if ((size_t)got > cap - 1 - len)
            got = (ssize_t)(cap - 1 - len);
        memcpy(output + len, chunk, (size_t)got);
        len += (size_t)got;
        output[len] = '\0';
    }
}

int ipmpi_run_program(char *const *argv, int timeout_ms, char *output,
                      size_t cap)
{
    const int64_t end_us = ipmpi_clock_now_us() + timeout_ms * 1000LL;
    int fds[2], status = 0, err;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return IPMPI_ESYS;
    pid = fork();
    if (pid == 0)
        become(argv, fds[1]);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return IPMPI_ESYS;
    }
    err = gather(fds[0], end_us, output, cap);
    close(fds[0]);
    if (err != 0)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (err != 0)
        return err;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Signals become readable.
 *
 * Threads: the first of a program. */
#include "runtime/base/signals.h"

#include <signal.h>
#include <sys/signalfd.h>

int ipmpi_signals_open(bool children)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (children)
        sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

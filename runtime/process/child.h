/* Starting processes from a nanny, and what a nanny hands on: the signal
 * settings that it was given itself, which its own work has changed.
 * Threads: the nanny's one. */
#ifndef IPMPI_PROCESS_CHILD_H
#define IPMPI_PROCESS_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Signals as the launcher set them: bit n-1 is signal n. */
struct ipmpi_signals {
    uint64_t blocked;
    uint64_t ignored;
};

/* Notes the settings and blocks the signals a nanny takes from a descriptor,
 * which it returns (close-on-exec, non-blocking): TERM, INT, HUP, CHLD, USR1,
 * USR2. IPMPI_ESYS. */
int ipmpi_signals_take(struct ipmpi_signals *was_out, int *fd_out);

struct ipmpi_child {
    const char *path;  /* program */
    char *const *argv; /* argv[0] is its name */
    int link_fd;       /* -1, or the rank's end: kept open over exec, its
                        * number in IPMPI_LINK_ENV */
    int keep_fd[2];    /* -1, or more to keep open */
    int death_signal;  /* 0, or what it gets when the nanny dies */
    const struct ipmpi_signals *signals;
};

/* Forks and executes, in the nanny's process group. Returns when the program
 * runs: IPMPI_ESYS with the errno of fork or exec. */
int ipmpi_child_start(const struct ipmpi_child *child, pid_t *pid_out);

#endif

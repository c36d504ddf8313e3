/* The signals that ask a program to end, as a descriptor for its loop. */
#ifndef IPMPI_BASE_SIGNALS_H
#define IPMPI_BASE_SIGNALS_H

#include <stdbool.h>

/* Blocks SIGTERM, SIGINT and SIGHUP, and with `children` SIGCHLD: call it
 * before there are other threads, which inherit that. They are read as struct
 * signalfd_siginfo from the descriptor returned, which does not block and is
 * the caller's. SIGPIPE is ignored. -1, with errno: there is no descriptor. */
int ipmpi_signals_open(bool children);

#endif

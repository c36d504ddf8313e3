/* Where a cluster without a terminal writes to.
 *
 * Threads: one. Blocks on the file system only. */
#ifndef IPMPI_LAUNCH_LOCAL_DAEMON_LOG_H
#define IPMPI_LAUNCH_LOCAL_DAEMON_LOG_H

#include <stdbool.h>

/* An open log, and the turn to start this cluster. */
struct ipmpi_daemon_log {
    int fd;          /* for the job to write to */
    char *turn_path; /* locked by turn_fd */
    int turn_fd;
};

/* Makes a fresh log at `path`; the one before it is kept as PATH.1. Of two
 * starts of one cluster at once only one has the log, until it closes it. False
 * after it said on stderr what is wrong. */
bool ipmpi_daemon_log_open(const char *path, struct ipmpi_daemon_log *log_out);
void ipmpi_daemon_log_close(struct ipmpi_daemon_log *log);

/* The end of a log, on stderr. */
void ipmpi_daemon_log_show_tail(const char *path);

#endif

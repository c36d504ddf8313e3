/* The log: one line an event on stderr (or a file), with a stable id to search
 * for and a sentence to act on. Never a key, never a payload.
 *
 *     12:04:51 r0 W BRIDGE-AUTH client 7f3a: signature does not match; dropped
 *
 * Any thread, also after fork; a line is one write(2). */
#ifndef IPMPI_BASE_LOG_H
#define IPMPI_BASE_LOG_H

#include <stdint.h>

enum ipmpi_log_level {
    IPMPI_LOG_DEBUG,
    IPMPI_LOG_INFO,
    IPMPI_LOG_WARN,
    IPMPI_LOG_ERROR,
};

/* Lines below `level` are not written. Default: INFO. */
void ipmpi_log_set_level(enum ipmpi_log_level level);

/* Who writes: "r0", "nanny 3". Copied, cut at 31 bytes. */
void ipmpi_log_set_name(const char *name);

/* Where lines go; default 2. Lends the descriptor. */
void ipmpi_log_set_fd(int fd);

void ipmpi_log(enum ipmpi_log_level level, const char *id, const char *format,
               ...) __attribute__((format(printf, 3, 4)));

#define ipmpi_log_debug(...) ipmpi_log(IPMPI_LOG_DEBUG, __VA_ARGS__)
#define ipmpi_log_info(...)  ipmpi_log(IPMPI_LOG_INFO, __VA_ARGS__)
#define ipmpi_log_warn(...)  ipmpi_log(IPMPI_LOG_WARN, __VA_ARGS__)
#define ipmpi_log_error(...) ipmpi_log(IPMPI_LOG_ERROR, __VA_ARGS__)

/* For lines that a remote peer can trigger: at most 5 in any 10 s from one
 * limit; the next line that passes tells how many were kept back. Zero-
 * initialise it; it belongs to one thread. */
struct ipmpi_log_limit {
    int64_t window_start_us;
    unsigned in_window;
    unsigned kept_back;
};

void ipmpi_log_limited(struct ipmpi_log_limit *limit,
                       enum ipmpi_log_level level, const char *id,
                       const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif

/* The log. A line is made on the stack and leaves by one write, so that lines
 * of many threads and processes do not mix.
 *
 * Threads: any; the settings are written before threads start. */
#include "runtime/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"

enum { LINE_CAP = 2048, LIMIT_LINES = 5, LIMIT_WINDOW_US = 10 * 1000 * 1000 };

static enum ipmpi_log_level least = IPMPI_LOG_INFO;
static char who[32] = "-";
static int sink = STDERR_FILENO;

void ipmpi_log_set_level(enum ipmpi_log_level level)
{
    least = level;
}

void ipmpi_log_set_name(const char *name)
{
    snprintf(who, sizeof(who), "%s", name);
}

void ipmpi_log_set_fd(int fd)
{
    sink = fd;
}

static size_t clamp(int made, size_t cap)
{
    if (made < 0)
        return 0;
    return (size_t)made < cap ? (size_t)made : cap - 1;
}

static void write_line(enum ipmpi_log_level level, const char *id,
                       unsigned kept_back, const char *format, va_list args)
{
    static const char letters[] = "DIWE";
    char line[LINE_CAP];
    time_t now = time(NULL);
    struct tm tm;
    size_t at;

    localtime_r(&now, &tm);
    at = clamp(snprintf(line, sizeof(line), "%02d:%02d:%02d %s %c %s ",
                        tm.tm_hour, tm.tm_min, tm.tm_sec, who, letters[level],
                        id),
               sizeof(line));
    at += clamp(vsnprintf(line + at, sizeof(line) - at - 1, format, args),
                sizeof(line) - at - 1);
    if (kept_back > 0)
        at += clamp(snprintf(line + at, sizeof(line) - at - 1,
                             " (and %u such lines kept back)", kept_back),
                    sizeof(line) - at - 1);
    line[at++] = '\n';
    if (write(sink, line, at) < 0)
        return; /* nobody left to tell */
}

void ipmpi_log(enum ipmpi_log_level level, const char *id, const char *format,
               ...)
{
    va_list args;

    if (level < least)
        return;
    va_start(args, format);
    write_line(level, id, 0, format, args);
    va_end(args);
}

void ipmpi_log_limited(struct ipmpi_log_limit *limit,
                       enum ipmpi_log_level level, const char *id,
                       const char *format, ...)
{
    const int64_t now = ipmpi_clock_now_us();
    va_list args;

    if (level < least)
        return;
    if (limit->window_start_us == 0 ||
        now - limit->window_start_us >= LIMIT_WINDOW_US) {
        limit->window_start_us = now;
        limit->in_window = 0;
    }
    if (limit->in_window >= LIMIT_LINES) {
        limit->kept_back++;
        return;
    }
    limit->in_window++;
    va_start(args, format);
    write_line(level, id, limit->kept_back, format, args);
    va_end(args);
    limit->kept_back = 0;
}

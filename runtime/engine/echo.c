/* Echo without waiting. The descriptor is shared with other processes, so it
 * cannot be made non-blocking: poll() says when PIPE_BUF bytes fit. */
#include "runtime/engine/echo.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/log.h"

enum { BOUND = 1 << 20 };

void ipmpi_echo_add(struct ipmpi_echo *echo, const char *text, size_t len)
{
    size_t cap = echo->cap > 0 ? echo->cap : 4096;
    char *more;

    if (echo->fd < 0)
        return;
    while (cap - echo->len < len && cap < BOUND)
        cap *= 2;
    more = cap > echo->cap ? realloc(echo->text, cap) : echo->text;
    if (more != NULL) {
        echo->text = more;
        echo->cap = cap;
    }
    if (echo->cap - echo->len < len) {
        echo->left_out += len;
        return;
    }
    memcpy(echo->text + echo->len, text, len);
    echo->len += len;
}

static size_t write_once(struct ipmpi_echo *echo, size_t at)
{
    struct pollfd p = {echo->fd, POLLOUT, 0};
    size_t len = echo->len - at;
    ssize_t n;

    if (poll(&p, 1, 0) <= 0)
        return 0;
    n = write(echo->fd, echo->text + at, len < PIPE_BUF ? len : PIPE_BUF);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) { /* nobody reads there any more */
        ipmpi_echo_clear(echo);
        echo->fd = -1;
        return 0;
    }
    return (size_t)n;
}

int ipmpi_echo_write(struct ipmpi_echo *echo)
{
    size_t at = 0, n;

    while (at < echo->len && (n = write_once(echo, at)) > 0)
        at += n;
    if (echo->len == 0)
        return 0;
    memmove(echo->text, echo->text + at, echo->len - at);
    echo->len -= at;
    if (at > 0 && echo->left_out > 0) {
        ipmpi_log_warn("ENGINE-ECHO",
                       "%zu bytes of output were not echoed: the terminal "
                       "or file did not take them in time",
                       echo->left_out);
        echo->left_out = 0;
    }
    return echo->len > 0;
}

void ipmpi_echo_clear(struct ipmpi_echo *echo)
{
    free(echo->text);
    *echo = (struct ipmpi_echo){.fd = echo->fd};
}

/* Echo: captured output also goes where it would have gone, but never at the
 * price of waiting: what a slow terminal does not take is kept up to a bound,
 * then left out.
 *
 * Threads: the comm thread. */
#ifndef IPMPI_ENGINE_ECHO_H
#define IPMPI_ENGINE_ECHO_H

#include <stddef.h>

struct ipmpi_echo {
    int fd; /* lent; -1: nowhere */
    char *text;
    size_t len, cap;
    size_t left_out; /* bytes since the last ones taken */
};

/* Zero everything but the descriptor. */
#define IPMPI_ECHO_TO(descriptor) \
    {                             \
        .fd = (descriptor)        \
    }

void ipmpi_echo_add(struct ipmpi_echo *echo, const char *text, size_t len);

/* Writes what can be written now. Returns whether something remains: then poll
 * `fd` for writing. Never blocks. */
int ipmpi_echo_write(struct ipmpi_echo *echo);

void ipmpi_echo_clear(struct ipmpi_echo *echo);

#endif

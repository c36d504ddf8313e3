/* Descriptors that travel with a packet over a Unix socket. Any thread. */
#ifndef IPMPI_PROCESS_ATTACH_H
#define IPMPI_PROCESS_ATTACH_H

#include <stddef.h>
#include <sys/types.h>

#define IPMPI_ATTACH_MOST 8

/* As send(2), with `n` descriptors (0 to IPMPI_ATTACH_MOST), which are lent. */
ssize_t ipmpi_attach_send(int socket, const void *data, size_t len,
                          const int *fds, size_t n, int flags);

/* As recv(2). *fd_out is the descriptor that came along (close-on-exec, the
 * caller's), or -1; what came besides it is closed. */
ssize_t ipmpi_attach_receive(int socket, void *data, size_t cap, int *fd_out,
                             int flags);

#endif

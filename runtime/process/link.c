/* The link between a nanny and its rank. */
#include "runtime/process/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/process/attach.h"

int ipmpi_link_fd(void)
{
    const char *text = getenv(IPMPI_LINK_ENV);
    char *end;
    long fd;

    if (text == NULL || text[0] == '\0')
        return -1;
    fd = strtol(text, &end, 10);
    if (*end != '\0' || fd < 0 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return -1;
    return (int)fd;
}

int ipmpi_link_pair(int *nanny_out, int *rank_out)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return IPMPI_ESYS;
    *nanny_out = ends[0];
    *rank_out = ends[1];
    return 0;
}

int ipmpi_link_send(int fd, const struct ipmpi_link_packet *packet)
{
    return ipmpi_link_send_fd(fd, packet, -1);
}

int ipmpi_link_send_fd(int fd, const struct ipmpi_link_packet *packet,
                       int attached)
{
    ssize_t sent;

    do
        sent = ipmpi_attach_send(fd, packet, sizeof(*packet), &attached,
                                 attached >= 0, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)sizeof(*packet))
        return 0;
    return sent < 0 && errno == EAGAIN ? IPMPI_EFULL : IPMPI_EDEAD;
}

int ipmpi_link_receive(int fd, struct ipmpi_link_packet *packet_out)
{
    int attached;
    int err = ipmpi_link_receive_fd(fd, packet_out, &attached);

    if (err == 0 && attached >= 0)
        close(attached);
    return err;
}

int ipmpi_link_receive_fd(int fd, struct ipmpi_link_packet *packet_out,
                          int *attached_out)
{
    struct ipmpi_link_packet packet;
    ssize_t len;

    for (;;) {
        len = ipmpi_attach_receive(fd, &packet, sizeof(packet), attached_out,
                                   MSG_DONTWAIT);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN)
            return IPMPI_EEMPTY;
        if (len <= 0)
            return IPMPI_EDEAD;
        if (len == (ssize_t)sizeof(packet)) /* else not one of ours */
            break;
        if (*attached_out >= 0)
            close(*attached_out);
    }
    *packet_out = packet;
    return 0;
}

/* A bell: one abstract Unix datagram socket and, for other hosts, one UDP
 * socket.
 *
 * Invariant: a datagram counts only if it is whole and carries the token; an
 *            acknowledged notice has been handed over exactly once.
 * Threads:   ring only reads the bell and sends, so any thread may; everything
 *            else belongs to the bell's thread. */
#include "runtime/bell/bell.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/bell/datagram.h"

/* One drain reads at most so many datagrams of a socket: who floods a bell
 * keeps its owner awake, not caught. */
enum { DRAIN_BUDGET = 1024, SEEN_CAP = 512 };

struct ipmpi_bell {
    int unix_fd;
    int udp_fd; /* -1: none */
    struct ipmpi_bell_address address;
    uint64_t seen[SEEN_CAP]; /* ids of the latest notices, a ring */
    unsigned nseen;
};

static int bind_unix(struct ipmpi_bell *bell)
{
    struct ipmpi_socket_address own;
    uint64_t random[2];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return IPMPI_ESYS;
    snprintf(bell->address.unix_name, sizeof(bell->address.unix_name),
             "ipmpi-bell-%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    ipmpi_socket_address_unix(bell->address.unix_name, &own);
    bell->unix_fd =
        socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bell->unix_fd < 0 || bind(bell->unix_fd, &own.at.any, own.len) != 0)
        return IPMPI_ESYS;
    return 0;
}

static int bind_udp(struct ipmpi_bell *bell, uint32_t ipv4_be)
{
    struct ipmpi_socket_address own;

    ipmpi_socket_address_udp(ipv4_be, 0, &own);
    bell->udp_fd =
        socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bell->udp_fd < 0 || bind(bell->udp_fd, &own.at.any, own.len) != 0 ||
        getsockname(bell->udp_fd, &own.at.any, &own.len) != 0)
        return IPMPI_ESYS;
    bell->address.ipv4_be = ipv4_be;
    bell->address.udp_port_be = own.at.in.sin_port;
    return 0;
}

int ipmpi_bell_open(const uint8_t token[IPMPI_TOKEN_LEN], uint32_t ipv4_be,
                    struct ipmpi_bell **bell_out)
{
    struct ipmpi_bell *bell = calloc(1, sizeof(*bell));
    int err, saved;

    if (bell == NULL)
        return IPMPI_ENOMEM;
    bell->unix_fd = bell->udp_fd = -1;
    memcpy(bell->address.token, token, IPMPI_TOKEN_LEN);
    ipmpi_bell_identify(&bell->address);
    err = bind_unix(bell);
    if (err == 0 && ipv4_be != 0)
        err = bind_udp(bell, ipv4_be);
    if (err != 0) {
        saved = errno;
        ipmpi_bell_close(&bell);
        errno = saved;
        return err;
    }
    *bell_out = bell;
    return 0;
}

void ipmpi_bell_close(struct ipmpi_bell **bell)
{
    if (*bell == NULL)
        return;
    if ((*bell)->unix_fd >= 0)
        close((*bell)->unix_fd);
    if ((*bell)->udp_fd >= 0)
        close((*bell)->udp_fd);
    free(*bell);
    *bell = NULL;
}

void ipmpi_bell_address(const struct ipmpi_bell *bell,
                        struct ipmpi_bell_address *address_out)
{
    *address_out = bell->address;
}

int ipmpi_bell_fds(const struct ipmpi_bell *bell, int fds_out[2])
{
    fds_out[0] = bell->unix_fd;
    if (bell->udp_fd < 0)
        return 1;
    fds_out[1] = bell->udp_fd;
    return 2;
}

void ipmpi_bell_ring(struct ipmpi_bell *bell,
                     const struct ipmpi_bell_address *whose)
{
    struct ipmpi_datagram ring;
    struct ipmpi_socket_address to;
    int fd = bell->udp_fd;

    if (ipmpi_bell_same_host(&bell->address, whose)) {
        ipmpi_socket_address_unix(whose->unix_name, &to);
        fd = bell->unix_fd;
    } else if (fd < 0 || whose->ipv4_be == 0) {
        return;
    } else {
        ipmpi_socket_address_udp(whose->ipv4_be, whose->udp_port_be, &to);
    }
    ipmpi_datagram_fill(&ring, IPMPI_DATAGRAM_RING, whose->token, 0);
    /* A full queue (EAGAIN) means that the owner has reason to wake already. */
    (void)sendto(fd, &ring, ipmpi_datagram_len(ring.kind),
                 MSG_DONTWAIT | MSG_NOSIGNAL, &to.at.any, to.len);
}

static bool seen_before(struct ipmpi_bell *bell, uint64_t id)
{
    const unsigned have = bell->nseen < SEEN_CAP ? bell->nseen : SEEN_CAP;

    for (unsigned i = 0; i < have; i++)
        if (bell->seen[i] == id)
            return true;
    bell->seen[bell->nseen++ % SEEN_CAP] = id;
    return false;
}

static void acknowledge(struct ipmpi_bell *bell, int fd, uint64_t id,
                        const struct ipmpi_socket_address *from)
{
    struct ipmpi_datagram ack;

    ipmpi_datagram_fill(&ack, IPMPI_DATAGRAM_ACK, bell->address.token, id);
    (void)sendto(fd, &ack, ipmpi_datagram_len(ack.kind),
                 MSG_DONTWAIT | MSG_NOSIGNAL, &from->at.any,
                 from->len); /* lost: it will be repeated */
}

static void take(struct ipmpi_bell *bell, int fd,
                 struct ipmpi_datagram *datagram,
                 const struct ipmpi_socket_address *from,
                 ipmpi_notice_fn *notice_fn, void *ctx)
{
    if (datagram->kind == IPMPI_DATAGRAM_PROBE) {
        acknowledge(bell, fd, datagram->id, from);
    } else if (datagram->kind == IPMPI_DATAGRAM_NOTICE && notice_fn != NULL) {
        acknowledge(bell, fd, datagram->id, from);
        datagram->notice.host[sizeof(datagram->notice.host) - 1] = '\0';
        if (!seen_before(bell, datagram->id))
            notice_fn(ctx, &datagram->notice);
    }
}

static void drain_fd(struct ipmpi_bell *bell, int fd,
                     ipmpi_notice_fn *notice_fn, void *ctx)
{
    struct ipmpi_socket_address from;
    struct ipmpi_datagram datagram;
    ssize_t len;

    for (int i = 0; i < DRAIN_BUDGET; i++) {
        from.len = sizeof(from.at);
        /* MSG_TRUNC: the true length, so that a longer datagram shows. */
        len = recvfrom(fd, &datagram, sizeof(datagram),
                       MSG_DONTWAIT | MSG_TRUNC, &from.at.any, &from.len);
        if (len < 0 && (errno == EAGAIN || errno == EBADF))
            return;
        if (ipmpi_datagram_valid(&datagram, len, bell->address.token))
            take(bell, fd, &datagram, &from, notice_fn, ctx);
    }
}

void ipmpi_bell_drain(struct ipmpi_bell *bell, ipmpi_notice_fn *notice_fn,
                      void *ctx)
{
    drain_fd(bell, bell->unix_fd, notice_fn, ctx);
    if (bell->udp_fd >= 0)
        drain_fd(bell, bell->udp_fd, notice_fn, ctx);
}

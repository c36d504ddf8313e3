/* Peers: sockets under sessions. */
#include "launch/channel/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/channel/protocol.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum { NAME_CAP = INET6_ADDRSTRLEN + 8, READ_MAX = 65536, READS_A_TURN = 8 };

struct ipmpi_peer {
    int fd;
    struct ipmpi_session *session;
    bool connecting;
    int64_t made_us, heard_us, beat_us;
    char name[NAME_CAP];
};

static void set_name(struct ipmpi_peer *peer, const struct sockaddr *address)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    const bool four = address->sa_family == AF_INET;

    inet_ntop(address->sa_family,
              four ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr,
              host, sizeof(host));
    snprintf(peer->name, sizeof(peer->name), four ? "%s:%u" : "[%s]:%u", host,
             ntohs(four ? v4->sin_port : v6->sin6_port));
}

static struct ipmpi_peer *create(int fd, const struct sockaddr *address)
{
    struct ipmpi_peer *peer = calloc(1, sizeof(*peer));
    const int on = 1;

    if (peer == NULL)
        return NULL;
    peer->fd = fd;
    peer->made_us = peer->heard_us = peer->beat_us = ipmpi_clock_now_us();
    set_name(peer, address);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return peer;
}

/* The first address of the host, IPv4 first: Open MPI 4.1 prefers it too. */
static int resolve(const char *host, uint16_t port,
                   struct sockaddr_storage *address_out, socklen_t *len_out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found, *at, *best;
    char service[8];

    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return IPMPI_ENOENT;
    best = found;
    for (at = found; at != NULL; at = at->ai_next)
        if (at->ai_family == AF_INET) {
            best = at;
            break;
        }
    memcpy(address_out, best->ai_addr, best->ai_addrlen);
    *len_out = best->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int ipmpi_peer_dial(const char *host, uint16_t port,
                    const struct ipmpi_hello *hello,
                    const struct ipmpi_credentials *credentials,
                    struct ipmpi_peer **peer_out)
{
    struct sockaddr_storage address;
    struct ipmpi_peer *peer;
    socklen_t len;
    int fd, err;

    err = resolve(host, port, &address, &len);
    if (err != 0)
        return err;
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                0);
    if (fd < 0)
        return IPMPI_ESYS;
    peer = create(fd, (struct sockaddr *)&address);
    err = IPMPI_ENOMEM;
    if (peer == NULL)
        goto close_fd;
    err = ipmpi_session_initiate(hello, credentials, &peer->session);
    if (err != 0)
        goto free_peer;
    err = IPMPI_ESYS;
    if (connect(fd, (struct sockaddr *)&address, len) != 0 &&
        errno != EINPROGRESS)
        goto free_session;
    peer->connecting = true;
    *peer_out = peer;
    return 0;

free_session:
    ipmpi_session_destroy(&peer->session);
free_peer:
    free(peer);
close_fd:
    close(fd);
    return err;
}

int ipmpi_peer_accept(int listen_fd, ipmpi_credentials_fn *find, void *arg,
                      struct ipmpi_peer **peer_out)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    struct ipmpi_peer *peer;
    int fd, err;

    fd = accept4(listen_fd, (struct sockaddr *)&address, &len,
                 SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? IPMPI_EEMPTY
                                                       : IPMPI_ESYS;
    peer = create(fd, (struct sockaddr *)&address);
    if (peer == NULL) {
        close(fd);
        return IPMPI_ENOMEM;
    }
    err = ipmpi_session_respond(find, arg, &peer->session);
    if (err != 0) {
        free(peer);
        close(fd);
        return err;
    }
    *peer_out = peer;
    return 0;
}

void ipmpi_peer_close(struct ipmpi_peer **peer)
{
    if (*peer == NULL)
        return;
    close((*peer)->fd);
    ipmpi_session_destroy(&(*peer)->session);
    free(*peer);
    *peer = NULL;
}

int ipmpi_peer_fd(const struct ipmpi_peer *peer)
{
    return peer->fd;
}

short ipmpi_peer_events(const struct ipmpi_peer *peer)
{
    const uint8_t *data;

    if (peer->connecting)
        return POLLOUT;
    return ipmpi_session_output(peer->session, &data) > 0 ? POLLIN | POLLOUT
                                                          : POLLIN;
}

bool ipmpi_peer_open(const struct ipmpi_peer *peer)
{
    return ipmpi_session_open(peer->session);
}

bool ipmpi_peer_connected(const struct ipmpi_peer *peer)
{
    return !peer->connecting;
}

const struct ipmpi_hello *ipmpi_peer_hello(const struct ipmpi_peer *peer)
{
    return ipmpi_session_hello(peer->session);
}

const char *ipmpi_peer_name(const struct ipmpi_peer *peer)
{
    return peer->name;
}

void ipmpi_peer_local(const struct ipmpi_peer *peer,
                      struct sockaddr_storage *local_out)
{
    socklen_t len = sizeof(*local_out);

    memset(local_out, 0, sizeof(*local_out));
    getsockname(peer->fd, (struct sockaddr *)local_out, &len);
}

static int finish_connect(struct ipmpi_peer *peer)
{
    struct pollfd item = {.fd = peer->fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int failed = 0;

    if (poll(&item, 1, 0) != 1)
        return IPMPI_EEMPTY;
    getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &failed, &len);
    if (failed != 0)
        return IPMPI_EDEAD;
    peer->connecting = false;
    return 0;
}

static int send_some(struct ipmpi_peer *peer)
{
    const uint8_t *data;
    size_t len;
    ssize_t sent;

    while ((len = ipmpi_session_output(peer->session, &data)) > 0) {
        sent = send(peer->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : IPMPI_EDEAD;
        ipmpi_session_sent(peer->session, (size_t)sent);
    }
    return 0;
}

static int receive_some(struct ipmpi_peer *peer, int64_t now_us)
{
    uint8_t data[READ_MAX];
    int err = 0;

    for (int i = 0; i < READS_A_TURN && err == 0; i++) {
        const ssize_t got = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT);

        if (got < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : IPMPI_EDEAD;
        if (got == 0)
            return IPMPI_EDEAD;
        peer->heard_us = now_us;
        err = ipmpi_session_feed(peer->session, data, (size_t)got);
        if ((size_t)got < sizeof(data))
            break;
    }
    return err;
}

static int keep_time(struct ipmpi_peer *peer, int64_t now_us)
{
    if (!ipmpi_peer_open(peer))
        return now_us - peer->made_us >=
                       (int64_t)IPMPI_HANDSHAKE_S * IPMPI_SECOND_US
                   ? IPMPI_ETIMEOUT
                   : 0;
    if (now_us - peer->heard_us >= (int64_t)IPMPI_SILENCE_S * IPMPI_SECOND_US)
        return IPMPI_ETIMEOUT;
    if (now_us - peer->beat_us >= (int64_t)IPMPI_BEAT_S * IPMPI_SECOND_US) {
        peer->beat_us = now_us;
        ipmpi_session_put(peer->session, IPMPI_REC_PING, NULL, 0);
    }
    return 0;
}

int ipmpi_peer_turn(struct ipmpi_peer *peer, int64_t now_us)
{
    int err = 0;

    if (peer->connecting)
        err = finish_connect(peer);
    if (err == 0)
        err = receive_some(peer, now_us);
    if (err == 0 || err == IPMPI_EEMPTY)
        err = keep_time(peer, now_us);
    if (err == 0 && !peer->connecting)
        err = send_some(peer); /* also the handshake's answer, a ping */
    return err;
}

int64_t ipmpi_peer_next_us(const struct ipmpi_peer *peer)
{
    const int64_t beat =
        peer->beat_us + (int64_t)IPMPI_BEAT_S * IPMPI_SECOND_US;
    const int64_t silence =
        peer->heard_us + (int64_t)IPMPI_SILENCE_S * IPMPI_SECOND_US;

    if (!ipmpi_peer_open(peer))
        return peer->made_us + (int64_t)IPMPI_HANDSHAKE_S * IPMPI_SECOND_US;
    return beat < silence ? beat : silence;
}

int ipmpi_peer_next(struct ipmpi_peer *peer, struct ipmpi_record *record_out)
{
    int err;

    for (;;) {
        err = ipmpi_session_next(peer->session, record_out);
        if (err != 0)
            return err;
        if (record_out->type == IPMPI_REC_PING)
            ipmpi_session_put(peer->session, IPMPI_REC_PONG, NULL, 0);
        else if (record_out->type != IPMPI_REC_PONG)
            return 0;
    }
}

int ipmpi_peer_put(struct ipmpi_peer *peer, uint8_t type, const void *body,
                   size_t len)
{
    return ipmpi_session_put(peer->session, type, body, len);
}

void ipmpi_peer_flush(struct ipmpi_peer *peer)
{
    if (!peer->connecting)
        send_some(peer);
}

size_t ipmpi_peer_backlog(const struct ipmpi_peer *peer)
{
    const uint8_t *data;

    return ipmpi_session_output(peer->session, &data);
}

int ipmpi_peer_listen(const char *address, uint16_t port, int *fd_out,
                      uint16_t *port_out)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(name);
    const int on = 1;
    int fd;

    if (address != NULL && inet_pton(AF_INET, address, &name.sin_addr) != 1)
        return IPMPI_EINVAL;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return IPMPI_ESYS;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&name, sizeof(name)) != 0 ||
        listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &len) != 0) {
        const int err = errno == EADDRINUSE ? IPMPI_EBUSY : IPMPI_ESYS;

        close(fd);
        return err;
    }
    *fd_out = fd;
    *port_out = ntohs(name.sin_port);
    return 0;
}

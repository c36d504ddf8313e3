/* Connections through a session. */
#include "launch/channel/tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/channel/protocol.h"
#include "runtime/base/error.h"

enum { STREAM_OPEN = 1, STREAM_DATA, STREAM_CLOSE };
enum {
    HEAD = 2, /* what, and which */
    READ_MOST = 65536,
    AHEAD_MOST = 1024 * 1024,        /* waiting for the peer: stop reading */
    WAITING_MOST = 64 * 1024 * 1024, /* waiting for a socket: give it up */
};

void ipmpi_tunnel_init(struct ipmpi_tunnel *tunnel)
{
    memset(tunnel, 0, sizeof(*tunnel));
    tunnel->listen_fd = -1;
    for (int i = 0; i < IPMPI_TUNNEL_STREAMS; i++)
        tunnel->stream[i].fd = -1;
}

static void end_stream(struct ipmpi_tunnel_stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    free(stream->out.data);
    memset(stream, 0, sizeof(*stream));
    stream->fd = -1;
}

void ipmpi_tunnel_close(struct ipmpi_tunnel *tunnel)
{
    for (int i = 0; i < IPMPI_TUNNEL_STREAMS; i++)
        end_stream(&tunnel->stream[i]);
    if (tunnel->listen_fd >= 0)
        close(tunnel->listen_fd);
    tunnel->listen_fd = -1;
}

int ipmpi_tunnel_listen(struct ipmpi_tunnel *tunnel, uint16_t *port_out)
{
    return ipmpi_peer_listen("127.0.0.1", 0, &tunnel->listen_fd, port_out);
}

/* -- to the other side ---------------------------------------------------- */

static void say(struct ipmpi_peer *peer, uint8_t what, int which,
                const void *data, size_t len)
{
    uint8_t body[HEAD + READ_MOST];

    if (peer == NULL)
        return;
    body[0] = what;
    body[1] = (uint8_t)which;
    if (len > 0)
        memcpy(body + HEAD, data, len);
    ipmpi_peer_put(peer, IPMPI_REC_STREAM, body, HEAD + len);
}

static void accept_one(struct ipmpi_tunnel *tunnel, struct ipmpi_peer *peer)
{
    const int fd =
        accept4(tunnel->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    for (int i = 0; i < IPMPI_TUNNEL_STREAMS; i++)
        if (tunnel->stream[i].fd < 0) {
            tunnel->stream[i].fd = fd;
            say(peer, STREAM_OPEN, i, NULL, 0);
            return;
        }
    close(fd);
}

static void read_one(struct ipmpi_tunnel *tunnel, int which,
                     struct ipmpi_peer *peer)
{
    struct ipmpi_tunnel_stream *stream = &tunnel->stream[which];
    uint8_t data[READ_MOST];
    const ssize_t got = read(stream->fd, data, sizeof(data));

    if (got > 0) {
        say(peer, STREAM_DATA, which, data, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        say(peer, STREAM_CLOSE, which, NULL, 0);
        end_stream(stream);
    }
}

void ipmpi_tunnel_drain(struct ipmpi_tunnel *tunnel, struct ipmpi_peer *peer)
{
    for (int i = 0; i < IPMPI_TUNNEL_STREAMS; i++) {
        struct pollfd item = {.fd = tunnel->stream[i].fd, .events = POLLIN};

        while (tunnel->stream[i].fd >= 0 && poll(&item, 1, 0) > 0)
            read_one(tunnel, i, peer);
    }
}

static void write_one(struct ipmpi_tunnel_stream *stream)
{
    struct bytes *out = &stream->out;
    const ssize_t put =
        send(stream->fd, out->data + out->at, out->len - out->at, MSG_NOSIGNAL);

    if (put > 0)
        out->at += (size_t)put;
    else if (errno != EAGAIN && errno != EINTR && errno != EINPROGRESS)
        out->at = out->len; /* reading will tell */
    if (out->at == out->len)
        out->at = out->len = 0;
}

/* -- polling -------------------------------------------------------------- */

size_t ipmpi_tunnel_fill(const struct ipmpi_tunnel *tunnel,
                         const struct ipmpi_peer *peer, struct pollfd *item)
{
    const bool wait = peer != NULL && ipmpi_peer_backlog(peer) > AHEAD_MOST;
    size_t n = 0;

    if (tunnel->listen_fd >= 0)
        item[n++] = (struct pollfd){.fd = tunnel->listen_fd, .events = POLLIN};
    for (int i = 0; i < IPMPI_TUNNEL_STREAMS; i++) {
        const struct ipmpi_tunnel_stream *stream = &tunnel->stream[i];

        if (stream->fd < 0)
            continue;
        item[n].fd = stream->fd;
        item[n].events =
            (short)((wait ? 0 : POLLIN) | (stream->out.len > 0 ? POLLOUT : 0));
        item[n++].revents = 0;
    }
    return n;
}

static void serve(struct ipmpi_tunnel *tunnel, struct ipmpi_peer *peer,
                  const struct pollfd *item)
{
    if (item->fd == tunnel->listen_fd) {
        accept_one(tunnel, peer);
        return;
    }
    for (int i = 0; i < IPMPI_TUNNEL_STREAMS; i++) {
        if (tunnel->stream[i].fd != item->fd)
            continue;
        if (item->revents & POLLOUT)
            write_one(&tunnel->stream[i]);
        if (item->revents & (POLLIN | POLLHUP | POLLERR))
            read_one(tunnel, i, peer);
        return;
    }
}

void ipmpi_tunnel_turn(struct ipmpi_tunnel *tunnel, struct ipmpi_peer *peer,
                       const struct pollfd *item, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (item[i].revents != 0)
            serve(tunnel, peer, &item[i]);
}

/* -- from the other side -------------------------------------------------- */

static int connect_one(const struct ipmpi_tunnel *tunnel)
{
    const int fd =
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 &&
        connect(fd, (const struct sockaddr *)&tunnel->to, sizeof(tunnel->to)) !=
            0 &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static int take_data(struct ipmpi_tunnel_stream *stream,
                     const struct ipmpi_record *record)
{
    struct bytes *out = &stream->out;
    const size_t len = record->len - HEAD;
    int err;

    if (stream->fd < 0)
        return 0; /* it has ended here, and the other side will hear */
    if (out->len - out->at + len > WAITING_MOST) {
        end_stream(stream);
        return IPMPI_EFULL;
    }
    err = ipmpi_bytes_append(out, record->body + HEAD, len);
    if (err == 0)
        write_one(stream);
    return err;
}

int ipmpi_tunnel_take(struct ipmpi_tunnel *tunnel, struct ipmpi_peer *peer,
                      const struct ipmpi_record *record)
{
    struct ipmpi_tunnel_stream *stream;

    if (record->len < HEAD || record->body[1] >= IPMPI_TUNNEL_STREAMS)
        return IPMPI_EFRAME;
    stream = &tunnel->stream[record->body[1]];
    switch (record->body[0]) {
    case STREAM_OPEN:
        if (tunnel->listen_fd >= 0)
            return IPMPI_EFRAME;
        end_stream(stream);
        stream->fd = connect_one(tunnel);
        if (stream->fd < 0)
            say(peer, STREAM_CLOSE, record->body[1], NULL, 0);
        return 0;
    case STREAM_DATA:
        return take_data(stream, record);
    case STREAM_CLOSE:
        stream->far_closed = true;
        if (tunnel->listen_fd >= 0)
            end_stream(stream); /* mpirun is gone: the daemon is to see it */
        return 0;
    default:
        return IPMPI_EFRAME;
    }
}

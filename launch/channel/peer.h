/* A peer: a TCP connection with a session on it, made for a poll loop. It
 * keeps the connection's deadlines: the handshake must end in 5 s, and a peer
 * that says nothing for 15 s is lost (each side pings every 5 s).
 *
 * Threads: one. Nothing blocks but the look-up of a host's name. */
#ifndef IPMPI_LAUNCH_CHANNEL_PEER_H
#define IPMPI_LAUNCH_CHANNEL_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "launch/channel/session.h"

struct ipmpi_peer; /* opaque */

/* Starts to connect and to shake hands. IPMPI_ENOENT: no such host;
 * IPMPI_ESYS: refused at once or no sockets; and the errors of
 * ipmpi_session_initiate. */
int ipmpi_peer_dial(const char *host, uint16_t port,
                    const struct ipmpi_hello *hello,
                    const struct ipmpi_credentials *credentials,
                    struct ipmpi_peer **peer_out);

/* Takes a connection from a listening socket; IPMPI_EEMPTY if none waits. */
int ipmpi_peer_accept(int listen_fd, ipmpi_credentials_fn *find, void *arg,
                      struct ipmpi_peer **peer_out);

/* Closes at once. Nulls. NULL is fine. */
void ipmpi_peer_close(struct ipmpi_peer **peer);

int ipmpi_peer_fd(const struct ipmpi_peer *peer);
short ipmpi_peer_events(const struct ipmpi_peer *peer); /* for poll */
bool ipmpi_peer_open(const struct ipmpi_peer *peer);
bool ipmpi_peer_connected(const struct ipmpi_peer *peer); /* TCP only */
const struct ipmpi_hello *ipmpi_peer_hello(const struct ipmpi_peer *peer);

/* The other end, as "10.0.0.2:7070", and our own address on the connection. */
const char *ipmpi_peer_name(const struct ipmpi_peer *peer);
void ipmpi_peer_local(const struct ipmpi_peer *peer,
                      struct sockaddr_storage *local_out);

/* Sends and receives what can be, keeps the deadlines. IPMPI_EDEAD: the peer
 * is gone; IPMPI_ETIMEOUT: silent for too long; IPMPI_EAUTH and the others of
 * a session. After an error only `next` (records that came before) and `close`
 * make sense. */
int ipmpi_peer_turn(struct ipmpi_peer *peer, int64_t now_us);

/* When turn must be called at the latest. */
int64_t ipmpi_peer_next_us(const struct ipmpi_peer *peer);

/* The next record that is not a ping; as ipmpi_session_next. */
int ipmpi_peer_next(struct ipmpi_peer *peer, struct ipmpi_record *record_out);

/* As ipmpi_session_put; bytes leave at the next turn, or by flush. */
int ipmpi_peer_put(struct ipmpi_peer *peer, uint8_t type, const void *body,
                   size_t len);

/* Sends what can be, and receives nothing: after `next` was asked, so that no
 * record waits unseen. Errors show at the next turn. */
void ipmpi_peer_flush(struct ipmpi_peer *peer);

/* Bytes that wait to be sent. */
size_t ipmpi_peer_backlog(const struct ipmpi_peer *peer);

/* A listening socket on `address` (NULL: all) and `port` (0: any free one,
 * told in port_out). IPMPI_EBUSY: the port is taken; IPMPI_ESYS. */
int ipmpi_peer_listen(const char *address, uint16_t port, int *fd_out,
                      uint16_t *port_out);

#endif

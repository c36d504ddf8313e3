/* TCP connections carried through a session: one side listens on loopback,
 * the other connects to where the first party wants to go. Open MPI's daemon
 * speaks to mpirun in this way, so that nothing of it travels in clear, nobody
 * who cannot prove itself reaches it, and mpirun does not see a node's end
 * before we want it to.
 *
 * A STREAM record is one byte of enum, one of a stream's number, then bytes.
 *
 * Threads: one. Nothing blocks. */
#ifndef IPMPI_LAUNCH_CHANNEL_TUNNEL_H
#define IPMPI_LAUNCH_CHANNEL_TUNNEL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "launch/channel/bytes.h"
#include "launch/channel/peer.h"

enum {
    IPMPI_TUNNEL_STREAMS = 8,
    IPMPI_TUNNEL_FDS = IPMPI_TUNNEL_STREAMS + 1,
};

struct ipmpi_tunnel {
    int listen_fd;         /* -1: this is the side that connects */
    struct sockaddr_in to; /* where it connects to */
    struct ipmpi_tunnel_stream {
        int fd;           /* -1: free */
        struct bytes out; /* waits for the socket */
        bool far_closed;  /* the other side has ended it */
    } stream[IPMPI_TUNNEL_STREAMS];
};

/* No stream, no socket. */
void ipmpi_tunnel_init(struct ipmpi_tunnel *tunnel);
void ipmpi_tunnel_close(struct ipmpi_tunnel *tunnel);

/* This side listens, on a port of 127.0.0.1 that is told. IPMPI_ESYS. */
int ipmpi_tunnel_listen(struct ipmpi_tunnel *tunnel, uint16_t *port_out);

/* Puts what is to be polled into `item`, which has room for IPMPI_TUNNEL_FDS;
 * how many. `peer` NULL: nobody takes what comes, it is dropped. */
size_t ipmpi_tunnel_fill(const struct ipmpi_tunnel *tunnel,
                         const struct ipmpi_peer *peer, struct pollfd *item);

/* After the poll: reads, writes, accepts. */
void ipmpi_tunnel_turn(struct ipmpi_tunnel *tunnel, struct ipmpi_peer *peer,
                       const struct pollfd *item, size_t n);

/* The program at this end has ended: what it said last is passed on. */
void ipmpi_tunnel_drain(struct ipmpi_tunnel *tunnel, struct ipmpi_peer *peer);

/* A STREAM record of the other side. IPMPI_EFRAME: it is none of ours. A
 * stream that the other side ends stays open here until close: what its end
 * means is for the caller to say. */
int ipmpi_tunnel_take(struct ipmpi_tunnel *tunnel, struct ipmpi_peer *peer,
                      const struct ipmpi_record *record);

#endif

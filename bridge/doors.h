/* The doors: the ZMQ sockets that clients connect to. The one place in the
 * bridge that knows zmq.h. Frames pass through without being copied.
 *
 * Threads: rank 0's loop only. Nothing here blocks. */
#ifndef IPMPI_BRIDGE_DOORS_H
#define IPMPI_BRIDGE_DOORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge/hub/outlets.h"
#include "bridge/outflow.h"
#include "runtime/base/frames.h"

struct ipmpi_doors; /* opaque */

#define IPMPI_CURVE_KEY_LEN 40 /* Z85 text */

struct ipmpi_doors_config {
    const char *ip;          /* to bind to: an address, "*" or "0.0.0.0" */
    int ports[IPMPI_NDOORS]; /* 0: any free one */
    const int *spare_ports;  /* in the place of those that are taken */
    int nspare;
    bool curve;               /* encrypt */
    const char *curve_secret; /* Z85, or NULL: make a pair of keys */
    const char *curve_public;
    size_t outflow_limit; /* see outflow.h; 0: none */
};

/* Binds all doors. On failure *door_out and *port_out (may be NULL) tell which
 * one: IPMPI_EBUSY (the port is taken), IPMPI_EINVAL (no such address, bad
 * key), IPMPI_ESYS. */
int ipmpi_doors_open(const struct ipmpi_doors_config *config,
                     struct ipmpi_doors **doors_out, int *port_out);

/* Gives what was sent at most `linger_ms` to leave, then closes. */
void ipmpi_doors_close(struct ipmpi_doors **doors, int linger_ms);

int ipmpi_doors_port(const struct ipmpi_doors *doors, enum ipmpi_door door);

/* The server's public key in Z85; NULL without CURVE. */
const char *ipmpi_doors_curve_key(const struct ipmpi_doors *doors);

/* Takes one whole message if there is one: 0 or IPMPI_EEMPTY. `frames_out`
 * must be empty. IPMPI_ENOMEM, IPMPI_ETOOBIG (more than `max_frames`): the
 * message was read to its end and dropped. */
int ipmpi_doors_receive(struct ipmpi_doors *doors, enum ipmpi_door door,
                        size_t max_frames, struct ipmpi_frames *frames_out);

/* Sends a message; `frames` is given. A client that is gone is no error, nor
 * is one that is deaf. */
void ipmpi_doors_send(struct ipmpi_doors *doors, enum ipmpi_door door,
                      struct ipmpi_frames *frames);

/* What clients have not taken yet; the doors' own. */
struct ipmpi_outflow *ipmpi_doors_outflow(struct ipmpi_doors *doors);

/* Waits until a door of `mask` (bit = 1 << enum ipmpi_door) or one of the
 * descriptors has something to read, at most wait_ms (-1: for ever). Returns
 * which descriptors have: bit = 1 << place in `fds`. */
unsigned ipmpi_doors_wait(struct ipmpi_doors *doors, unsigned mask,
                          const int *fds, size_t nfds, int wait_ms);

#endif

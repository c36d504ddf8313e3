/* Clients that are just connecting. A client submits as soon as it has its
 * connection_reply, while its SUB sockets may still be on their way; output
 * and notifications published meanwhile would be lost, and the client would
 * wait for them for ever (compat 1.7). So the work of a new client is held
 * until its iopub subscription has been seen, or for 2 s: so long a client may
 * need on a machine that is busy. A client that came and went before it
 * subscribed leaves the next one waiting for 200 ms.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_BRIDGE_JOINERS_H
#define IPMPI_BRIDGE_JOINERS_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/hub/outlets.h"
#include "bridge/wire/request.h"

struct ipmpi_joiner;

/* Zero-initialised is empty. */
struct ipmpi_joiners {
    struct ipmpi_joiner *first; /* in order of arrival */
    uint64_t expected;          /* clients that were answered */
    uint64_t subscribed;        /* subscriptions that count for them */
    uint64_t seen;              /* subscriptions, whosever */
    size_t held_bytes;          /* the weight of the requests that wait */
};

typedef void ipmpi_deliver_fn(void *ctx, enum ipmpi_door door,
                              struct ipmpi_request *request);

/* A connection_request of this session was answered. */
void ipmpi_joiners_expect(struct ipmpi_joiners *joiners, const char *session,
                          int64_t now_us);

/* A subscription was seen on the iopub door. */
void ipmpi_joiners_subscribed(struct ipmpi_joiners *joiners);

/* True: the request is held (it keeps a share) and will be delivered. */
bool ipmpi_joiners_hold(struct ipmpi_joiners *joiners, enum ipmpi_door door,
                        struct ipmpi_request *request);

/* Delivers what need not wait any more; requests are lent to `deliver`. */
void ipmpi_joiners_release(struct ipmpi_joiners *joiners, int64_t now_us,
                           ipmpi_deliver_fn *deliver, void *ctx);

/* When to call release at the latest; INT64_MAX if nobody is joining. */
int64_t ipmpi_joiners_deadline_us(const struct ipmpi_joiners *joiners);

void ipmpi_joiners_clear(struct ipmpi_joiners *joiners);

#endif

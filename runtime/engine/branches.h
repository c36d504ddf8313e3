/* Branches: an engine's part in bringing the replies of a broadcast to rank 0
 * by a tree. See note [gathers] in protocol.h.
 *
 * Threads: the comm thread. Nothing blocks. */
#ifndef IPMPI_ENGINE_BRANCHES_H
#define IPMPI_ENGINE_BRANCHES_H

#include "runtime/comm/comm.h"
#include "runtime/engine/gathered.h"
#include "runtime/engine/outbox.h"
#include "runtime/engine/protocol.h"

struct ipmpi_branch; /* opaque, as the next */
struct ipmpi_own_reply;

/* Zero-initialised but for the transport is good. */
struct ipmpi_branches {
    struct ipmpi_comm *comm;     /* lent */
    struct ipmpi_branch *first;  /* those under way */
    struct ipmpi_own_reply *own; /* kept for STRAIGHT, the newest first */
    uint64_t open;               /* the latest that a leg said */
};

void ipmpi_branches_clear(struct ipmpi_branches *branches);

/* Takes the place of work `ref` in its tree from the last of its frames.
 * IPMPI_EFRAME: it is none; IPMPI_ENOMEM. */
int ipmpi_branches_join(struct ipmpi_branches *branches, uint64_t ref,
                        struct ipmpi_frames *frames);

/* Whether this reply goes by a tree; if not, its sender sends it, and tells the
 * tree that it comes apart, if there is one. */
bool ipmpi_branches_want(const struct ipmpi_branches *branches,
                         const struct ipmpi_item *reply);
/* A reply that they want, lent. IPMPI_ENOMEM: it may be lost. */
int ipmpi_branches_add(struct ipmpi_branches *branches,
                       const struct ipmpi_item *reply);
int ipmpi_branches_apart(struct ipmpi_branches *branches,
                         const struct ipmpi_item *reply);

/* Handlers of GATHERED from another engine, and of STRAIGHT. IPMPI_EFRAME,
 * IPMPI_ENOMEM. */
int ipmpi_branches_take(struct ipmpi_branches *branches,
                        const struct ipmpi_msg_head *head,
                        const struct ipmpi_frames *frames);
int ipmpi_branches_straight(struct ipmpi_branches *branches, uint64_t ref);

/* When something that is held is to go up, by the monotonic clock; 0: nothing
 * is held. And what to do then; returns how many messages went. */
int64_t ipmpi_branches_due_us(const struct ipmpi_branches *branches);
unsigned ipmpi_branches_turn(struct ipmpi_branches *branches, int64_t now_us);

/* The engine is about to say LEAVING, after which rank 0 does not hear it:
 * sends rank 0 all that it may not have. */
void ipmpi_branches_leave(struct ipmpi_branches *branches);

#endif

/* The account of who holds which child of this engine, their origin: note
 * [theft] in protocol.h, with this engine in the place of rank 0, which knows
 * of none.
 *
 * Threads: the comm thread. Nothing blocks but for the lock of the children,
 * which is never held for long. Frames are lent. What a rank says of a child
 * that it does not hold is ignored: the news has crossed others. */
#ifndef IPMPI_ENGINE_CHILDREN_ACCOUNT_H
#define IPMPI_ENGINE_CHILDREN_ACCOUNT_H

#include <stdint.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"

struct ipmpi_engine;

/* A victim (perhaps this engine) hands over children of ours to a thief, which
 * is sent a GRANT. The ranks are of this world, `refs` are whole.
 * IPMPI_ENOMEM: nothing changed. */
int ipmpi_children_handover(struct ipmpi_engine *engine, int victim, int thief,
                            const struct ipmpi_frame *refs);

/* A thief has begun one. 0. */
int ipmpi_children_started(struct ipmpi_engine *engine, int source,
                           uint64_t ref);

/* A thief has ended one. IPMPI_ENOMEM: the child counts as lost. */
int ipmpi_children_done(struct ipmpi_engine *engine, int source,
                        const struct ipmpi_msg_head *head,
                        struct ipmpi_frames *frames);

/* A thief never got some: they wait here again. 0. */
int ipmpi_children_missing(struct ipmpi_engine *engine, int source,
                           const struct ipmpi_frame *refs);

/* An engine of this world is gone: what it had of ours and had not begun comes
 * back, what it had begun is lost. `why` is text, or NULL. */
void ipmpi_children_gone(struct ipmpi_engine *engine, int rank,
                         const struct ipmpi_frame *why);

#endif

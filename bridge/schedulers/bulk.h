/* Bulk jobs: one function over many items, in one request of the task door,
 * `ipmpi_bulk_request`, whose items rank 0 hands out in pieces.
 *
 * The request. Metadata as a task's (targets, after, follow, timeout, retries:
 * of each item, label). Content: {"items": how many, "unit": items in a unit,
 * "chunk": items that are one task, a unit then; 0: the pieces may be cut
 * anywhere, "item_us": what an item is expected to take, 0 if that is not
 * known, "call": for the engines alone}. Buffers: [0] where each unit begins
 * in [1], and where the last ends: unsigned 64-bit little-endian numbers; [1]
 * the units, pickled; [2..] the function, canned. Only an engine unpickles: a
 * piece shares the memory of the units that it touches.
 *
 * A piece (WORK of kind BULK). Content: {"job": a number for the function,
 * "first", "end": its items, "unit", "start": first item of the buffers,
 * "chunk", "retry": whether items that fail are tried again, "limit_us": when
 * to hand the rest back, "call"}. Buffers as in the request.
 *
 * What engines and rank 0 answer, as PART and as REPLY, is relayed to the
 * client as `ipmpi_bulk_reply`. Content: {"first", "end": what it tells of,
 * "spent": seconds, "errors": [[first, end, content of an error], ..], "retry":
 * whether those are tried again}; a REPLY whose end is before the piece's hands
 * the rest back. The last reply to the client has no "first": what no other
 * told of has its status.
 *
 * Each item is decided once, and at each moment waits, or is in one piece.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_BULK_H
#define IPMPI_SCHEDULERS_BULK_H

#include <stdbool.h>

#include "bridge/hub/hub.h"
#include "bridge/schedulers/slots.h"
#include "bridge/schedulers/task.h"

struct ipmpi_bulk; /* opaque */

/* Whether a request asks for a bulk job. */
bool ipmpi_bulk_is_asked(const struct ipmpi_request *request);

/* Reads the request of the task's job and hangs the new bulk job into the
 * task. IPMPI_EJSON, IPMPI_EFRAME: it is not as it should be. IPMPI_ENOMEM. */
int ipmpi_bulk_create(struct ipmpi_task *task);

/* Forgets it; no engine may have a piece of it. NULL is fine. */
void ipmpi_bulk_destroy(struct ipmpi_hub *hub, struct ipmpi_bulk **bulk);

/* From now on its items may be handed out. When all are decided, and no engine
 * has a piece, the scheduler hears of it by ipmpi_balanced_end. */
void ipmpi_bulk_begin(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk);

/* Takes back what has not started; engines are asked to stop between two
 * items. False: it has not begun. */
bool ipmpi_bulk_abort(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk);

/* When pieces are given to engines: before tasks are, to those whose turn it
 * is; after that, to those that are free; and, when no task waits, a second
 * piece behind a short one. */
enum ipmpi_bulk_feeding {
    IPMPI_BULK_IN_TURN,
    IPMPI_BULK_TO_FREE,
    IPMPI_BULK_AHEAD
};

/* Hands out pieces, in turn to each bulk job. */
void ipmpi_bulk_feed(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                     enum ipmpi_bulk_feeding feeding);

/* An engine has gone: fails what only that one could do. */
void ipmpi_bulk_engine_gone(struct ipmpi_hub *hub);

/* Forgets all that have begun, at the end. */
void ipmpi_bulk_close(struct ipmpi_hub *hub);

#endif

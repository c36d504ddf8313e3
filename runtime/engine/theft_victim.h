/* The victim's side of a theft: it gives half of what waits in its queue, and
 * tells the origins of that first. After its LEAVING it gives nothing.
 *
 * Threads: the comm thread. Nothing blocks. Without memory the engine leaves:
 * see theft_message.h. */
#ifndef IPMPI_ENGINE_THEFT_VICTIM_H
#define IPMPI_ENGINE_THEFT_VICTIM_H

#include <stddef.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"

struct ipmpi_engine;

/* A thief has asked. Returns how many it gets; 0: nothing was said to it. */
size_t ipmpi_theft_yield(struct ipmpi_engine *engine, int thief_rank);

/* GIVE of rank 0, which wants an answer even if there is nothing; children
 * stay. Nothing of `frames` is kept. IPMPI_EINVAL: there is no such thief. */
int ipmpi_theft_give(struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames);

#endif

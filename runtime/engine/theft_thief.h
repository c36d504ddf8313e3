/* The thief's side of a theft: tasks and grants come in any order, and whatever
 * has both runs here.
 *
 * Threads: the comm thread. Nothing blocks. Where memory for the account of
 * thefts is wanting, the engine leaves: see theft_message.h. */
#ifndef IPMPI_ENGINE_THEFT_THIEF_H
#define IPMPI_ENGINE_THEFT_THIEF_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"

struct ipmpi_engine;

/* LOOT of a victim: a task. On success its frames have moved. IPMPI_EFRAME,
 * IPMPI_ENOMEM. */
int ipmpi_theft_loot(struct ipmpi_engine *engine, int source,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames);

/* GRANT of an origin: which of the tasks are ours, and which are not. Nothing
 * of `frames` is kept. IPMPI_EFRAME, IPMPI_ENOMEM. */
int ipmpi_theft_grant(struct ipmpi_engine *engine,
                      const struct ipmpi_msg_head *head,
                      struct ipmpi_frames *frames);

/* These refs (lent) are withdrawn: what has been granted and not come will be
 * answered as aborted. */
void ipmpi_theft_withdraw(struct ipmpi_engine *engine, const uint64_t *refs,
                          size_t n);

/* A rank is dead: drops its children, and what came from it and will not be
 * granted any more; tells origins what was granted and will not come. */
void ipmpi_theft_orphan(struct ipmpi_engine *engine, int rank);

#endif

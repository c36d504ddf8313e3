/* Which engines have tasks to give: those where something waits behind
 * something else. They stand in levels by how much that is, so that rank 0
 * finds a victim without asking all.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_GIVERS_H
#define IPMPI_SCHEDULERS_GIVERS_H

#include "bridge/hub/hub.h"

/* What the engine has, or whether it `emptied`, has changed. */
void ipmpi_givers_note(struct ipmpi_hub *hub, struct ipmpi_engine *engine);

/* Who has most to give, in the thief's world if it is one of the first to be
 * looked at; NULL: nobody has anything. */
struct ipmpi_engine *ipmpi_givers_choose(const struct ipmpi_hub *hub,
                                         const struct ipmpi_engine *thief);

#endif

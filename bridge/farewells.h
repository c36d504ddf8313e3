/* The news that an engine has gone, for clients. A client that hears it fails
 * what it had sent to that engine directly, and says no more than that the
 * engine died (compat 4). So who gets a reply that says how it died gets that
 * first, and the news a moment later.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_BRIDGE_FAREWELLS_H
#define IPMPI_BRIDGE_FAREWELLS_H

#include <stdint.h>

#include "bridge/hub/hub.h"

/* Clients hear that the engine (lent) has gone: now, or, if replies go first,
 * when these have had the time to arrive. Without memory it is now. */
void ipmpi_farewells_say(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                         bool replies_first);

/* Says what is due. */
void ipmpi_farewells_turn(struct ipmpi_hub *hub);

/* Says all that is left, and keeps nothing: the job ends. */
void ipmpi_farewells_hurry(struct ipmpi_hub *hub);

/* When the next is due (monotonic, us), or INT64_MAX. */
int64_t ipmpi_farewells_deadline_us(const struct ipmpi_hub *hub);

#endif

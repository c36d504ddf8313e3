/* Watches one application from a thread of its own: by the event stream, and
 * by asking when there is none. Marathon's stream has no replay, so each
 * change only makes us read the application again.
 *
 * Threads: all functions on the owner's thread; the watcher's own thread is
 * called "watch". */
#ifndef IPMPI_LAUNCH_MARATHON_WATCH_H
#define IPMPI_LAUNCH_MARATHON_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "launch/rendezvous/driver.h"
#include "launch/marathon/http.h"

struct ipmpi_watch; /* opaque */

/* `access` is lent until destroy: the thread has a handle of its own. */
int ipmpi_watch_create(const struct ipmpi_marathon_access *access,
                       const char *id, bool container_network,
                       struct ipmpi_watch **watch_out);
/* Ends the thread; waits for its request, 10 s at most. */
void ipmpi_watch_destroy(struct ipmpi_watch **watch);

/* Readable when there is a new list. */
int ipmpi_watch_fd(const struct ipmpi_watch *watch);

/* The newest list of agents; how many. */
size_t ipmpi_watch_take(struct ipmpi_watch *watch, struct ipmpi_place *places,
                        size_t cap);

/* Why nodes are missing, in a sentence; empty if nothing is known. */
void ipmpi_watch_explain(struct ipmpi_watch *watch, char *text, size_t cap);

#endif

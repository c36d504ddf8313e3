/* Rank 0's answers to the verbs' questions.
 *
 * Threads: one. Blocks until the deadline given. */
#ifndef IPMPI_LAUNCH_CLUSTERS_ASK_H
#define IPMPI_LAUNCH_CLUSTERS_ASK_H

#include <jansson.h>

#include "launch/clusters/where.h"

/* {"engines": [{"id", "state", "host", ...}], ...} as ipmpi_status_request
 * tells it (bridge/requests/status.c); from any other ipyparallel controller
 * what connection_request and queue_request tell. The caller has the
 * reference. IPMPI_ENOENT: no connection file; IPMPI_ETIMEOUT: nobody answers;
 * others as ipmpi_hub_client_*. */
int ipmpi_ask_status(const struct ipmpi_paths *paths, int timeout_ms,
                     json_t **status_out);

/* How many engines of such a status are there, and not only starting. */
size_t ipmpi_ask_count_ready(const json_t *status);

/* Tells every engine, then the controller, to leave; clients hear that the
 * engines are gone. As above. */
int ipmpi_ask_shutdown(const struct ipmpi_paths *paths, int timeout_ms);

#endif

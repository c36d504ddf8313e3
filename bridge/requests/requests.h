/* The requests of the query door, one file each: compat section 3.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_REQUESTS_REQUESTS_H
#define IPMPI_REQUESTS_REQUESTS_H

#include "bridge/hub/hub.h"

/* Takes a request of the query door (lent) and answers it, now or later. */
void ipmpi_requests_submit(struct ipmpi_hub *hub,
                           struct ipmpi_request *request);

/* The handlers, for the table in requests.c. */
void ipmpi_request_connection(struct ipmpi_hub *hub,
                              struct ipmpi_request *request);
void ipmpi_request_queue(struct ipmpi_hub *hub, struct ipmpi_request *request);
void ipmpi_request_load(struct ipmpi_hub *hub, struct ipmpi_request *request);
void ipmpi_request_result(struct ipmpi_hub *hub, struct ipmpi_request *request);
void ipmpi_request_history(struct ipmpi_hub *hub,
                           struct ipmpi_request *request);
void ipmpi_request_db(struct ipmpi_hub *hub, struct ipmpi_request *request);
void ipmpi_request_purge(struct ipmpi_hub *hub, struct ipmpi_request *request);
void ipmpi_request_resubmit(struct ipmpi_hub *hub,
                            struct ipmpi_request *request);
void ipmpi_request_shutdown(struct ipmpi_hub *hub,
                            struct ipmpi_request *request);
void ipmpi_request_become_dask(struct ipmpi_hub *hub,
                               struct ipmpi_request *request);
void ipmpi_request_spawn(struct ipmpi_hub *hub, struct ipmpi_request *request);
void ipmpi_request_stop_dask(struct ipmpi_hub *hub,
                             struct ipmpi_request *request);
/* Replies to a status request; engines elsewhere have the memory that they
 * told in this survey (0: none was made). */
void ipmpi_status_reply(struct ipmpi_hub *hub, struct ipmpi_request *request,
                        uint64_t survey);
void ipmpi_request_status(struct ipmpi_hub *hub, struct ipmpi_request *request);

#endif

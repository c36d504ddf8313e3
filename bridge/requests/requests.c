/* Which handler a request of the query door has. */
#include "bridge/requests/requests.h"

#include <stdio.h>
#include <string.h>

void ipmpi_requests_submit(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    static const struct {
        const char *msg_type;
        void (*handle)(struct ipmpi_hub *, struct ipmpi_request *);
    } handlers[] = {
        {"connection_request", ipmpi_request_connection},
        {"queue_request", ipmpi_request_queue},
        {"load_request", ipmpi_request_load},
        {"result_request", ipmpi_request_result},
        {"history_request", ipmpi_request_history},
        {"db_request", ipmpi_request_db},
        {"purge_request", ipmpi_request_purge},
        {"resubmit_request", ipmpi_request_resubmit},
        {"shutdown_request", ipmpi_request_shutdown},
        {"become_dask_request", ipmpi_request_become_dask},
        {"stop_distributed_request", ipmpi_request_stop_dask},
        {"ipmpi_status_request", ipmpi_request_status},
        {"ipmpi_spawn_request", ipmpi_request_spawn},
    };
    char text[128];

    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (strcmp(request->msg_type, handlers[i].msg_type) == 0) {
            handlers[i].handle(hub, request);
            return;
        }
    }
    snprintf(text, sizeof(text), "\"Bad Message Type: '%.64s'\"",
             request->msg_type);
    ipmpi_hub_reply_error(hub, IPMPI_DOOR_QUERY, request, "hub_error",
                          "KeyError", text);
}

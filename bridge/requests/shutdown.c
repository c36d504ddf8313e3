/* shutdown_request of the hub: compat 3.10. The reply goes first, then the
 * notification; the controller then ends the job. */
#include "bridge/requests/requests.h"

#include "runtime/base/log.h"

void ipmpi_request_shutdown(struct ipmpi_hub *hub,
                            struct ipmpi_request *request)
{
    json_t *content = json_pack("{s:s}", "status", "ok");

    ipmpi_log_info("HUB-SHUTDOWN", "a client asked the cluster to end");
    ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, request, "shutdown_reply", NULL,
                    content, NULL);
    ipmpi_hub_notify(hub, "shutdown_notification",
                     &request->parts.at[IPMPI_PART_HEADER], content);
    hub->shutdown_asked = true;
    json_decref(content);
}

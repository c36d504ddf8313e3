/* shutdown_request of the hub: compat 3.10. The reply goes first, then the
 * notification; the controller then ends the job.
 *
 * An extension: content {"announce": false} leaves the notification out.
 * Clients then hear that the engines are gone, as when the job is ended from
 * outside; the notification makes ipyparallel's clients close their sockets
 * under their own loop, which says so in a traceback on the user's screen. */
#include "bridge/requests/requests.h"

#include "runtime/base/log.h"

void ipmpi_request_shutdown(struct ipmpi_hub *hub,
                            struct ipmpi_request *request)
{
    json_t *content = json_pack("{s:s}", "status", "ok");
    const bool announce = !json_is_false(
        json_object_get(ipmpi_request_content(request), "announce"));

    ipmpi_log_info("HUB-SHUTDOWN", "a client asked the cluster to end");
    ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, request, "shutdown_reply", NULL,
                    content, NULL);
    if (announce)
        ipmpi_hub_notify(hub, "shutdown_notification",
                         &request->parts.at[IPMPI_PART_HEADER], content);
    hub->shutdown_asked = true;
    hub->shutdown_announced = announce;
    json_decref(content);
}

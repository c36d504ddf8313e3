/* history_request and db_request: answers that the task database makes whole.
 * Compat 3.6 and 3.7. */
#include "bridge/requests/requests.h"

#include "bridge/hub/taskdb.h"
#include "bridge/requests/pending.h"

void ipmpi_request_history(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    struct ipmpi_pending *pending =
        ipmpi_pending_create(hub, request, "history_reply");

    if (pending != NULL)
        ipmpi_taskdb_history(hub->db, ipmpi_pending_answer, pending);
}

void ipmpi_request_db(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    const json_t *content = ipmpi_request_content(request);
    struct ipmpi_pending *pending =
        ipmpi_pending_create(hub, request, "db_reply");

    if (pending != NULL)
        ipmpi_taskdb_query(hub->db, json_object_get(content, "query"),
                           json_object_get(content, "keys"),
                           ipmpi_pending_answer, pending);
}

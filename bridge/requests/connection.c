/* connection_request: who is there? Compat 3.3. */
#include "bridge/requests/requests.h"

#include <stdio.h>

void ipmpi_request_connection(struct ipmpi_hub *hub,
                              struct ipmpi_request *request)
{
    json_t *engines = json_object();
    struct ipmpi_engine *engine, *next;
    json_t *content;

    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        char id[16];

        if (!ipmpi_engine_is_known(engine))
            continue;
        snprintf(id, sizeof(id), "%d", engine->id);
        json_object_set_new(engines, id, json_string(engine->uuid));
    }
    content = json_pack("{s:s, s:o}", "status", "ok", "engines", engines);
    ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, request, "connection_reply", NULL,
                    content, NULL);
    json_decref(content);
}

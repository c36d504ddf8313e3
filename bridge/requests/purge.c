/* purge_request: forget results. Compat 3.8. It is answered when they are gone
 * for every controller that reads the same file, and for the next one. */
#include "bridge/requests/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/hub/hub_error.h"
#include "bridge/hub/taskdb.h"
#include "bridge/requests/pending.h"

/* NULL, or the first id that is not decided yet. */
static const char *first_pending(const struct ipmpi_hub *hub, const char **ids,
                                 size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ipmpi_job_by_id(&hub->ledger, ids[i]) != NULL)
            return ids[i];
    }
    return NULL;
}

static void purge_ids(struct ipmpi_hub *hub, const json_t *array,
                      struct ipmpi_hub_error *error)
{
    const char *pending;
    const char **ids;
    size_t n;
    int err = ipmpi_pending_ids(array, &ids, &n);

    if (err != 0) {
        ipmpi_hub_error_from(error, err);
        return;
    }
    pending = first_pending(hub, ids, n);
    if (pending != NULL)
        ipmpi_hub_error_set(error, "IndexError", "msg pending: '%s'", pending);
    else if ((err = ipmpi_taskdb_drop(hub->db, ids, n)) != 0)
        ipmpi_hub_error_from(error, err);
    free(ids);
}

static void purge_engines(struct ipmpi_hub *hub, const json_t *array,
                          struct ipmpi_hub_error *error)
{
    const json_t *item;
    size_t i;

    json_array_foreach(array, i, item)
    {
        const int id = (int)json_integer_value(item);
        const struct ipmpi_engine *engine =
            json_is_integer(item) ? ipmpi_registry_by_id(&hub->registry, id)
                                  : NULL;

        if (engine == NULL) {
            ipmpi_hub_error_set(error, "IndexError", "No such engine: %d", id);
            return;
        }
        ipmpi_taskdb_drop_decided(hub->db, engine->uuid);
    }
}

void ipmpi_request_purge(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    const json_t *content = ipmpi_request_content(request);
    const json_t *ids = json_object_get(content, "msg_ids");
    struct ipmpi_hub_error error = {0};
    struct ipmpi_pending *pending;

    if (json_is_string(ids) && strcmp(json_string_value(ids), "all") == 0)
        ipmpi_taskdb_drop_decided(hub->db, NULL);
    else if (ids != NULL && !json_is_null(ids))
        purge_ids(hub, ids, &error);
    if (error.ename == NULL)
        purge_engines(hub, json_object_get(content, "engine_ids"), &error);
    if (error.ename != NULL) {
        ipmpi_hub_reply_error(hub, IPMPI_DOOR_QUERY, request, "purge_reply",
                              error.ename, error.evalue);
        return;
    }
    pending = ipmpi_pending_create(hub, request, "purge_reply");
    if (pending != NULL)
        ipmpi_taskdb_settle(hub->db, ipmpi_pending_answer, pending);
}

/* Requests that wait for the task database. */
#include "bridge/requests/pending.h"

#include <stdlib.h>

#include "runtime/base/error.h"

struct ipmpi_pending *ipmpi_pending_create(struct ipmpi_hub *hub,
                                           struct ipmpi_request *request,
                                           const char *reply_type)
{
    struct ipmpi_pending *pending = malloc(sizeof(*pending));

    if (pending == NULL) {
        ipmpi_hub_reply_error(hub, IPMPI_DOOR_QUERY, request, reply_type,
                              "MemoryError", "the controller has no memory");
        return NULL;
    }
    pending->hub = hub;
    pending->request = ipmpi_request_share(request);
    pending->reply_type = reply_type;
    return pending;
}

void ipmpi_pending_destroy(struct ipmpi_pending *pending)
{
    ipmpi_request_release(&pending->request);
    free(pending);
}

bool ipmpi_pending_failed(const struct ipmpi_pending *pending,
                          const struct ipmpi_hub_error *error)
{
    if (error == NULL)
        return false;
    ipmpi_hub_reply_error(pending->hub, IPMPI_DOOR_QUERY, pending->request,
                          pending->reply_type, error->ename, error->evalue);
    return true;
}

void ipmpi_pending_answer(void *arg, const struct ipmpi_hub_error *error,
                          const struct ipmpi_frame *content,
                          struct ipmpi_frames *buffers)
{
    struct ipmpi_pending *pending = arg;

    if (!ipmpi_pending_failed(pending, error))
        ipmpi_hub_reply_frame(pending->hub, IPMPI_DOOR_QUERY, pending->request,
                              pending->reply_type, content, buffers);
    ipmpi_pending_destroy(pending);
}

int ipmpi_pending_ids(const json_t *array, const char ***ids_out, size_t *n_out)
{
    const size_t n = json_array_size(array);
    const char **ids;

    if (!json_is_array(array))
        return IPMPI_EJSON;
    ids = calloc(n + 1, sizeof(*ids));
    if (ids == NULL)
        return IPMPI_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        ids[i] = json_string_value(json_array_get(array, i));
        if (ids[i] == NULL) {
            free(ids);
            return IPMPI_EJSON;
        }
    }
    *ids_out = ids;
    *n_out = n;
    return 0;
}

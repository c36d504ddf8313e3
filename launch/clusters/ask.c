/* Two conversations with rank 0: how are you, and goodbye. */
#include "launch/clusters/ask.h"

#include <string.h>

#include "launch/clusters/hub_client.h"
#include "runtime/base/error.h"

static int open_client(const struct ipmpi_paths *paths,
                       struct ipmpi_hub_client **client_out)
{
    json_t *info = ipmpi_where_load(paths->client_file);
    int err;

    if (info == NULL)
        return IPMPI_ENOENT;
    err = ipmpi_hub_client_open(info, client_out);
    json_decref(info);
    return err;
}

/* {"0": {"queue":..}, "unassigned": n} and {"0": uuid} to our shape. */
static json_t *merge(const json_t *engines, const json_t *queue)
{
    json_t *list = json_array();
    const char *id;
    json_t *uuid;

    json_object_foreach((json_t *)engines, id, uuid)
    {
        const json_t *load = json_object_get(queue, id);
        const json_int_t waiting =
            json_integer_value(json_object_get(load, "queue"));
        const json_int_t tasks =
            json_integer_value(json_object_get(load, "tasks"));

        json_array_append_new(
            list,
            json_pack("{s:i,s:O,s:s,s:I,s:I,s:O*}", "id", atoi(id), "uuid",
                      uuid, "state", waiting + tasks > 0 ? "busy" : "idle",
                      "queue", waiting, "tasks", tasks, "completed",
                      json_object_get(load, "completed")));
    }
    return json_pack("{s:o,s:O*}", "engines", list, "unassigned",
                     json_object_get(queue, "unassigned"));
}

static int ask_stock(struct ipmpi_hub_client *client, int timeout_ms,
                     json_t **status_out)
{
    json_t *engines = NULL, *queue = NULL;
    json_t *all = json_pack("{s:n,s:b}", "targets", "verbose", 0);
    int err = ipmpi_hub_client_ask(client, "connection_request", NULL,
                                   timeout_ms, &engines);

    if (err == 0)
        err = ipmpi_hub_client_ask(client, "queue_request", all, timeout_ms,
                                   &queue);
    if (err == 0)
        *status_out = merge(json_object_get(engines, "engines"), queue);
    json_decref(engines);
    json_decref(queue);
    json_decref(all);
    return err;
}

int ipmpi_ask_status(const struct ipmpi_paths *paths, int timeout_ms,
                     json_t **status_out)
{
    struct ipmpi_hub_client *client = NULL;
    json_t *status = NULL, *content;
    int err = open_client(paths, &client);

    if (err != 0)
        return err;
    content = json_pack("{s:b}", "memory", 1);
    err = ipmpi_hub_client_ask(client, "ipmpi_status_request", content,
                               timeout_ms, &status);
    json_decref(content);
    if (err == IPMPI_EINVAL) { /* upstream's does not know it */
        json_decref(status);
        status = NULL;
        err = ask_stock(client, timeout_ms, &status);
    }
    ipmpi_hub_client_close(&client);
    if (err == 0)
        *status_out = status;
    return err;
}

size_t ipmpi_ask_count_ready(const json_t *status)
{
    const json_t *engine;
    size_t i, n = 0;

    json_array_foreach(json_object_get(status, "engines"), i, engine)
    {
        const char *state = json_string_value(json_object_get(engine, "state"));

        n += state == NULL || strcmp(state, "starting") != 0;
    }
    return n;
}

int ipmpi_ask_shutdown(const struct ipmpi_paths *paths, int timeout_ms)
{
    struct ipmpi_hub_client *client = NULL;
    json_t *answer = NULL, *uuid;
    json_t *content = json_pack("{s:b}", "restart", 0);
    json_t *quietly = json_pack("{s:b}", "announce", 0);
    const char *id;
    int err = open_client(paths, &client);

    if (err == 0)
        err = ipmpi_hub_client_ask(client, "connection_request", NULL,
                                   timeout_ms, &answer);
    if (err == 0) {
        json_object_foreach(json_object_get(answer, "engines"), id, uuid)(void)
            ipmpi_hub_client_tell(client, json_string_value(uuid),
                                  "shutdown_request", content);
        json_decref(answer);
        answer = NULL;
        err = ipmpi_hub_client_ask(client, "shutdown_request", quietly,
                                   timeout_ms, &answer);
    }
    json_decref(answer);
    json_decref(content);
    json_decref(quietly);
    ipmpi_hub_client_close(&client);
    return err;
}

/* Balanced tasks: reading the metadata, targets and blacklist. */
#include "bridge/schedulers/task.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

static bool has(const json_t *uuids, const char *uuid)
{
    const json_t *item;
    size_t i;

    json_array_foreach(uuids, i, item)
    {
        if (strcmp(json_string_value(item), uuid) == 0)
            return true;
    }
    return false;
}

static int read_targets(const json_t *value, json_t **targets_out)
{
    const json_t *item;
    size_t i;

    *targets_out = NULL;
    if (value == NULL || json_is_null(value))
        return 0;
    if (!json_is_array(value))
        return IPMPI_EJSON;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item))
            return IPMPI_EJSON;
    }
    if (json_array_size(value) > 0)
        *targets_out = json_deep_copy(value);
    return 0;
}

static int read_metadata(const json_t *metadata, struct ipmpi_task *task)
{
    const json_t *timeout = json_object_get(metadata, "timeout");
    const json_t *retries = json_object_get(metadata, "retries");
    int err = ipmpi_dependency_parse(json_object_get(metadata, "after"),
                                     &task->after);

    if (err == 0)
        err = ipmpi_dependency_parse(json_object_get(metadata, "follow"),
                                     &task->follow);
    if (err == 0)
        err =
            read_targets(json_object_get(metadata, "targets"), &task->targets);
    if (err != 0)
        return err;
    if (json_number_value(timeout) > 0)
        task->timeout_us = (int64_t)(json_number_value(timeout) * 1e6);
    task->retries_left = (int64_t)json_number_value(retries);
    return 0;
}

int ipmpi_task_create(struct ipmpi_job *job, struct ipmpi_task **task_out)
{
    struct ipmpi_task *task = calloc(1, sizeof(*task));
    int err;

    if (task == NULL)
        return IPMPI_ENOMEM;
    task->job = job;
    err = read_metadata(job->request->metadata, task);
    if (err != 0) {
        ipmpi_task_destroy(&task);
        return err;
    }
    *task_out = task;
    return 0;
}

void ipmpi_task_destroy(struct ipmpi_task **task)
{
    ipmpi_dependency_clear(&(*task)->after);
    ipmpi_dependency_clear(&(*task)->follow);
    json_decref((*task)->targets);
    json_decref((*task)->blacklist);
    free(*task);
    *task = NULL;
}

void ipmpi_task_blacklist(struct ipmpi_task *task, const char *uuid)
{
    if (task->blacklist == NULL)
        task->blacklist = json_array();
    if (!has(task->blacklist, uuid))
        json_array_append_new(task->blacklist, json_string(uuid));
}

bool ipmpi_task_is_for_any(const struct ipmpi_task *task)
{
    return task->targets == NULL && task->blacklist == NULL &&
           task->follow.n == 0;
}

bool ipmpi_task_allows(const struct ipmpi_task *task, const char *uuid)
{
    return (task->targets == NULL || has(task->targets, uuid)) &&
           !has(task->blacklist, uuid);
}

bool ipmpi_task_targets_gone(const struct ipmpi_task *task,
                             const struct ipmpi_registry *registry)
{
    const json_t *item;
    size_t i;

    if (task->targets == NULL)
        return false;
    json_array_foreach(task->targets, i, item)
    {
        const char *uuid = json_string_value(item);

        if (!has(task->blacklist, uuid) &&
            ipmpi_registry_by_uuid(registry, uuid, strlen(uuid)) != NULL)
            return false;
    }
    return true;
}

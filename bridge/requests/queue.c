/* queue_request and load_request: what waits where? Compat 3.4. */
#include "bridge/requests/requests.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/wire/json.h"

/* Engines to report on, and what was wrong with the way they were named. */
struct targets {
    int *ids;
    size_t n;
    const char *ename;
    char evalue[128];
};

static int id_of(const struct ipmpi_hub *hub, const json_t *target)
{
    const char *uuid = json_string_value(target);
    const struct ipmpi_engine *engine;

    if (json_is_integer(target))
        return (int)json_integer_value(target);
    if (uuid == NULL)
        return -1;
    engine = ipmpi_registry_by_uuid(&hub->registry, uuid, strlen(uuid));
    return engine != NULL ? engine->id : -1;
}

static void add_all(const struct ipmpi_hub *hub, struct targets *targets)
{
    struct ipmpi_engine *engine, *next;

    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        if (ipmpi_engine_is_known(engine))
            targets->ids[targets->n++] = engine->id;
    }
}

static void add_one(const struct ipmpi_hub *hub, const json_t *target,
                    struct targets *targets)
{
    const int id = id_of(hub, target);
    char *text;

    if (ipmpi_registry_by_id(&hub->registry, id) != NULL ||
        ipmpi_registry_had(&hub->registry, id)) {
        targets->ids[targets->n++] = id;
        return;
    }
    text = json_dumps(target, JSON_ENCODE_ANY);
    targets->ename = "IndexError";
    snprintf(targets->evalue, sizeof(targets->evalue),
             "No Such Engine: [%.64s]", text != NULL ? text : "?");
    free(text);
}

static void read_targets(const struct ipmpi_hub *hub, const json_t *value,
                         struct targets *targets)
{
    const size_t room =
        json_array_size(value) + 1 + HASH_CNT(by_id, hub->registry.by_id);
    const json_t *target;
    size_t i;

    *targets = (struct targets){.ids = calloc(room, sizeof(int))};
    if (targets->ids == NULL) {
        targets->ename = "MemoryError";
    } else if (value == NULL) {
        targets->ename = "KeyError";
        snprintf(targets->evalue, sizeof(targets->evalue), "'targets'");
    } else if (json_is_null(value)) {
        add_all(hub, targets);
    } else if (!json_is_array(value)) {
        add_one(hub, value, targets);
    } else if (json_array_size(value) == 0) {
        targets->ename = "IndexError";
        snprintf(targets->evalue, sizeof(targets->evalue),
                 "No Engines Registered");
    } else {
        json_array_foreach(value, i, target) add_one(hub, target, targets);
    }
}

static void list_job(const struct ipmpi_job *job, enum ipmpi_door door,
                     json_t *out)
{
    if (job->owner->door == door)
        json_array_append_new(
            out, ipmpi_json_text(job->msg_id, strlen(job->msg_id)));
}

static json_t *jobs_of(const struct ipmpi_engine *engine, enum ipmpi_door door)
{
    json_t *ids = json_array();
    struct ipmpi_held *held;
    const struct ipmpi_job *job;

    DL_FOREACH (engine->sent.first, held)
        list_job(ipmpi_job_of(held), door, ids);
    DL_FOREACH (engine->waiting, job)
        list_job(job, door, ids);
    return ids;
}

static json_t *recent_of(const struct ipmpi_engine *engine)
{
    const uint64_t first = engine->ncompleted > IPMPI_RECENT_CAP
                               ? engine->ncompleted - IPMPI_RECENT_CAP
                               : 0;
    json_t *ids = json_array();

    for (uint64_t i = first; i < engine->ncompleted; i++) {
        const size_t at = i % IPMPI_RECENT_CAP;

        if (at < engine->nrecent && engine->recent[at] != NULL)
            json_array_append_new(ids, json_string(engine->recent[at]));
    }
    return ids;
}

static json_t *status_of(const struct ipmpi_engine *engine, bool verbose)
{
    if (engine == NULL) /* gone */
        return verbose ? json_pack("{s:[],s:[],s:[]}", "queue", "completed",
                                   "tasks")
                       : json_pack("{s:i,s:i,s:i}", "queue", 0, "completed", 0,
                                   "tasks", 0);
    if (verbose)
        return json_pack("{s:o,s:o,s:o}", "queue",
                         jobs_of(engine, IPMPI_DOOR_MUX), "completed",
                         recent_of(engine), "tasks",
                         jobs_of(engine, IPMPI_DOOR_TASK));
    return json_pack("{s:I,s:I,s:I}", "queue", (json_int_t)engine->nmux,
                     "completed", (json_int_t)engine->ncompleted, "tasks",
                     (json_int_t)engine->ntasks);
}

static json_t *unassigned(const struct ipmpi_hub *hub, bool verbose)
{
    const struct ipmpi_job *job = NULL;
    json_t *ids;

    if (!verbose)
        return json_integer((json_int_t)ipmpi_balanced_unassigned(hub));
    ids = json_array();
    while ((job = ipmpi_balanced_next_unassigned(hub, job)) != NULL)
        json_array_append_new(
            ids, ipmpi_json_text(job->msg_id, strlen(job->msg_id)));
    return ids;
}

void ipmpi_request_queue(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    const json_t *content = ipmpi_request_content(request);
    const bool verbose = json_is_true(json_object_get(content, "verbose"));
    struct targets targets;
    json_t *reply;

    read_targets(hub, json_object_get(content, "targets"), &targets);
    if (targets.ename != NULL) {
        ipmpi_hub_reply_error(hub, IPMPI_DOOR_QUERY, request, "hub_error",
                              targets.ename, targets.evalue);
        free(targets.ids);
        return;
    }
    reply = json_pack("{s:s}", "status", "ok");
    for (size_t i = 0; i < targets.n; i++) {
        char id[16];

        snprintf(id, sizeof(id), "%d", targets.ids[i]);
        json_object_set_new(
            reply, id,
            status_of(ipmpi_registry_by_id(&hub->registry, targets.ids[i]),
                      verbose));
    }
    json_object_set_new(reply, "unassigned", unassigned(hub, verbose));
    ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, request, "queue_reply", NULL, reply,
                    NULL);
    json_decref(reply);
    free(targets.ids);
}

void ipmpi_request_load(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    json_t *reply = json_pack("{s:s}", "status", "ok");
    struct ipmpi_engine *engine, *next;

    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        char id[16];

        if (!ipmpi_engine_is_known(engine))
            continue;
        snprintf(id, sizeof(id), "%d", engine->id);
        json_object_set_new(
            reply, id,
            json_integer((json_int_t)(engine->nmux + engine->ntasks)));
    }
    ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, request, "load_reply", NULL, reply,
                    NULL);
    json_decref(reply);
}

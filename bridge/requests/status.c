/* ipmpi_status_request: our own question, for `ipmpi status` and the
 * launchers. Content {"memory": bool}: ask engines on other nodes for theirs,
 * which takes a moment. The reply's content:
 *
 *   status       "ok"
 *   controller   {"host", "pid", "rss" (bytes), "up_s", "held_bytes"}
 *   engines      [{"id", "uuid", "rank", "pid", "host", "python", "state",
 *                  "queue", "tasks", "completed", "waiting", "rss",
 *                  "running"}], ascending by id; those that are gone are not
 *                in it, those that have not joined yet are "starting"
 *   unassigned   tasks that no engine has
 *   stealing     {"on", "prefetch", "ahead", "thefts", "stolen", "refused",
 *                "missing", "returned"}: tasks sent ahead of need now, and what
 *                moved between engines so far (hub/hub.h)
 *
 * state: starting, idle, busy, leaving. queue and tasks count undecided work
 * as queue_request does; waiting is the part of it that rank 0 still holds.
 * rss: resident bytes; null for engines on other nodes that were not asked, or
 * have not answered. running: null, or {"msg_id", "type", "label", "for_s"} of
 * the work that the engine is at: label as the client gave it, or null; for_s,
 * since it began; null, it has not yet. */
#include "bridge/requests/requests.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "bridge/requests/survey.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/wire/json.h"
#include "runtime/base/memory.h"

static json_t *memory_of(int pid)
{
    const int64_t bytes = ipmpi_memory_resident(pid);

    return bytes >= 0 ? json_integer(bytes) : json_null();
}

/* Since this process was started: field 22 of its stat, in ticks after boot.
 * The name in field 2 may hold anything but ends with the last ')'. */
static double seconds_up(void)
{
    char line[1024] = "";
    unsigned long long ticks = 0;
    struct timespec now;
    const char *rest;
    FILE *file = fopen("/proc/self/stat", "re");

    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) == NULL)
        line[0] = '\0';
    fclose(file);
    rest = strrchr(line, ')');
    if (rest == NULL ||
        sscanf(rest + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
               "%*d %*d %*d %*d %llu",
               &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static const char *state_of(const struct ipmpi_engine *engine)
{
    switch (engine->state) {
    case IPMPI_ENGINE_JOINING:
        return "starting";
    case IPMPI_ENGINE_LIVE:
        return engine->sent.n > 0 ? "busy" : "idle";
    default:
        return "leaving";
    }
}

/* What it has begun and not ended, else what it has had longest. */
static const struct ipmpi_job *job_of(const struct ipmpi_engine *engine)
{
    struct ipmpi_held *held;

    DL_FOREACH (engine->sent.first, held) {
        if (held->started)
            return ipmpi_job_of(held);
    }
    return ipmpi_job_of(engine->sent.first);
}

static json_t *running_on(const struct ipmpi_hub *hub,
                          const struct ipmpi_engine *engine)
{
    const struct ipmpi_job *job = job_of(engine);
    json_t *label;
    int64_t for_us;

    if (job == NULL)
        return json_null();
    label = json_object_get(job->request->metadata, "label");
    for_us = hub->out.now_us(hub->out.ctx) - job->started_us;
    return json_pack("{s:o,s:s,s:O?,s:o}", "msg_id",
                     ipmpi_json_text(job->msg_id, strlen(job->msg_id)), "type",
                     job->kind == IPMPI_WORK_APPLY     ? "apply"
                     : job->kind == IPMPI_WORK_EXECUTE ? "execute"
                                                       : "request",
                     "label", json_is_string(label) ? label : NULL, "for_s",
                     job->held.started ? json_real((double)for_us / 1e6)
                                       : json_null());
}

/* Of this node from /proc, of others as they said in this survey. */
static json_t *memory_of_engine(const struct ipmpi_engine *engine,
                                const char *here, uint64_t survey)
{
    if (strcmp(engine->host, here) == 0)
        return memory_of(engine->pid);
    return survey != 0 && engine->survey >= survey ? json_integer(engine->rss)
                                                   : json_null();
}

static json_t *describe(const struct ipmpi_hub *hub,
                        const struct ipmpi_engine *engine, const char *here,
                        uint64_t survey)
{
    return json_pack(
        "{s:i,s:s,s:i,s:i,s:o,s:o,s:s,s:I,s:I,s:I,s:I,s:o,s:o}", "id",
        engine->id, "uuid", engine->uuid, "rank", engine->rank, "pid",
        engine->pid, "host",
        ipmpi_json_text(engine->host, strlen(engine->host)), "python",
        ipmpi_json_text(engine->python, strlen(engine->python)), "state",
        state_of(engine), "queue", (json_int_t)engine->nmux, "tasks",
        (json_int_t)engine->ntasks, "completed", (json_int_t)engine->ncompleted,
        "waiting", (json_int_t)engine->nwaiting, "rss",
        memory_of_engine(engine, here, survey), "running",
        running_on(hub, engine));
}

static json_t *describe_sharing(const struct ipmpi_sharing *sharing)
{
    return json_pack(
        "{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "on", sharing->steal, "prefetch",
        (json_int_t)sharing->prefetch, "ahead", (json_int_t)sharing->nahead,
        "thefts", (json_int_t)sharing->nthefts, "stolen",
        (json_int_t)sharing->nstolen, "refused", (json_int_t)sharing->nrefused,
        "missing", (json_int_t)sharing->nmissing, "returned",
        (json_int_t)sharing->nreturned);
}

static json_t *describe_all(const struct ipmpi_hub *hub, const char *here,
                            uint64_t survey)
{
    struct ipmpi_engine *engine, *next;
    json_t *engines = json_array();

    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        if (engine->state != IPMPI_ENGINE_GONE)
            json_array_append_new(engines, describe(hub, engine, here, survey));
    }
    return engines;
}

/* As engines tell theirs. */
static void name_here(char here[IPMPI_HOST_CAP])
{
    memset(here, 0, IPMPI_HOST_CAP);
    gethostname(here, IPMPI_HOST_CAP - 1);
}

void ipmpi_status_reply(struct ipmpi_hub *hub, struct ipmpi_request *request,
                        uint64_t survey)
{
    char here[IPMPI_HOST_CAP];
    json_t *reply;

    name_here(here);
    reply = json_pack("{s:s,s:{s:s,s:i,s:o,s:f,s:I},s:o,s:I,s:o}", "status",
                      "ok", "controller", "host", here, "pid", (int)getpid(),
                      "rss", memory_of((int)getpid()), "up_s", seconds_up(),
                      "held_bytes", (json_int_t)hub->ledger.held_bytes,
                      "engines", describe_all(hub, here, survey), "unassigned",
                      (json_int_t)ipmpi_balanced_unassigned(hub), "stealing",
                      describe_sharing(&hub->sharing));
    ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, request, "ipmpi_status_reply", NULL,
                    reply, NULL);
    json_decref(reply);
}

void ipmpi_request_status(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    const json_t *content = ipmpi_request_content(request);
    char here[IPMPI_HOST_CAP];

    name_here(here);
    if (!json_is_true(json_object_get(content, "memory")) ||
        ipmpi_survey_begin(hub, request, here) != 0)
        ipmpi_status_reply(hub, request, 0);
}

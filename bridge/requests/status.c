/* ipmpi_status_request: our own question, for `ipmpi status` and the
 * launchers. Content {}; the reply's content:
 *
 *   status       "ok"
 *   controller   {"host", "pid", "rss" (bytes), "up_s", "held_bytes"}
 *   engines      [{"id", "uuid", "rank", "pid", "host", "python", "state",
 *                  "queue", "tasks", "completed", "waiting", "rss",
 *                  "running"}], ascending by id; those that are gone are not
 *                in it, those that have not joined yet are "starting"
 *   unassigned   tasks that no engine has
 *
 * state: starting, idle, busy, leaving. queue and tasks count undecided work
 * as queue_request does; waiting is the part of it that rank 0 still holds.
 * rss: null for engines on other nodes. running: null, or {"msg_id", "type"}
 * of the work that the engine has had longest. */
#include "bridge/requests/requests.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/wire/json.h"

/* Resident bytes of a process of this node; null if it is not there. A read
 * of /proc never waits for a disk. */
static json_t *memory_of(int pid)
{
    char path[64];
    long long size, resident;
    FILE *file;
    int got;

    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL)
        return json_null();
    got = fscanf(file, "%lld %lld", &size, &resident);
    fclose(file);
    return got == 2 ? json_integer(resident * sysconf(_SC_PAGESIZE))
                    : json_null();
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

static json_t *running_on(const struct ipmpi_engine *engine)
{
    const struct ipmpi_job *job = ipmpi_job_of(engine->sent.first);

    if (job == NULL)
        return json_null();
    return json_pack("{s:o,s:o}", "msg_id",
                     ipmpi_json_text(job->msg_id, strlen(job->msg_id)), "type",
                     json_string(job->kind == IPMPI_WORK_APPLY ? "apply"
                                 : job->kind == IPMPI_WORK_EXECUTE
                                     ? "execute"
                                     : "request"));
}

static json_t *describe(const struct ipmpi_engine *engine, const char *here)
{
    const bool local = strcmp(engine->host, here) == 0;

    return json_pack(
        "{s:i,s:s,s:i,s:i,s:o,s:o,s:s,s:I,s:I,s:I,s:I,s:o,s:o}", "id",
        engine->id, "uuid", engine->uuid, "rank", engine->rank, "pid",
        engine->pid, "host",
        ipmpi_json_text(engine->host, strlen(engine->host)), "python",
        ipmpi_json_text(engine->python, strlen(engine->python)), "state",
        state_of(engine), "queue", (json_int_t)engine->nmux, "tasks",
        (json_int_t)engine->ntasks, "completed", (json_int_t)engine->ncompleted,
        "waiting", (json_int_t)engine->nwaiting, "rss",
        local ? memory_of(engine->pid) : json_null(), "running",
        running_on(engine));
}

static json_t *describe_all(const struct ipmpi_hub *hub, const char *here)
{
    struct ipmpi_engine *engine, *next;
    json_t *engines = json_array();

    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        if (engine->state != IPMPI_ENGINE_GONE)
            json_array_append_new(engines, describe(engine, here));
    }
    return engines;
}

void ipmpi_request_status(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    char here[sizeof(((struct ipmpi_engine *)NULL)->host)] = "";
    json_t *reply;

    gethostname(here, sizeof(here) - 1);
    reply = json_pack("{s:s,s:{s:s,s:i,s:o,s:f,s:I},s:o,s:I}", "status", "ok",
                      "controller", "host", here, "pid", (int)getpid(), "rss",
                      memory_of((int)getpid()), "up_s", seconds_up(),
                      "held_bytes", (json_int_t)hub->ledger.held_bytes,
                      "engines", describe_all(hub, here), "unassigned",
                      (json_int_t)ipmpi_balanced_unassigned(hub));
    ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, request, "ipmpi_status_reply", NULL,
                    reply, NULL);
    json_decref(reply);
}

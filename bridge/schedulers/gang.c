/* Gangs: waiting for engines, running, and one reply for all.
 *
 * Invariant: while a gang waits, its members are the engines that it keeps;
 *            once it has started, those that had a share of it. It lives until
 *            its task is decided and its last share has come to an end. */
#include "bridge/schedulers/gang.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/reckoning.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    HOLD_US = 5 * 1000 * 1000, /* at first; twice as long each time */
    REST_US = 1000 * 1000,
    DOUBLINGS = 8,
    MEMBERS_MOST = 1 << 16,
};

struct member {
    struct ipmpi_gang *gang;
    struct ipmpi_engine *engine; /* NULL: it has ended its share, or is gone */
    int id;
    char uuid[IPMPI_UUID_LEN + 1];
    struct ipmpi_job *job;    /* NULL: not made yet, or at its end */
    struct ipmpi_reply reply; /* its parts are kept until all have come */
};

struct ipmpi_gang {
    struct ipmpi_task *task; /* NULL: decided; the last shares are awaited */
    size_t size, nmembers, nopen;
    int world;  /* of its members */
    bool begun; /* it is in hub->gangs, or has started */
    bool started, resting;
    unsigned nholds;
    int64_t until_us; /* of holding or resting; 0: it holds nobody */
    struct ipmpi_gang *prev, *next;
    struct member member[];
};

static int64_t now_us(const struct ipmpi_hub *hub)
{
    return hub->out.now_us(hub->out.ctx);
}

bool ipmpi_gang_is_asked(const struct ipmpi_request *request)
{
    const json_t *size = json_object_get(request->metadata, "ipmpi_mpi");

    return size != NULL && !json_is_null(size) &&
           strcmp(request->msg_type, "apply_request") == 0;
}

int ipmpi_gang_create(struct ipmpi_task *task)
{
    const json_t *size =
        json_object_get(task->job->request->metadata, "ipmpi_mpi");
    const json_int_t n = json_integer_value(size);
    struct ipmpi_gang *gang;

    if (!json_is_integer(size) || n < 1 || n > MEMBERS_MOST)
        return IPMPI_EJSON;
    gang = calloc(1, sizeof(*gang) + (size_t)n * sizeof(gang->member[0]));
    if (gang == NULL)
        return IPMPI_ENOMEM;
    gang->task = task;
    gang->size = (size_t)n;
    for (size_t i = 0; i < gang->size; i++)
        gang->member[i].gang = gang;
    task->gang = gang;
    return 0;
}

static void forget(struct ipmpi_gang *gang)
{
    for (size_t i = 0; i < gang->size; i++)
        ipmpi_frames_clear(&gang->member[i].reply.parts);
    free(gang);
}

void ipmpi_gang_destroy(struct ipmpi_gang **gang)
{
    struct ipmpi_gang *g = *gang;

    *gang = NULL;
    if (g != NULL && !g->begun)
        forget(g);
}

/* ---- engines for it ------------------------------------------------- */

static int world_of(struct ipmpi_hub *hub, const struct ipmpi_engine *engine)
{
    int rank;

    return hub->out.place != NULL
               ? hub->out.place(hub->out.ctx, engine->rank, &rank)
               : 0;
}

static size_t count(struct ipmpi_hub *hub, const struct ipmpi_slots *slots,
                    const struct ipmpi_gang *gang, int world)
{
    const struct ipmpi_slot *slot;
    size_t n = 0;

    DL_FOREACH (slots->lru, slot)
        n += ipmpi_task_allows(gang->task, slot->engine->uuid) &&
             world_of(hub, slot->engine) == world;
    return n;
}

/* Whether some world has as many engines; the gang then waits for those. */
static bool choose_world(struct ipmpi_hub *hub, const struct ipmpi_slots *slots,
                         struct ipmpi_gang *gang)
{
    const struct ipmpi_slot *slot;

    DL_FOREACH (slots->lru, slot) {
        const int world = world_of(hub, slot->engine);

        if (world >= 0 && count(hub, slots, gang, world) >= gang->size) {
            gang->world = world;
            return true;
        }
    }
    return false;
}

const char *ipmpi_gang_begin(struct ipmpi_hub *hub,
                             const struct ipmpi_slots *slots,
                             struct ipmpi_gang *gang)
{
    if (!choose_world(hub, slots, gang))
        return "there are not so many engines that were started together";
    gang->begun = true;
    DL_APPEND(hub->gangs, gang);
    return NULL;
}

static void let_go(struct ipmpi_slots *slots, struct ipmpi_gang *gang)
{
    for (size_t i = 0; i < gang->nmembers; i++)
        ipmpi_slots_keep(slots, gang->member[i].engine->task_slot, false);
    gang->nmembers = 0;
}

/* Ends the task; it is nobody's afterwards, but for shares that still run. */
static void decide(struct ipmpi_hub *hub, struct ipmpi_gang *gang,
                   struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct ipmpi_task *task = gang->task;

    gang->task = NULL;
    ipmpi_balanced_end(hub, task, engine, reply);
}

static void fail_waiting(struct ipmpi_hub *hub, struct ipmpi_gang *gang,
                         const char *ename, const char *evalue)
{
    struct ipmpi_reply reply;

    DL_DELETE(hub->gangs, gang);
    if (ipmpi_hub_make_reply(hub, gang->task->job, NULL, ename, evalue,
                             &reply) != 0)
        ipmpi_log_error("GANG-MEMORY", "out of memory; no answer to %s",
                        gang->task->job->msg_id);
    decide(hub, gang, NULL, &reply);
    ipmpi_frames_clear(&reply.parts);
    forget(gang);
}

/* ---- the end -------------------------------------------------------- */

/* Members with what they returned, as a coalesced reply: the client makes a
 * list of it. */
static int join_results(struct ipmpi_hub *hub, struct ipmpi_gang *gang,
                        struct ipmpi_reply *reply_out)
{
    const struct ipmpi_job *job = gang->task->job;
    const struct ipmpi_frames *first = &gang->member[0].reply.parts;
    json_t *metadata = NULL, *targets = json_array();
    struct ipmpi_frame json;
    int err =
        first->n > 1 + IPMPI_PART_CONTENT
            ? ipmpi_json_load(&first->at[1 + IPMPI_PART_METADATA], &metadata)
            : IPMPI_EFRAME;

    *reply_out = gang->member[0].reply;
    reply_out->parts = (struct ipmpi_frames){0};
    for (size_t i = 0; i < gang->size; i++)
        json_array_append_new(targets, json_pack("[s, i]", gang->member[i].uuid,
                                                 gang->member[i].id));
    json_object_set_new(metadata, "broadcast_targets", targets);
    json_object_set_new(metadata, "is_coalescing", json_true());
    if (err == 0)
        err = ipmpi_json_dump(metadata, &json);
    json_decref(metadata);
    if (err != 0)
        return err;
    err = ipmpi_compose(hub->composer, "apply_reply",
                        hub->out.wall_us(hub->out.ctx), &job->header, &json,
                        &first->at[1 + IPMPI_PART_CONTENT], &reply_out->parts);
    ipmpi_buffer_release(&json.owner);
    for (size_t i = 0; err == 0 && i < gang->size; i++) {
        const struct ipmpi_frames *parts = &gang->member[i].reply.parts;

        err = ipmpi_frames_add_from(&reply_out->parts, parts,
                                    1 + IPMPI_PART_BUFFERS,
                                    parts->n - 1 - IPMPI_PART_BUFFERS);
    }
    return err;
}

static void succeed(struct ipmpi_hub *hub, struct ipmpi_gang *gang)
{
    struct ipmpi_reply reply;
    int err = join_results(hub, gang, &reply);

    if (err != 0) {
        ipmpi_frames_clear(&reply.parts);
        ipmpi_hub_make_reply(hub, gang->task->job, NULL, "RuntimeError",
                             ipmpi_strerror(err), &reply);
    }
    decide(hub, gang, NULL, &reply);
    ipmpi_frames_clear(&reply.parts);
}

static void tell_other(struct ipmpi_hub *hub, const struct member *member,
                       const char *why)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_CANCEL,
        .ref = member->job->ref,
    };
    struct ipmpi_frames more = {0};

    if (ipmpi_frames_add_copy(&more, why, strlen(why)) == 0)
        ipmpi_hub_tell_engine(hub, member->engine, &head, &more);
}

/* One member has failed: the client hears it now, the others do. */
static void fail_all(struct ipmpi_hub *hub, const struct member *failed,
                     struct ipmpi_engine *engine, struct ipmpi_reply *reply,
                     const char *why)
{
    struct ipmpi_gang *gang = failed->gang;
    char text[1024];

    snprintf(text, sizeof(text), "engine %d: %s", failed->id, why);
    decide(hub, gang, engine, reply);
    for (size_t i = 0; i < gang->size; i++) {
        if (gang->member[i].job != NULL)
            tell_other(hub, &gang->member[i], text);
    }
}

static void describe(const struct ipmpi_reply *reply, char *out, size_t cap)
{
    json_t *content = NULL;

    snprintf(out, cap, "its part was aborted");
    if (reply->parts.n > 1 + IPMPI_PART_CONTENT &&
        ipmpi_json_load(&reply->parts.at[1 + IPMPI_PART_CONTENT], &content) ==
            0 &&
        reply->status == IPMPI_STATUS_ERROR)
        snprintf(out, cap, "%s: %s",
                 ipmpi_json_string(content, "ename", "Error"),
                 ipmpi_json_string(content, "evalue", ""));
    json_decref(content);
}

/* One share less; the engine may do something else. */
static void close_share(struct ipmpi_hub *hub, struct member *member,
                        struct ipmpi_job *job)
{
    struct ipmpi_gang *gang = member->gang;

    if (gang->nopen == 1) /* all output has been published */
        ipmpi_hub_tell_idle(hub, &job->header);
    ipmpi_job_destroy(&hub->ledger, &job);
    ipmpi_balanced_let_go(hub, member->engine);
    member->engine = NULL;
    if (--gang->nopen > 0)
        return;
    if (gang->task != NULL)
        succeed(hub, gang);
    forget(gang);
}

static void decided(struct ipmpi_hub *hub, struct ipmpi_job *job,
                    struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct member *member = job->data;
    char why[512];

    member->job = NULL;
    if (reply->status != IPMPI_STATUS_OK && member->gang->task != NULL) {
        describe(reply, why, sizeof(why));
        fail_all(hub, member, engine, reply, why);
    } else {
        member->reply = *reply;
        reply->parts = (struct ipmpi_frames){0};
    }
    close_share(hub, member, job);
    ipmpi_balanced_scan(hub);
}

static void lost(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, enum ipmpi_progress progress)
{
    struct member *member = job->data;
    struct ipmpi_reply reply;
    char text[512];

    member->job = NULL;
    ipmpi_reckoning_describe(job, engine, progress, text, sizeof(text));
    if (member->gang->task != NULL &&
        ipmpi_hub_make_reply(hub, job, engine, "EngineError", text, &reply) ==
            0) {
        fail_all(hub, member, engine, &reply, engine->end);
        ipmpi_frames_clear(&reply.parts);
    }
    close_share(hub, member, job);
    ipmpi_balanced_scan(hub);
}

static const struct ipmpi_job_owner share_owner = {
    .name = NULL,
    .door = IPMPI_DOOR_TASK,
    .decided = decided,
    .lost = lost,
};

/* ---- the start ------------------------------------------------------ */

static int by_id(const void *a, const void *b)
{
    const struct member *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static json_t *make_content(const struct ipmpi_gang *gang)
{
    json_t *engines = json_array();

    for (size_t i = 0; i < gang->size; i++)
        json_array_append_new(engines, json_integer(gang->member[i].id));
    return json_pack("{s:o, s:I}", "engines", engines, "number",
                     (json_int_t)gang->task->job->ref);
}

static int make_share(struct ipmpi_hub *hub, struct member *member,
                      const struct ipmpi_frame *content)
{
    struct ipmpi_job *job = member->gang->task->job;
    const struct ipmpi_frames *parts = &job->request->parts;
    struct ipmpi_frames body = {0};
    char *msg_id;
    int err = ipmpi_frames_add_frame(&body, content);

    if (err == 0)
        err = ipmpi_frames_add_from(&body, parts, IPMPI_PART_BUFFERS,
                                    parts->n - IPMPI_PART_BUFFERS);
    if (asprintf(&msg_id, "%s_%s", job->msg_id, member->uuid) < 0) {
        msg_id = NULL;
        err = IPMPI_ENOMEM;
    }
    if (err == 0)
        err = ipmpi_job_create_piece(&hub->ledger, &share_owner, job->request,
                                     msg_id, &body, &member->job);
    free(msg_id);
    ipmpi_frames_clear(&body);
    if (err != 0)
        return err;
    member->job->data = member;
    member->job->kind = IPMPI_WORK_MPI;
    member->gang->nopen++;
    return 0;
}

static int make_shares(struct ipmpi_hub *hub, struct ipmpi_gang *gang)
{
    json_t *json = make_content(gang);
    struct ipmpi_frame content;
    int err = json != NULL ? ipmpi_json_dump(json, &content) : IPMPI_ENOMEM;

    json_decref(json);
    if (err != 0)
        return err;
    for (size_t i = 0; err == 0 && i < gang->size; i++)
        err = make_share(hub, &gang->member[i], &content);
    ipmpi_buffer_release(&content.owner);
    return err;
}

static void start(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                  struct ipmpi_gang *gang)
{
    const size_t size = gang->size;

    qsort(gang->member, gang->size, sizeof(gang->member[0]), by_id);
    if (make_shares(hub, gang) != 0) {
        for (size_t i = 0; i < gang->size; i++) {
            if (gang->member[i].job != NULL)
                ipmpi_job_destroy(&hub->ledger, &gang->member[i].job);
        }
        let_go(slots, gang);
        fail_waiting(hub, gang, "MemoryError",
                     "the controller is out of "
                     "memory");
        return;
    }
    DL_DELETE(hub->gangs, gang);
    gang->started = true;
    for (size_t i = 0; i < size; i++) /* with the last, it may be over */
        ipmpi_dispatch(hub, gang->member[i].engine, gang->member[i].job);
}

/* ---- waiting -------------------------------------------------------- */

static void keep(struct ipmpi_slots *slots, struct ipmpi_gang *gang,
                 struct ipmpi_slot *slot)
{
    struct member *member = &gang->member[gang->nmembers++];

    ipmpi_slots_keep(slots, slot, true);
    member->engine = slot->engine;
    member->id = slot->engine->id;
    memcpy(member->uuid, slot->engine->uuid, sizeof(member->uuid));
}

/* Lets go for a while of what it has kept for too long. */
static bool may_hold(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                     struct ipmpi_gang *gang)
{
    const int64_t now = now_us(hub);

    if (gang->until_us == 0 || now < gang->until_us)
        return !gang->resting;
    gang->resting = !gang->resting;
    if (gang->resting) {
        let_go(slots, gang);
        gang->until_us = now + REST_US;
        gang->nholds += gang->nholds < DOUBLINGS;
    } else {
        gang->until_us = 0;
    }
    return !gang->resting;
}

void ipmpi_gang_feed(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                     bool others_wait)
{
    struct ipmpi_gang *gang = hub->gangs;
    struct ipmpi_slot *slot;

    if (gang == NULL || !may_hold(hub, slots, gang))
        return;
    DL_FOREACH (slots->lru, slot) {
        if (gang->nmembers < gang->size &&
            ipmpi_slot_is_idle(slot, others_wait) &&
            ipmpi_task_allows(gang->task, slot->engine->uuid) &&
            world_of(hub, slot->engine) == gang->world)
            keep(slots, gang, slot);
    }
    if (gang->nmembers > 0 && gang->until_us == 0)
        gang->until_us = now_us(hub) + ((int64_t)HOLD_US << gang->nholds);
    if (gang->nmembers == gang->size) {
        start(hub, slots, gang);
        ipmpi_gang_feed(hub, slots, others_wait);
    }
}

int64_t ipmpi_gang_deadline_us(const struct ipmpi_hub *hub)
{
    return hub->gangs != NULL && hub->gangs->until_us != 0
               ? hub->gangs->until_us
               : INT64_MAX;
}

bool ipmpi_gang_abort(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                      struct ipmpi_gang *gang)
{
    if (!gang->begun)
        return false;
    if (gang->started)
        return true; /* what runs goes on */
    let_go(slots, gang);
    fail_waiting(hub, gang, NULL, NULL);
    return true;
}

void ipmpi_gang_engine_goes(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                            const struct ipmpi_engine *engine)
{
    struct ipmpi_gang *gang, *next;

    DL_FOREACH_SAFE (hub->gangs, gang, next) {
        for (size_t i = 0; i < gang->nmembers; i++) {
            if (gang->member[i].engine == engine) {
                ipmpi_slots_keep(slots, engine->task_slot, false);
                gang->member[i] = gang->member[--gang->nmembers];
                break;
            }
        }
    }
}

void ipmpi_gang_engine_gone(struct ipmpi_hub *hub, struct ipmpi_slots *slots)
{
    struct ipmpi_gang *gang, *next;

    DL_FOREACH_SAFE (hub->gangs, gang, next) {
        if (count(hub, slots, gang, gang->world) >= gang->size)
            continue;
        let_go(slots, gang);
        if (!choose_world(hub, slots, gang))
            fail_waiting(hub, gang, "EngineError",
                         "so many engines have gone that too few are left");
    }
}

void ipmpi_gang_close(struct ipmpi_hub *hub)
{
    while (hub->gangs != NULL) {
        struct ipmpi_gang *gang = hub->gangs;
        struct ipmpi_task *task = gang->task;
        struct ipmpi_job *job = task->job;

        DL_DELETE(hub->gangs, gang);
        forget(gang);
        ipmpi_task_destroy(&task);
        ipmpi_job_destroy(&hub->ledger, &job);
    }
}

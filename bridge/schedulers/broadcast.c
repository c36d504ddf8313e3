/* Broadcasts. Each target gets a share: a job of its own, whose msg_id is
 * <original>_<uuid>. The shares' replies go out one by one, or are gathered
 * into one reply in the order of the targets (coalescing).
 *
 * The shares of a collective (metadata ipmpi_collective) wait for each other
 * on the engines. When one fails, is aborted or lost, those that are at their
 * engines are told why, and those that still wait here fail at once: nobody
 * waits for what cannot come.
 *
 * Invariant: a broadcast lives until its last share is decided or lost. */
#include "bridge/schedulers/broadcast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/cast.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/gathers.h"
#include "bridge/schedulers/share_text.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

struct broadcast;

struct share {
    struct broadcast *broadcast;
    struct ipmpi_job *job;    /* NULL: not made yet, or decided */
    struct ipmpi_reply reply; /* kept until all have come, if coalescing */
};

struct broadcast {
    struct ipmpi_request *request; /* one share */
    struct ipmpi_share_text text;
    json_t *targets; /* borrowed from the request's metadata */
    bool coalescing;
    bool collective;
    char *failure; /* of the first share of a collective that failed */
    bool broken;   /* a target was lost: the client has failed it itself */
    struct ipmpi_cast *cast; /* brings the body; NULL: each share does */
    struct ipmpi_gather *gather; /* brings replies; NULL: each comes alone */
    size_t nshares, nopen;
    struct share share[];
};

static void destroy(struct ipmpi_hub *hub, struct broadcast **broadcast)
{
    struct broadcast *b = *broadcast;

    ipmpi_cast_destroy(hub, &b->cast);
    ipmpi_gather_destroy(hub, &b->gather);
    for (size_t i = 0; i < b->nshares; i++)
        ipmpi_frames_clear(&b->share[i].reply.parts);
    ipmpi_share_text_clear(&b->text);
    ipmpi_request_release(&b->request);
    free(b->failure);
    free(b);
    *broadcast = NULL;
}

/* The reply whose metadata and content stand for all: the first that failed,
 * else the first. */
static struct ipmpi_reply *speaker(struct broadcast *b)
{
    for (size_t i = 0; i < b->nshares; i++) {
        if (b->share[i].reply.status != IPMPI_STATUS_OK)
            return &b->share[i].reply;
    }
    return &b->share[0].reply;
}

static int gather_buffers(struct broadcast *b, struct ipmpi_frames *out)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < b->nshares; i++) {
        const struct ipmpi_frames *parts = &b->share[i].reply.parts;

        if (parts->n > 1 + IPMPI_PART_BUFFERS) /* 1: the signature */
            err = ipmpi_frames_add_from(out, parts, 1 + IPMPI_PART_BUFFERS,
                                        parts->n - 1 - IPMPI_PART_BUFFERS);
    }
    return err;
}

static void send_coalesced(struct ipmpi_hub *hub, struct broadcast *b)
{
    struct ipmpi_reply *reply = speaker(b);
    json_t *metadata = NULL, *content = NULL;
    struct ipmpi_frames buffers = {0};
    int err = IPMPI_EFRAME;

    if (reply->parts.n > IPMPI_PART_BUFFERS)
        err = ipmpi_json_load(&reply->parts.at[1 + IPMPI_PART_METADATA],
                              &metadata);
    if (err == 0)
        err =
            ipmpi_json_load(&reply->parts.at[1 + IPMPI_PART_CONTENT], &content);
    if (err == 0 && reply->status == IPMPI_STATUS_OK)
        err = gather_buffers(b, &buffers);
    if (err != 0) {
        ipmpi_log_error("BROADCAST-REPLY", "replies to %s: %s",
                        b->request->msg_id, ipmpi_strerror(err));
    } else {
        json_object_set(metadata, "broadcast_targets", b->targets);
        ipmpi_hub_reply(hub, IPMPI_DOOR_BROADCAST, b->request, "apply_reply",
                        metadata, content, &buffers);
        ipmpi_hub_tell_idle(hub, &b->request->parts.at[IPMPI_PART_HEADER]);
    }
    ipmpi_frames_clear(&buffers);
    json_decref(metadata);
    json_decref(content);
}

/* One share less to wait for. */
static void close_one(struct ipmpi_hub *hub, struct broadcast *b)
{
    if (--b->nopen > 0)
        return;
    if (b->coalescing && !b->broken)
        send_coalesced(hub, b);
    destroy(hub, &b);
}

/* Note [failed]. One share of a collective has failed. The broadcast outlives
 * this: the failed share is still open. */
static void fail_share(struct ipmpi_hub *hub, struct ipmpi_job *job,
                       const char *why)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_CANCEL,
        .ref = job->ref,
    };
    struct ipmpi_engine *engine = job->engine;
    struct ipmpi_frames more = {0};

    if (job->state == IPMPI_JOB_WAITING) {
        ipmpi_dispatch_take_back(hub, job);
        ipmpi_dispatch_decide(hub, job, engine, "CollectiveError", why);
    } else if (job->state == IPMPI_JOB_SENT) {
        if (ipmpi_frames_add_copy(&more, why, strlen(why)) == 0)
            ipmpi_hub_tell_engine(hub, engine, &head, &more);
        else
            ipmpi_log_error("BROADCAST-MEMORY",
                            "out of memory; engine %d is not told that %s "
                            "failed",
                            engine->id, job->msg_id);
    }
}

static void fail_others(struct ipmpi_hub *hub, const struct share *failed,
                        const char *why)
{
    struct broadcast *b = failed->broadcast;
    const json_t *target =
        json_array_get(b->targets, (size_t)(failed - b->share));

    if (!b->collective || b->failure != NULL)
        return;
    if (asprintf(&b->failure, "engine %d: %s",
                 (int)json_integer_value(json_array_get(target, 1)), why) < 0) {
        b->failure = NULL;
        ipmpi_log_error("BROADCAST-MEMORY", "out of memory; %s may hang",
                        b->request->msg_id);
        return;
    }
    for (size_t i = 0; i < b->nshares; i++) {
        if (&b->share[i] != failed && b->share[i].job != NULL)
            fail_share(hub, b->share[i].job, b->failure);
    }
}

/* What a reply that is not ok says. */
static void fail_others_by_reply(struct ipmpi_hub *hub,
                                 const struct share *failed,
                                 const struct ipmpi_reply *reply)
{
    json_t *content = NULL;
    char *why = NULL;

    if (reply->status == IPMPI_STATUS_ERROR &&
        reply->parts.n > 1 + IPMPI_PART_CONTENT &&
        ipmpi_json_load(&reply->parts.at[1 + IPMPI_PART_CONTENT], &content) ==
            0 &&
        asprintf(&why, "%s: %s", ipmpi_json_string(content, "ename", "Error"),
                 ipmpi_json_string(content, "evalue", "")) < 0)
        why = NULL;
    fail_others(hub, failed, why != NULL ? why : "its part was aborted");
    json_decref(content);
    free(why);
}

static void close_share(struct ipmpi_hub *hub, struct ipmpi_job *job,
                        bool had_body)
{
    struct share *share = job->data;
    struct broadcast *b = share->broadcast;

    share->job = NULL;
    ipmpi_cast_leave(job, had_body);
    ipmpi_gather_leave(job);
    ipmpi_job_destroy(&hub->ledger, &job);
    close_one(hub, b);
}

static void decided(struct ipmpi_hub *hub, struct ipmpi_job *job,
                    struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct share *share = job->data;
    const enum ipmpi_status status = reply->status;

    (void)engine;
    share->job = NULL;
    if (status != IPMPI_STATUS_OK)
        fail_others_by_reply(hub, share, reply);
    if (!share->broadcast->coalescing) {
        if (reply->parts.n > 0)
            ipmpi_hub_relay(hub, IPMPI_DOOR_BROADCAST, job->request, NULL,
                            &reply->parts);
    } else {
        share->reply = *reply;
        reply->parts = (struct ipmpi_frames){0};
    }
    close_share(hub, job, status != IPMPI_STATUS_ABORTED);
}

static void lost(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, enum ipmpi_progress progress)
{
    struct share *share = job->data;

    (void)progress;
    share->job = NULL;
    share->broadcast->broken = true;
    fail_others(hub, share, engine->end);
    close_share(hub, job, false);
}

static const struct ipmpi_job_owner owner = {
    .name = NULL,
    .door = IPMPI_DOOR_BROADCAST,
    .decided = decided,
    .lost = lost,
};

static const char *target_uuid(const json_t *target)
{
    return json_string_value(json_array_get(target, 0));
}

static void enter(struct broadcast *b, size_t i, struct ipmpi_job *job)
{
    job->data = &b->share[i];
    job->echo = b->text.echo;
    if (job->echo.owner != NULL)
        ipmpi_buffer_share(job->echo.owner);
    b->share[i].job = job;
    if (b->cast != NULL)
        ipmpi_cast_enter(b->cast, i, job);
    if (b->gather != NULL)
        ipmpi_gather_enter(b->gather, i, job);
}

/* Compat 7.2: the same header but for the msg_id. */
static int make_share(struct ipmpi_hub *hub, struct broadcast *b, size_t i,
                      struct ipmpi_job **job_out)
{
    const char *uuid = target_uuid(json_array_get(b->targets, i));
    struct ipmpi_frame frame;
    char *msg_id;
    int err;

    if (asprintf(&msg_id, "%s_%s", b->request->msg_id, uuid) < 0)
        return IPMPI_ENOMEM;
    err = ipmpi_share_text_header(&b->text, msg_id, &frame);
    if (err == 0) {
        err = ipmpi_job_create(&hub->ledger, &owner, b->request, msg_id, &frame,
                               job_out);
        ipmpi_buffer_release(&frame.owner);
    }
    if (err == 0)
        enter(b, i, *job_out);
    free(msg_id);
    return err;
}

/* No job is made for this target, and the client gets no reply from it. */
static void refuse(struct ipmpi_hub *hub, struct broadcast *b, size_t i,
                   const char *why)
{
    b->broken = true;
    b->nopen--;
    fail_others(hub, &b->share[i], why);
}

/* The request and the news that the engine is gone have crossed: the client
 * fails this share itself, and a reply would be its second, which stops its
 * stream for a while (compat 2.8, 7.5). */
static bool was_engine(struct ipmpi_hub *hub, const json_t *target)
{
    return ipmpi_registry_had(
        &hub->registry, (int)json_integer_value(json_array_get(target, 1)));
}

static struct ipmpi_engine *engine_of(struct ipmpi_hub *hub,
                                      const json_t *target)
{
    const char *uuid = target_uuid(target);

    return ipmpi_registry_by_uuid(&hub->registry, uuid, strlen(uuid));
}

static void submit_share(struct ipmpi_hub *hub, struct broadcast *b, size_t i)
{
    const json_t *target = json_array_get(b->targets, i);
    struct ipmpi_engine *engine = engine_of(hub, target);
    struct ipmpi_job *job;
    int err;

    if (engine == NULL && was_engine(hub, target)) {
        refuse(hub, b, i, "has left");
        return;
    }
    err = make_share(hub, b, i, &job);
    if (err != 0) {
        ipmpi_log_warn("BROADCAST-REFUSED", "request %s for engine %s: %s",
                       b->request->msg_id, target_uuid(target),
                       ipmpi_strerror(err));
        refuse(hub, b, i, ipmpi_strerror(err));
        return;
    }
    if (b->failure != NULL)
        ipmpi_dispatch_decide(hub, job, engine, "CollectiveError", b->failure);
    else if (engine == NULL || engine->state != IPMPI_ENGINE_LIVE)
        ipmpi_dispatch_decide(hub, job, NULL, "EngineError",
                              "the engine has left");
    else if (ipmpi_abort_recall(hub->aborted, job->msg_id))
        ipmpi_dispatch_decide(hub, job, engine, NULL, NULL);
    else
        ipmpi_dispatch(hub, engine, job);
}

/* Collectives hear of each failure at once; an execute that fails aborts what
 * its engine has queued, which rank 0 has to hear. */
static void plan_gather(struct ipmpi_hub *hub, struct broadcast *b)
{
    struct ipmpi_engine **engine;

    if (!b->coalescing || b->collective ||
        strcmp(b->request->msg_type, "apply_request") != 0)
        return;
    engine = calloc(b->nshares, sizeof(*engine));
    if (engine == NULL)
        return;
    for (size_t i = 0; i < b->nshares; i++) {
        engine[i] = engine_of(hub, json_array_get(b->targets, i));
        if (engine[i] != NULL && engine[i]->state != IPMPI_ENGINE_LIVE)
            engine[i] = NULL;
    }
    b->gather = ipmpi_gather_create(hub, engine, b->nshares);
    free(engine);
}

static bool targets_are_whole(const json_t *targets)
{
    const json_t *target;
    size_t i;

    if (json_array_size(targets) == 0)
        return false;
    json_array_foreach (targets, i, target) {
        if (target_uuid(target) == NULL)
            return false;
    }
    return true;
}

void ipmpi_broadcast_submit(struct ipmpi_hub *hub,
                            struct ipmpi_request *request)
{
    json_t *targets = json_object_get(request->metadata, "targets");
    const size_t n = json_array_size(targets);
    struct broadcast *b;

    if (!targets_are_whole(targets)) {
        ipmpi_log_warn("BROADCAST-TARGETS",
                       "request %s names no targets; "
                       "dropped",
                       request->msg_id);
        return;
    }
    b = calloc(1, sizeof(*b) + n * sizeof(b->share[0]));
    if (b == NULL || ipmpi_share_text_make(request, &b->text) != 0) {
        free(b);
        ipmpi_log_error("BROADCAST-MEMORY", "out of memory; request %s is lost",
                        request->msg_id);
        return;
    }
    b->request = ipmpi_request_share(request);
    b->targets = targets;
    b->coalescing =
        json_is_true(json_object_get(request->metadata, "is_coalescing"));
    b->collective =
        json_is_true(json_object_get(request->metadata, "ipmpi_collective"));
    b->nshares = n;
    b->nopen = n + 1; /* one for this function: no share closes it early */
    b->cast = ipmpi_cast_create(hub, request, n);
    plan_gather(hub, b);
    for (size_t i = 0; i < n; i++) {
        b->share[i].broadcast = b;
        submit_share(hub, b, i);
    }
    if (b->cast != NULL)
        ipmpi_cast_launch(hub, b->cast);
    close_one(hub, b);
}

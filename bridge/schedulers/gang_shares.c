/* Gangs that have started: a share for each member, and how it ends.
 *
 * Invariant: a member has a job from when its share is made until that has
 *            come to an end. The gang is forgotten with the last. */
#include "bridge/schedulers/gang_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/reckoning.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"

/* ---- the end -------------------------------------------------------- */

static void succeed(struct ipmpi_hub *hub, struct ipmpi_gang *gang)
{
    struct ipmpi_reply reply;
    int err = ipmpi_gang_join(hub, gang, &reply);

    if (err != 0) {
        ipmpi_frames_clear(&reply.parts);
        ipmpi_hub_make_reply(hub, gang->task->job, NULL, "RuntimeError",
                             ipmpi_strerror(err), &reply);
    }
    ipmpi_gang_decide(hub, gang, NULL, &reply);
    ipmpi_frames_clear(&reply.parts);
}

static void tell_other(struct ipmpi_hub *hub,
                       const struct ipmpi_gang_member *member, const char *why)
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
static void fail_all(struct ipmpi_hub *hub,
                     const struct ipmpi_gang_member *failed,
                     struct ipmpi_engine *engine, struct ipmpi_reply *reply,
                     const char *why)
{
    struct ipmpi_gang *gang = failed->gang;
    char text[1024];

    snprintf(text, sizeof(text), "engine %d: %s", failed->id, why);
    ipmpi_gang_decide(hub, gang, engine, reply);
    for (size_t i = 0; i < gang->size; i++) {
        if (gang->member[i].job != NULL)
            tell_other(hub, &gang->member[i], text);
    }
}

/* One share less; the engine may do something else. */
static void close_share(struct ipmpi_hub *hub, struct ipmpi_gang_member *member,
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
    ipmpi_gang_forget(gang);
}

static void decided(struct ipmpi_hub *hub, struct ipmpi_job *job,
                    struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    struct ipmpi_gang_member *member = job->data;
    char why[512];

    member->job = NULL;
    if (reply->status != IPMPI_STATUS_OK && member->gang->task != NULL) {
        ipmpi_gang_describe(reply, why, sizeof(why));
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
    struct ipmpi_gang_member *member = job->data;
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
    const struct ipmpi_gang_member *x = a, *y = b;

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

static int make_share(struct ipmpi_hub *hub, struct ipmpi_gang_member *member,
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

static int make_all(struct ipmpi_hub *hub, struct ipmpi_gang *gang)
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

int ipmpi_gang_make_shares(struct ipmpi_hub *hub, struct ipmpi_gang *gang)
{
    int err;

    qsort(gang->member, gang->size, sizeof(gang->member[0]), by_id);
    err = make_all(hub, gang);
    if (err == 0)
        return 0;
    for (size_t i = 0; i < gang->size; i++) {
        if (gang->member[i].job != NULL)
            ipmpi_job_destroy(&hub->ledger, &gang->member[i].job);
    }
    return err;
}

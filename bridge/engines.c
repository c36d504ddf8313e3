/* Engines: joining, messages, leaving. */
#include "bridge/engines.h"

#include <stdio.h>
#include <string.h>

#include "bridge/farewells.h"
#include "bridge/hub/records.h"
#include "bridge/requests/survey.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/cast.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/gathers.h"
#include "bridge/schedulers/thefts.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/process/verdict.h"

int ipmpi_engines_welcome(struct ipmpi_hub *hub,
                          const struct ipmpi_welcome *welcome, int rank, int id)
{
    struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_WELCOME,
        .flags = hub->sharing.steal ? IPMPI_WELCOME_STEAL : 0,
    };
    struct ipmpi_frames more = {0};
    struct ipmpi_engine *engine;
    int in_world = rank;
    int err = ipmpi_registry_add(&hub->registry, rank, id, &engine);

    if (err != 0)
        return err;
    hub->out.place(hub->out.ctx, rank, &in_world);
    engine->world = rank - in_world + 1;
    head.detail = engine->id;
    err = ipmpi_frames_add_copy(&more, welcome->key, strlen(welcome->key));
    if (err == 0)
        err = ipmpi_frames_add_copy(&more, engine->uuid, IPMPI_UUID_LEN);
    if (err == 0) /* its session: what upstream's engines use, too */
        err = ipmpi_frames_add_copy(&more, engine->uuid, IPMPI_UUID_LEN);
    if (err == 0)
        err = ipmpi_frames_add_copy(&more, welcome->username,
                                    strlen(welcome->username));
    if (err != 0) {
        ipmpi_frames_clear(&more);
        return err;
    }
    ipmpi_hub_tell_engine(hub, engine, &head, &more);
    return 0;
}

static void copy_text(const struct ipmpi_frames *frames, size_t i, char *out,
                      size_t cap)
{
    size_t len = 0;

    if (i < frames->n)
        len = frames->at[i].len < cap - 1 ? frames->at[i].len : cap - 1;
    if (len > 0)
        memcpy(out, frames->at[i].data, len);
    out[len] = '\0';
}

/* Note [twice]. ipyparallel's wait_for_engines looks at the engines that are
 * there, and then begins to listen: it never hears of one that comes between.
 * So clients are told of each engine again a little later; a repetition does
 * them no harm. */
enum { AGAIN_US = 1000 * 1000 };

static void announce(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    ipmpi_hub_notify_registration(hub, engine);
    engine->announce_us = hub->out.now_us(hub->out.ctx) + AGAIN_US;
    if (hub->announce_us == 0)
        hub->announce_us = engine->announce_us;
}

void ipmpi_engines_announce_again(struct ipmpi_hub *hub)
{
    const int64_t now = hub->out.now_us(hub->out.ctx);
    struct ipmpi_engine *engine, *next;

    if (hub->announce_us == 0 || now < hub->announce_us)
        return;
    hub->announce_us = 0;
    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        if (engine->announce_us == 0 || engine->state != IPMPI_ENGINE_LIVE)
            continue;
        if (engine->announce_us <= now) {
            engine->announce_us = 0;
            ipmpi_hub_notify_registration(hub, engine);
        } else if (hub->announce_us == 0 ||
                   engine->announce_us < hub->announce_us) {
            hub->announce_us = engine->announce_us;
        }
    }
}

int64_t ipmpi_engines_deadline_us(const struct ipmpi_hub *hub)
{
    return hub->announce_us != 0 ? hub->announce_us : INT64_MAX;
}

static void on_ready(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    if (engine->state != IPMPI_ENGINE_JOINING)
        return;
    engine->pid = head->detail;
    copy_text(frames, 1, engine->host, sizeof(engine->host));
    copy_text(frames, 2, engine->python, sizeof(engine->python));
    copy_text(frames, 3, engine->node, sizeof(engine->node));
    ipmpi_registry_ready(&hub->registry, engine);
    announce(hub, engine);
    ipmpi_log_debug("ENGINE-READY", "engine %d: pid %d on %s, Python %s",
                    engine->id, engine->pid, engine->host, engine->python);
    ipmpi_balanced_engine_came(hub, engine);
}

static void on_iopub(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_job *job;

    if (frames->n < 7)
        return; /* head, topic, signature and the four parts */
    if (head->kind == IPMPI_IOPUB_BUSY) {
        job = ipmpi_job_by_ref(&hub->ledger, head->ref);
        if (job != NULL && job->engine == engine) {
            ipmpi_dispatch_started(hub, job);
            job->started_us = hub->out.now_us(hub->out.ctx);
        }
    }
    ipmpi_records_output(hub, head->kind, frames);
    /* In the place of head and topic: topic and delimiter. */
    ipmpi_buffer_release(&frames->at[0].owner);
    frames->at[0] = frames->at[1];
    frames->at[1] = (struct ipmpi_frame){(const uint8_t *)IPMPI_DELIM,
                                         IPMPI_DELIM_LEN, NULL};
    hub->out.to_client(hub->out.ctx, IPMPI_DOOR_IOPUB, frames);
}

static void on_leaving(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames)
{
    (void)head;
    (void)frames;
    ipmpi_engines_lost(hub, engine->rank, NULL);
}

static void on_reply(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    ipmpi_dispatch_reply(hub, engine, head, frames);
    ipmpi_thefts_feed(hub, engine); /* it may be idle now */
}

static const struct handler {
    enum ipmpi_msg_type type;
    void (*handle)(struct ipmpi_hub *, struct ipmpi_engine *,
                   const struct ipmpi_msg_head *, struct ipmpi_frames *);
} handlers[] = {
    {IPMPI_MSG_READY, on_ready},
    {IPMPI_MSG_REPLY, on_reply},
    {IPMPI_MSG_GATHERED, ipmpi_gathers_take},
    {IPMPI_MSG_PART, ipmpi_dispatch_part},
    {IPMPI_MSG_CONTROL_REPLY, ipmpi_dispatch_reply},
    {IPMPI_MSG_IOPUB, on_iopub},
    {IPMPI_MSG_LEAVING, on_leaving},
    {IPMPI_MSG_LACKS, ipmpi_cast_lacks},
    {IPMPI_MSG_HANDOVER, ipmpi_thefts_handover},
    {IPMPI_MSG_MISSING, ipmpi_thefts_missing},
    {IPMPI_MSG_HUNGRY, ipmpi_thefts_hungry},
    {IPMPI_MSG_MEASURED, ipmpi_survey_take},
};

void ipmpi_engines_receive(struct ipmpi_hub *hub, int rank,
                           struct ipmpi_frames *frames)
{
    struct ipmpi_engine *engine = ipmpi_registry_by_rank(&hub->registry, rank);
    struct ipmpi_msg_head head;

    if (engine == NULL)
        return; /* it is gone for us: late traffic disturbs nobody */
    if (frames->n == 0 || frames->at[0].len != sizeof(head)) {
        ipmpi_log_error("ENGINE-PROTOCOL",
                        "rank %d sent a message without "
                        "head; dropped",
                        rank);
        return;
    }
    memcpy(&head, frames->at[0].data, sizeof(head));
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (handlers[i].type == head.type) {
            handlers[i].handle(hub, engine, &head, frames);
            return;
        }
    }
    ipmpi_log_error("ENGINE-PROTOCOL",
                    "rank %d sent a message of unknown type "
                    "%u; dropped",
                    rank, head.type);
}

/* Nobody finds it any more, and no task is given to it. */
static void hide(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    ipmpi_registry_gone(&hub->registry, engine);
    ipmpi_balanced_engine_gone(hub, engine);
}

/* Its work goes back to who gave it. */
static void forget(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                   const struct ipmpi_exit_notice *notice)
{
    ipmpi_thefts_engine_gone(hub, engine);
    ipmpi_dispatch_engine_lost(hub, engine, notice);
    ipmpi_registry_remove(&hub->registry, &engine);
}

void ipmpi_engines_describe_end(const struct ipmpi_exit_notice *notice,
                                char *out, size_t cap)
{
    size_t at;

    ipmpi_verdict_describe(notice->wait_status, out, cap);
    at = strlen(out);
    if (notice->flags & IPMPI_EXIT_NO_MEMORY)
        snprintf(out + at, cap - at,
                 ", probably by the kernel, which ran out of memory");
}

void ipmpi_engines_lost(struct ipmpi_hub *hub, int rank,
                        const struct ipmpi_exit_notice *notice)
{
    struct ipmpi_engine *engine = ipmpi_registry_by_rank(&hub->registry, rank);
    int id;

    if (engine == NULL)
        return;
    id = engine->id;
    if (notice != NULL) {
        ipmpi_engines_describe_end(notice, engine->end, sizeof(engine->end));
        ipmpi_log_warn("ENGINE-LOST",
                       "engine %d (rank %d on %s, pid %d) %s; "
                       "the others go on",
                       engine->id, rank, engine->host, engine->pid,
                       engine->end);
    } else {
        strcpy(engine->end, "has left");
        ipmpi_log_info("ENGINE-LEFT", "engine %d (rank %d on %s) has left",
                       engine->id, rank, engine->host);
    }
    if (ipmpi_engine_is_known(engine) && !engine->said_gone)
        ipmpi_farewells_say(hub, engine, engine->nmux > 0);
    hide(hub, engine);
    ipmpi_casts_engine_gone(hub, engine);
    forget(hub, engine, notice);
    ipmpi_gathers_engine_gone(hub, id);
}

void ipmpi_engines_forget(struct ipmpi_hub *hub)
{
    struct ipmpi_engine *engine, *next;

    HASH_ITER (by_id, hub->registry.by_id, engine, next)
        hide(hub, engine);
    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        strcpy(engine->end, "ended with the job");
        forget(hub, engine, NULL);
    }
}

void ipmpi_engines_say_bye(struct ipmpi_hub *hub, int nranks)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_BYE,
    };

    for (int rank = 1; rank < nranks; rank++) {
        struct ipmpi_frames out = {0};

        if (ipmpi_frames_add_copy(&out, &head, sizeof(head)) == 0)
            hub->out.to_rank(hub->out.ctx, rank, &out);
    }
}

size_t ipmpi_engines_joining(const struct ipmpi_hub *hub)
{
    struct ipmpi_engine *engine, *next;
    size_t n = 0;

    HASH_ITER (by_id, hub->registry.by_id, engine, next)
        n += engine->state == IPMPI_ENGINE_JOINING;
    return n;
}

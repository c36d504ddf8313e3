/* What the hub is told: clients' requests, engines' messages of
 * runtime/engine/protocol.h, notices of their ends. */
#include <string.h>

#include <utlist.h>

#include "bridge/engines.h"
#include "bridge/schedulers/balanced.h"
#include "tests/model/rank0_internal.h"

/* ---- from clients --------------------------------------------------- */

static void add_text(struct ipmpi_frames *frames, const char *text)
{
    model_must(ipmpi_frames_add_copy(frames, text, strlen(text)));
}

/* As many retries as it may need: who died with it is no fault of a task's. */
static struct ipmpi_request *make_request(struct model_world *world,
                                          uint64_t number)
{
    static const struct ipmpi_limits limits = IPMPI_LIMITS_DEFAULT;
    struct ipmpi_frames frames = {0};
    struct ipmpi_request *request;
    char header[256];

    snprintf(header, sizeof(header),
             "{\"msg_id\":\"t%llu\",\"msg_type\":\"apply_request\","
             "\"session\":\"s\",\"username\":\"u\",\"version\":\"5.3\","
             "\"date\":\"2026-01-02T03:04:05.000006Z\"}",
             (unsigned long long)number);
    add_text(&frames, "client");
    add_text(&frames, IPMPI_DELIM);
    add_text(&frames, ""); /* no signature: the key is empty */
    add_text(&frames, header);
    add_text(&frames, "{}");
    add_text(&frames, "{\"retries\":1000,\"label\":null}");
    add_text(&frames, "{}");
    add_text(&frames, "call");
    model_must(
        ipmpi_request_open(&frames, world->rank0.key, NULL, &limits, &request));
    return request;
}

void model_take_from_client(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;
    struct ipmpi_request *request = make_request(world, r->submitted++);

    r->now_ns += world->set.client_ns;
    ipmpi_balanced_submit(&r->hub, request, true);
    ipmpi_request_release(&request);
}

/* ---- from engines --------------------------------------------------- */

static void say(struct model_world *world, int engine,
                struct ipmpi_msg_head head, struct ipmpi_frames *more)
{
    struct ipmpi_frames frames = {0};

    head.version = IPMPI_PROTOCOL_VERSION;
    model_must(ipmpi_frames_add_copy(&frames, &head, sizeof(head)));
    model_must(ipmpi_frames_add_from(&frames, more, 0, more->n));
    ipmpi_engines_receive(&world->rank0.hub, model_rank_of(engine), &frames);
    ipmpi_frames_clear(&frames);
    ipmpi_frames_clear(more);
}

static void add_empty(struct ipmpi_frames *frames, int n)
{
    while (n-- > 0)
        model_must(ipmpi_frames_add_static(frames, "{}", 2));
}

/* The parent of what an engine says of a task. */
static void add_parent(struct model_world *world, uint64_t ref,
                       struct ipmpi_frames *frames)
{
    const struct ipmpi_job *job =
        ipmpi_job_by_ref(&world->rank0.hub.ledger, ref);

    if (job != NULL)
        model_must(ipmpi_frames_add_frame(frames, &job->header));
    else
        add_empty(frames, 1);
}

static void hear_status(struct model_world *world, int engine, uint64_t ref,
                        enum ipmpi_iopub_kind kind)
{
    struct ipmpi_frames more = {0};

    add_empty(&more, 3); /* topic, signature, header */
    add_parent(world, ref, &more);
    add_empty(&more, 2);
    say(world, engine,
        (struct ipmpi_msg_head){
            .type = IPMPI_MSG_IOPUB, .kind = (uint16_t)kind, .ref = ref},
        &more);
}

static void on_busy(struct model_world *world, const struct model_event *event)
{
    hear_status(world, event->from, model_ref_of(world, event->task),
                IPMPI_IOPUB_BUSY);
}

/* Reply and idle share a packet. */
static void on_reply(struct model_world *world, const struct model_event *event)
{
    const uint64_t ref = model_ref_of(world, event->task);
    struct ipmpi_frames more = {0};

    add_empty(&more, 2); /* signature, header */
    add_parent(world, ref, &more);
    add_empty(&more, 2);
    model_must(ipmpi_frames_add_static(&more, "result", 6));
    say(world, event->from,
        (struct ipmpi_msg_head){.type = IPMPI_MSG_REPLY, .ref = ref}, &more);
    hear_status(world, event->from, ref, IPMPI_IOPUB_IDLE);
}

static void hear_list(struct model_world *world,
                      const struct model_event *event, int type, int detail)
{
    const struct model_list *list = event->list;
    struct ipmpi_frames more = {0};
    uint64_t *refs = model_zeroed(list->n, sizeof(*refs));

    for (size_t i = 0; i < list->n; i++)
        refs[i] = model_ref_of(world, list->at[i]);
    model_must(ipmpi_frames_add_copy(&more, refs, list->n * sizeof(*refs)));
    free(refs);
    say(world, event->from,
        (struct ipmpi_msg_head){.type = (uint16_t)type, .detail = detail},
        &more);
}

static void on_handover(struct model_world *world,
                        const struct model_event *event)
{
    hear_list(world, event, IPMPI_MSG_HANDOVER, model_rank_of(event->detail));
}

static void on_missing(struct model_world *world,
                       const struct model_event *event)
{
    hear_list(world, event, IPMPI_MSG_MISSING, 0);
}

static void on_hungry(struct model_world *world,
                      const struct model_event *event)
{
    struct ipmpi_frames none = {0};

    say(world, event->from, (struct ipmpi_msg_head){.type = IPMPI_MSG_HUNGRY},
        &none);
}

static void mark_orphans(struct model_world *world,
                         const struct ipmpi_engine *engine)
{
    struct ipmpi_held *held;

    DL_FOREACH (engine->sent.first, held) {
        struct model_task *task = model_task_of(world, ipmpi_job_of(held)->ref);

        world->orphans += !task->orphan;
        task->orphan = true;
    }
}

/* The nanny of an engine tells its end, and what it had begun. */
static void on_notice(struct model_world *world,
                      const struct model_event *event)
{
    struct model_rank0 *r = &world->rank0;
    const struct model_task *running = world->engines[event->from].running;
    struct ipmpi_exit_notice notice = {.rank = model_rank_of(event->from),
                                       .wait_status = 9,
                                       .flags = IPMPI_EXIT_COUNTED};

    if (running != NULL && running->origin == MODEL_RANK0)
        notice.begun.refs[notice.begun.n++] = model_ref_of(world, running);
    mark_orphans(world, ipmpi_registry_by_rank(&r->hub.registry, notice.rank));
    ipmpi_engines_lost(&r->hub, notice.rank, &notice);
    model_flush_death(world);
}

/* ---- all -------------------------------------------------------------- */

void model_hear(struct model_world *world, const struct model_event *event)
{
    static void (*const handlers[])(struct model_world *,
                                    const struct model_event *) = {
        [MODEL_BUSY] = on_busy,         [MODEL_REPLY] = on_reply,
        [MODEL_HANDOVER] = on_handover, [MODEL_HUNGRY] = on_hungry,
        [MODEL_MISSING] = on_missing,   [MODEL_NOTICE] = on_notice,
    };

    world->rank0.now_ns += world->set.rank0_ns;
    world->result.rank0_in++;
    handlers[event->kind](world, event);
}

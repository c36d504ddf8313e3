/* Rank 0: the product's own (bridge/engines.h and all of bridge/schedulers and
 * bridge/hub behind it), between simulated clients and engines. What the
 * hub is told are whole messages of runtime/engine/protocol.h, and what it
 * tells engines is read from such messages; the clock is the model's.
 *
 * Invariant: tasks are submitted in order, and are rank 0's only jobs: a
 *            task's ref is its number plus one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <utlist.h>

#include "bridge/engines.h"
#include "bridge/hub/taskdb.h"
#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/balanced.h"
#include "runtime/base/log.h"
#include "tests/model/world.h"

/* What rank 0 holds for clients before they have to wait: what a machine with
 * 8 GB would do. */
#define HELD_MOST ((size_t)2 << 30)

static void must(int err)
{
    if (err != 0) {
        fprintf(stderr, "model: error %d\n", err);
        abort();
    }
}

static int rank_of(int engine)
{
    return engine + 1;
}

static int engine_of(int rank)
{
    return rank - 1;
}

static uint64_t ref_of(const struct model_world *world,
                       const struct model_task *task)
{
    return (uint64_t)(task - world->tasks) + 1;
}

static struct model_task *task_of(struct model_world *world, uint64_t ref)
{
    return &world->tasks[ref - 1];
}

/* ---- to engines ----------------------------------------------------- */

static void add_refs(struct model_world *world, const struct ipmpi_frame *refs,
                     struct model_list *list)
{
    for (size_t i = 0; i < refs->len / sizeof(uint64_t); i++) {
        uint64_t ref;

        memcpy(&ref, refs->data + i * sizeof(ref), sizeof(ref));
        list->at[list->n++] = task_of(world, ref);
    }
}

static struct model_list *read_grant(struct model_world *world,
                                     const struct ipmpi_frames *frames)
{
    struct model_list *list = model_list_create(
        (frames->at[1].len + frames->at[2].len) / sizeof(uint64_t));

    add_refs(world, &frames->at[1], list);
    list->granted = list->n;
    add_refs(world, &frames->at[2], list);
    return list;
}

static struct model_event read_message(struct model_world *world, int rank,
                                       const struct ipmpi_msg_head *head,
                                       const struct ipmpi_frames *frames)
{
    struct model_event event = {.to = engine_of(rank), .from = MODEL_RANK0};

    switch ((int)head->type) {
    case IPMPI_MSG_WORK:
        event.kind = MODEL_WORK;
        event.detail = head->flags & IPMPI_WORK_MORE;
        event.task = task_of(world, head->ref);
        event.task->movable = head->flags & IPMPI_WORK_STEALABLE;
        break;
    case IPMPI_MSG_GIVE:
        event.kind = MODEL_GIVE;
        event.detail = engine_of(head->detail);
        break;
    case IPMPI_MSG_GRANT:
        event.kind = MODEL_GRANT;
        event.detail = engine_of(head->detail);
        event.list = read_grant(world, frames);
        break;
    default:
        abort(); /* nobody asks for anything else */
    }
    return event;
}

/* All are told of a death one after the other; they hear it when the last has
 * been told. Nothing is told in between. */
static void flush_death(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;

    if (r->told_dead < 0)
        return;
    model_send(world, r->now_ns,
               (struct model_event){.kind = MODEL_GONE,
                                    .to = MODEL_RANK0,
                                    .from = r->told_dead});
    r->told_dead = -1;
}

static void to_rank(void *ctx, int rank, struct ipmpi_frames *frames)
{
    struct model_world *world = ctx;
    struct model_rank0 *r = &world->rank0;
    struct ipmpi_msg_head head;

    memcpy(&head, frames->at[0].data, sizeof(head));
    r->now_ns += world->set.rank0_ns;
    world->result.rank0_out++;
    if (head.type == IPMPI_MSG_GONE) {
        r->told_dead = engine_of(head.detail);
    } else if (!r->closing) {
        flush_death(world);
        model_send(world, r->now_ns, read_message(world, rank, &head, frames));
    }
    ipmpi_frames_clear(frames);
}

/* ---- to clients ----------------------------------------------------- */

/* The number in {"msg_id":"t12", ..}. */
static uint64_t number_in(const struct ipmpi_frame *header)
{
    static const char before[] = "{\"msg_id\":\"t";

    if (header->len < sizeof(before) ||
        memcmp(header->data, before, sizeof(before) - 1) != 0)
        abort();
    return strtoull((const char *)header->data + sizeof(before) - 1, NULL, 10);
}

static size_t delimiter_in(const struct ipmpi_frames *frames)
{
    size_t i = 0;

    while (frames->at[i].len != IPMPI_DELIM_LEN ||
           memcmp(frames->at[i].data, IPMPI_DELIM, IPMPI_DELIM_LEN) != 0)
        i++;
    return i;
}

/* An engine says nothing in its reply; rank 0 in its place tells an error. */
static void to_client(void *ctx, enum ipmpi_door door,
                      struct ipmpi_frames *frames)
{
    struct model_world *world = ctx;

    if (door == IPMPI_DOOR_TASK && !world->rank0.closing) {
        const size_t at = delimiter_in(frames) + 1; /* the signature */

        world->rank0.now_ns += world->set.client_ns;
        model_decide(world, &world->tasks[number_in(&frames->at[at + 2])],
                     frames->at[at + 4].len > 2);
    }
    ipmpi_frames_clear(frames);
}

/* ---- from clients --------------------------------------------------- */

static void add_text(struct ipmpi_frames *frames, const char *text)
{
    must(ipmpi_frames_add_copy(frames, text, strlen(text)));
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
    must(
        ipmpi_request_open(&frames, world->rank0.key, NULL, &limits, &request));
    return request;
}

static void take_from_client(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;
    struct ipmpi_request *request = make_request(world, r->submitted++);

    r->now_ns += world->set.client_ns;
    ipmpi_balanced_submit(&r->hub, request, true);
    ipmpi_request_release(&request);
}

/* ---- from engines --------------------------------------------------- */

static void hear(struct model_world *world, int engine,
                 struct ipmpi_msg_head head, struct ipmpi_frames *more)
{
    struct ipmpi_frames frames = {0};

    head.version = IPMPI_PROTOCOL_VERSION;
    must(ipmpi_frames_add_copy(&frames, &head, sizeof(head)));
    must(ipmpi_frames_add_from(&frames, more, 0, more->n));
    ipmpi_engines_receive(&world->rank0.hub, rank_of(engine), &frames);
    ipmpi_frames_clear(&frames);
    ipmpi_frames_clear(more);
}

static void add_empty(struct ipmpi_frames *frames, int n)
{
    while (n-- > 0)
        must(ipmpi_frames_add_static(frames, "{}", 2));
}

/* The parent of what an engine says of a task. */
static void add_parent(struct model_world *world, uint64_t ref,
                       struct ipmpi_frames *frames)
{
    const struct ipmpi_job *job =
        ipmpi_job_by_ref(&world->rank0.hub.ledger, ref);

    if (job != NULL)
        must(ipmpi_frames_add_frame(frames, &job->header));
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
    hear(world, engine,
         (struct ipmpi_msg_head){
             .type = IPMPI_MSG_IOPUB, .kind = (uint16_t)kind, .ref = ref},
         &more);
}

static void on_busy(struct model_world *world, const struct model_event *event)
{
    hear_status(world, event->from, ref_of(world, event->task),
                IPMPI_IOPUB_BUSY);
}

/* Reply and idle share a packet. */
static void on_reply(struct model_world *world, const struct model_event *event)
{
    const uint64_t ref = ref_of(world, event->task);
    struct ipmpi_frames more = {0};

    add_empty(&more, 2); /* signature, header */
    add_parent(world, ref, &more);
    add_empty(&more, 2);
    must(ipmpi_frames_add_static(&more, "result", 6));
    hear(world, event->from,
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
        refs[i] = ref_of(world, list->at[i]);
    must(ipmpi_frames_add_copy(&more, refs, list->n * sizeof(*refs)));
    free(refs);
    hear(world, event->from,
         (struct ipmpi_msg_head){.type = (uint16_t)type, .detail = detail},
         &more);
}

static void on_handover(struct model_world *world,
                        const struct model_event *event)
{
    hear_list(world, event, IPMPI_MSG_HANDOVER, rank_of(event->detail));
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

    hear(world, event->from, (struct ipmpi_msg_head){.type = IPMPI_MSG_HUNGRY},
         &none);
}

static void mark_orphans(struct model_world *world,
                         const struct ipmpi_engine *engine)
{
    struct ipmpi_held *held;

    DL_FOREACH (engine->sent.first, held) {
        struct model_task *task = task_of(world, ipmpi_job_of(held)->ref);

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
    struct ipmpi_exit_notice notice = {.rank = rank_of(event->from),
                                       .wait_status = 9,
                                       .flags = IPMPI_EXIT_COUNTED};

    if (running != NULL && running->origin == MODEL_RANK0)
        notice.begun.refs[notice.begun.n++] = ref_of(world, running);
    mark_orphans(world, ipmpi_registry_by_rank(&r->hub.registry, notice.rank));
    ipmpi_engines_lost(&r->hub, notice.rank, &notice);
    flush_death(world);
}

/* ---- turns ---------------------------------------------------------- */

static void handle(struct model_world *world, struct model_event *event)
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
    free(event->list);
}

static bool client_waits(const struct model_world *world)
{
    return world->rank0.submitted < world->set.tasks &&
           world->rank0.hub.ledger.held_bytes < HELD_MOST;
}

static void next_turn(struct model_world *world, int64_t when_ns)
{
    world->rank0.serving = true;
    model_queue_add(&world->queue, (struct model_event){.at_ns = when_ns,
                                                        .kind = MODEL_TURN,
                                                        .to = MODEL_RANK0});
}

static int64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Clients and engines take turns. */
static void take_one(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;

    if (client_waits(world) && (r->client_next || r->n == 0)) {
        take_from_client(world);
        r->client_next = false;
    } else if (r->n > 0) {
        struct model_event event = r->inbox[r->first];

        r->first = (r->first + 1) % r->cap;
        r->n--;
        r->client_next = true;
        handle(world, &event);
    }
}

static void turn(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;
    const int64_t begun_ns = cpu_ns();

    r->now_ns = world->now_ns;
    take_one(world);
    world->result.rank0_code_ns += cpu_ns() - begun_ns;
    world->result.rank0_busy_ns += r->now_ns - world->now_ns;
    r->serving = false;
    if (r->n > 0 || client_waits(world))
        next_turn(world, r->now_ns);
    else
        r->free_ns = r->now_ns;
}

static void receive(struct model_world *world, const struct model_event *event)
{
    struct model_rank0 *r = &world->rank0;

    if (r->n == r->cap) {
        const size_t cap = r->cap > 0 ? 2 * r->cap : 1024;
        struct model_event *more = model_grow(NULL, cap, sizeof(*more));

        for (size_t i = 0; i < r->n; i++)
            more[i] = r->inbox[(r->first + i) % r->cap];
        free(r->inbox);
        r->inbox = more;
        r->cap = cap;
        r->first = 0;
    }
    r->inbox[(r->first + r->n++) % r->cap] = *event;
    if (!r->serving)
        next_turn(world,
                  world->now_ns > r->free_ns ? world->now_ns : r->free_ns);
}

void model_rank0_event(struct model_world *world, struct model_event *event)
{
    if (event->kind == MODEL_TURN) {
        turn(world);
        return;
    }
    receive(world, event);
    event->list = NULL;
}

/* ---- its beginning and its end --------------------------------------- */

static int place(void *ctx, int rank, int *rank_out)
{
    (void)ctx;
    *rank_out = rank; /* all are of one world */
    return 0;
}

static int64_t now_us(void *ctx)
{
    return ((struct model_world *)ctx)->rank0.now_ns / 1000;
}

static void add_engine(struct model_world *world, int number)
{
    struct ipmpi_hub *hub = &world->rank0.hub;
    struct ipmpi_engine *engine;

    must(ipmpi_registry_add(&hub->registry, rank_of(number), -1, &engine));
    engine->world = 1;
    snprintf(engine->host, sizeof(engine->host), "node%d",
             number / world->set.per_node);
    ipmpi_registry_ready(&hub->registry, engine);
    ipmpi_balanced_engine_came(hub, engine);
}

void model_rank0_open(struct model_world *world)
{
    const struct ipmpi_taskdb_options options = {.kind = IPMPI_TASKDB_MEMORY};
    struct model_rank0 *r = &world->rank0;

    ipmpi_log_set_level(IPMPI_LOG_ERROR);
    r->told_dead = -1;
    r->hub.out = (struct ipmpi_outlets){world, to_client, to_rank,
                                        place, now_us,    now_us};
    r->hub.sharing.steal = world->set.steal;
    r->hub.sharing.prefetch = (size_t)world->set.prefetch;
    must(ipmpi_key_create("", 0, &r->key));
    r->hub.key = r->key;
    must(ipmpi_composer_create(r->key, "hub", "u", &r->hub.composer));
    must(ipmpi_taskdb_open(&options, &r->hub.db));
    must(ipmpi_balanced_open(&r->hub, IPMPI_SCHEME_LEASTLOAD, 1));
    must(ipmpi_abort_memory_create(&r->hub.aborted));
    for (int i = 0; i < world->set.engines; i++)
        add_engine(world, i);
    next_turn(world, 0);
}

void model_rank0_close(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;

    r->closing = true;
    ipmpi_engines_forget(&r->hub);
    ipmpi_balanced_close(&r->hub);
    ipmpi_registry_clear(&r->hub.registry);
    ipmpi_abort_memory_destroy(&r->hub.aborted);
    ipmpi_taskdb_destroy(&r->hub.db);
    ipmpi_composer_destroy(&r->hub.composer);
    ipmpi_key_destroy(&r->key);
    for (size_t i = 0; i < r->n; i++)
        free(r->inbox[(r->first + i) % r->cap].list);
    free(r->inbox);
}

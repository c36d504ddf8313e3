/* Rank 0: the product's own (bridge/engines.h and all of bridge/schedulers and
 * bridge/hub behind it), between simulated clients and engines, on the model's
 * clock. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bridge/engines.h"
#include "bridge/hub/taskdb.h"
#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/balanced.h"
#include "runtime/base/log.h"
#include "tests/model/rank0_internal.h"

/* What rank 0 holds for clients before they have to wait: what a machine with
 * 8 GB would do. */
#define HELD_MOST ((size_t)2 << 30)

/* ---- turns ---------------------------------------------------------- */

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
        model_take_from_client(world);
        r->client_next = false;
    } else if (r->n > 0) {
        struct model_event event = r->inbox[r->first];

        r->first = (r->first + 1) % r->cap;
        r->n--;
        r->client_next = true;
        model_hear(world, &event);
        free(event.list);
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

    model_must(
        ipmpi_registry_add(&hub->registry, model_rank_of(number), -1, &engine));
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
    r->hub.out = (struct ipmpi_outlets){world, model_to_client, model_to_rank,
                                        place, now_us,          now_us};
    r->hub.sharing.steal = world->set.steal;
    r->hub.sharing.prefetch = (size_t)world->set.prefetch;
    model_must(ipmpi_key_create("", 0, &r->key));
    r->hub.key = r->key;
    model_must(ipmpi_composer_create(r->key, "hub", "u", &r->hub.composer));
    model_must(ipmpi_taskdb_open(&options, &r->hub.db));
    model_must(ipmpi_balanced_open(&r->hub, IPMPI_SCHEME_LEASTLOAD, 1));
    model_must(ipmpi_abort_memory_create(&r->hub.aborted));
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

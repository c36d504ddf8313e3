/* Time, messages between ranks, and the account of the whole. */
#include "tests/model/world.h"

#include <stdlib.h>

enum { CHUNK = 4096 };

/* ---- messages ------------------------------------------------------- */

static int node_of(const struct model_world *world, int rank)
{
    return rank == MODEL_RANK0 ? 0 : rank / world->set.per_node;
}

void model_send(struct model_world *world, int64_t when_ns,
                struct model_event event)
{
    const bool near = node_of(world, event.from) == node_of(world, event.to);

    event.at_ns = when_ns + (near ? world->set.near_ns : world->set.far_ns);
    model_queue_add(&world->queue, event);
}

/* ---- tasks ---------------------------------------------------------- */

struct model_task *model_new_task(struct model_world *world)
{
    const size_t chunk = world->nchildren / CHUNK;

    if (chunk == world->nchunks) {
        world->chunks =
            model_grow(world->chunks, ++world->nchunks, sizeof(*world->chunks));
        world->chunks[chunk] = model_zeroed(CHUNK, sizeof(struct model_task));
    }
    world->undecided++;
    world->result.tasks++;
    return &world->chunks[chunk][world->nchildren++ % CHUNK];
}

void model_decide(struct model_world *world, struct model_task *task, bool lost)
{
    world->result.twice += task->decided > 0;
    if (task->decided++ > 0)
        return;
    world->result.decided++;
    world->result.lost += lost;
    world->result.makespan_ns = world->now_ns;
    world->undecided--;
    if (task->orphan && --world->orphans == 0)
        world->result.recovery_ns = world->now_ns - world->last_death_ns;
}

static void make_tasks(struct model_world *world)
{
    const struct model_settings *set = &world->set;

    world->tasks = model_zeroed(set->tasks, sizeof(*world->tasks));
    for (uint64_t i = 0; i < set->tasks; i++) {
        model_load_task(&world->tasks[i], set->shape, set->seed, i,
                        set->mean_ns);
        world->tasks[i].origin = MODEL_RANK0;
    }
    world->undecided = world->result.tasks = set->tasks;
}

/* ---- engines -------------------------------------------------------- */

/* Two packages to a node, eight cores to a cache. */
static void seat_all(struct model_world *world)
{
    const struct model_settings *set = &world->set;
    struct ipmpi_seat *seats =
        model_zeroed((size_t)set->engines, sizeof(*seats));

    for (int i = 0; i < set->engines; i++) {
        const int at = i % set->per_node;

        seats[i] = (struct ipmpi_seat){(uint64_t)(i / set->per_node),
                                       2 * at / set->per_node, at / 8};
    }
    if (ipmpi_seating_create(seats, set->engines, &world->seating) != 0)
        abort();
    free(seats);
}

/* Half-way through, as far as the ideal goes, spread over a tenth of it. */
static void plan_deaths(struct model_world *world)
{
    const struct model_settings *set = &world->set;
    const int n = (int)(set->fail * set->engines);

    for (int i = 0; i < n; i++)
        model_queue_add(
            &world->queue,
            (struct model_event){.at_ns = world->result.ideal_ns / 2 +
                                          world->result.ideal_ns / 10 * i / n,
                                 .kind = MODEL_DEATH,
                                 .to = (int)((int64_t)i * set->engines / n)});
}

static void open_world(struct model_world *world)
{
    struct model_sum sum;

    model_load_sum(world->set.shape, world->set.seed, world->set.tasks,
                   world->set.mean_ns, &sum);
    world->result.ideal_ns = sum.work_ns / world->set.engines;
    if (sum.longest_ns > world->result.ideal_ns)
        world->result.ideal_ns = sum.longest_ns;
    make_tasks(world);
    seat_all(world);
    world->engines =
        model_zeroed((size_t)world->set.engines, sizeof(*world->engines));
    for (int i = 0; i < world->set.engines; i++)
        model_engine_open(world, i);
    model_rank0_open(world);
    plan_deaths(world);
}

static void close_world(struct model_world *world)
{
    for (int i = 0; i < world->set.engines; i++) {
        struct model_engine *engine = &world->engines[i];

        world->result.asked += engine->stealer.nasked;
        world->result.stolen += engine->stealer.ngot;
        model_engine_close(engine);
    }
    model_rank0_close(world);
    model_queue_clear(&world->queue);
    ipmpi_seating_destroy(&world->seating);
    for (size_t i = 0; i < world->nchunks; i++)
        free(world->chunks[i]);
    free(world->chunks);
    free(world->tasks);
    free(world->engines);
}

/* An engine's death is known to all at once: the messages that tell it are
 * counted at rank 0. */
static void all_hear(struct model_world *world, int dead)
{
    for (int i = 0; i < world->set.engines; i++) {
        struct model_event event = {.kind = MODEL_GONE, .to = i, .from = dead};

        if (!world->engines[i].dead)
            model_engine_event(&world->engines[i], &event);
    }
}

static void happen(struct model_world *world, struct model_event *event)
{
    if (event->kind == MODEL_GONE)
        all_hear(world, event->from);
    else if (event->kind >= MODEL_TURN && event->kind != MODEL_DEATH)
        model_rank0_event(world, event);
    else if (event->to == MODEL_RANK0)
        model_rank0_event(world, event);
    else if (!world->engines[event->to].dead)
        model_engine_event(&world->engines[event->to], event);
}

bool model_run(const struct model_settings *settings,
               struct model_result *result_out)
{
    struct model_world world = {.set = *settings};
    struct model_event event;

    open_world(&world);
    while (world.undecided > 0 && model_queue_next(&world.queue, &event)) {
        world.now_ns = event.at_ns;
        world.result.events++;
        happen(&world, &event);
        free(event.list);
    }
    close_world(&world);
    *result_out = world.result;
    return world.undecided == 0;
}

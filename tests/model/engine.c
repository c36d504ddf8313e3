/* A simulated engine: what runtime/engine's comm thread does with messages,
 * and a main thread for which a task is but a while.
 *
 * Invariant: a task is in the deque, in the line, in limbo, running, or on its
 *            way, and in no two of them. */
#include <stdlib.h>

#include "tests/model/world.h"

static void tell(struct model_engine *engine, int to, int kind,
                 struct model_task *task)
{
    model_send(
        engine->world, engine->world->now_ns,
        (struct model_event){
            .kind = kind, .to = to, .from = engine->number, .task = task});
}

/* ---- running -------------------------------------------------------- */

static void begin(struct model_engine *engine, struct model_task *task)
{
    struct model_world *world = engine->world;

    engine->running = task;
    world->result.again += task->begun++ > 0;
    task->held.started = true;
    if (task->origin == MODEL_RANK0)
        tell(engine, MODEL_RANK0, MODEL_BUSY, task);
    model_queue_add(&world->queue,
                    (struct model_event){.at_ns = world->now_ns +
                                                  world->set.overhead_ns +
                                                  task->work_ns,
                                         .kind = MODEL_ENDED,
                                         .to = engine->number,
                                         .task = task});
}

/* Takes the next task, or looks for one elsewhere. */
static void go_on(struct model_engine *engine)
{
    struct model_task *task;

    if (engine->running != NULL) {
        ipmpi_stealer_fed(&engine->stealer);
        return;
    }
    task = model_task_at(ipmpi_deque_take(&engine->line));
    if (task == NULL)
        task = model_task_at(ipmpi_deque_take(&engine->deque));
    if (task != NULL) {
        ipmpi_stealer_fed(&engine->stealer);
        begin(engine, task);
    } else if (engine->limbo.n == 0 && engine->world->set.steal) {
        ipmpi_stealer_dry(&engine->stealer);
    }
}

/* Its children run here first, unless somebody steals them. */
static void submit_children(struct model_engine *engine,
                            const struct model_task *parent)
{
    struct model_world *world = engine->world;
    const unsigned n = model_load_children(parent, world->set.shape);

    for (unsigned i = 0; i < n; i++) {
        struct model_task *child = model_new_task(world);

        model_load_child(child, parent, i);
        child->origin = engine->number;
        ipmpi_hold(&engine->holder, &child->held);
        ipmpi_deque_push_near(&engine->deque, &child->in_deque);
    }
    if (n > 1 && world->set.steal)
        ipmpi_stealer_surplus(&engine->stealer);
}

/* Children are accounted for by the engine that submitted them: rank 0 does
 * not hear of them. */
static void end(struct model_engine *engine, struct model_task *task)
{
    struct model_world *world = engine->world;

    engine->running = NULL;
    submit_children(engine, task);
    if (task->origin == MODEL_RANK0) {
        tell(engine, MODEL_RANK0, MODEL_REPLY, task);
    } else {
        ipmpi_release(&task->held);
        model_decide(world, task, false);
    }
    go_on(engine);
}

/* ---- what the stealer wants ----------------------------------------- */

static void ask(void *engine, int victim)
{
    tell(engine, victim, MODEL_STEAL, NULL);
}

static void refuse(void *engine, int thief)
{
    tell(engine, thief, MODEL_EMPTY, NULL);
}

static void wake(void *engine, int member)
{
    tell(engine, member, MODEL_WAKE, NULL);
}

static void quiet(void *engine)
{
    tell(engine, MODEL_RANK0, MODEL_HUNGRY, NULL);
}

/* The loot's tasks of one origin, as a message to it. */
static void report(struct model_engine *engine, const struct model_list *loot,
                   int origin, int thief)
{
    struct model_list *list = model_list_create(loot->n);

    for (size_t i = 0; i < loot->n; i++)
        if (loot->at[i]->origin == origin)
            list->at[list->n++] = loot->at[i];
    model_send(engine->world, engine->world->now_ns,
               (struct model_event){.kind = MODEL_HANDOVER,
                                    .to = origin,
                                    .from = engine->number,
                                    .detail = thief,
                                    .list = list});
}

static bool is_first_of_origin(const struct model_list *loot, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (loot->at[k]->origin == loot->at[i]->origin)
            return false;
    return true;
}

/* Tells the origins first, then sends. */
static size_t give(void *arg, int thief)
{
    struct model_engine *engine = arg;
    struct ipmpi_deque taken = {0};
    struct model_list *loot;
    struct model_task *task;
    size_t n;

    ipmpi_deque_steal_half(&engine->deque,
                           engine->running != NULL || engine->line.n > 0, NULL,
                           &taken);
    n = taken.n;
    if (n == 0)
        return 0;
    loot = model_list_create(n);
    while ((task = model_task_at(ipmpi_deque_take(&taken))) != NULL)
        loot->at[loot->n++] = task;
    for (size_t i = 0; i < n; i++)
        if (is_first_of_origin(loot, i))
            report(engine, loot, loot->at[i]->origin, thief);
    model_send(engine->world, engine->world->now_ns,
               (struct model_event){.kind = MODEL_LOOT,
                                    .to = thief,
                                    .from = engine->number,
                                    .list = loot});
    engine->world->result.thefts++;
    return n;
}

/* ---- thefts --------------------------------------------------------- */

static void settle(struct model_engine *engine, int verdict,
                   struct model_task *task)
{
    if (verdict < 0)
        abort(); /* out of memory */
    if (verdict == IPMPI_LIMBO_RUN)
        ipmpi_deque_push_far(&engine->deque, &task->in_deque);
}

static void take_loot(struct model_engine *engine, int victim,
                      const struct model_list *loot)
{
    for (size_t i = 0; i < loot->n; i++)
        settle(engine,
               ipmpi_limbo_arrived(&engine->limbo,
                                   (uint64_t)(uintptr_t)loot->at[i], victim,
                                   loot->at[i]),
               loot->at[i]);
    ipmpi_stealer_got(&engine->stealer, victim, loot->n);
}

static void take_grant(struct model_engine *engine, int victim,
                       const struct model_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const uint64_t ref = (uint64_t)(uintptr_t)list->at[i];
        void *what = NULL;
        int verdict =
            i < list->granted
                ? ipmpi_limbo_granted(&engine->limbo, ref, victim, &what)
                : ipmpi_limbo_refused(&engine->limbo, ref, victim, &what);

        settle(engine, verdict, what);
    }
}

/* As the origin of tasks that were submitted here: a victim hands some over. */
static void account(struct model_engine *engine, struct model_event *event)
{
    struct model_world *world = engine->world;
    struct model_list *list = event->list;

    list->granted = 0;
    for (size_t i = 0; i < list->n; i++)
        if (ipmpi_hand_over(&list->at[i]->held,
                            &world->engines[event->from].holder,
                            &world->engines[event->detail].holder) ==
            IPMPI_HANDOVER_GRANTED)
            list->granted++;
        else
            abort(); /* without deaths there is no reason */
    event->list = NULL;
    model_send(world, world->now_ns,
               (struct model_event){.kind = MODEL_GRANT,
                                    .to = event->detail,
                                    .from = engine->number,
                                    .detail = event->from,
                                    .list = list});
}

/* The victim is dead: what it had not sent will not come. */
static void hear_of_death(struct model_engine *engine, int dead)
{
    struct model_list *missing = NULL;
    uint64_t ref;
    void *what;

    while (ipmpi_limbo_orphan(&engine->limbo, dead, &ref, &what)) {
        if (what != NULL)
            continue;
        missing =
            missing == NULL
                ? model_list_create(1)
                : model_grow(missing, 1,
                             sizeof(*missing) +
                                 (missing->n + 1) * sizeof(missing->at[0]));
        missing->at[missing->n++] = (struct model_task *)(uintptr_t)ref;
    }
    if (missing != NULL)
        model_send(engine->world, engine->world->now_ns,
                   (struct model_event){.kind = MODEL_MISSING,
                                        .to = MODEL_RANK0,
                                        .from = engine->number,
                                        .list = missing});
    ipmpi_stealer_died(&engine->stealer, dead);
}

/* An order of rank 0. It hears of it in any case. */
static void give_to(struct model_engine *engine, int thief)
{
    if (give(engine, thief) == 0)
        model_send(engine->world, engine->world->now_ns,
                   (struct model_event){.kind = MODEL_HANDOVER,
                                        .to = MODEL_RANK0,
                                        .from = engine->number,
                                        .detail = thief,
                                        .list = model_list_create(0)});
}

/* ---- life ----------------------------------------------------------- */

void model_engine_open(struct model_world *world, int number)
{
    struct model_engine *engine = &world->engines[number];
    const struct ipmpi_steal_actions actions = {engine, ask,  refuse,
                                                give,   wake, quiet};

    *engine = (struct model_engine){.world = world, .number = number};
    ipmpi_stealer_init(&engine->stealer, &actions, world->seating, number,
                       (unsigned)number * 2654435761u + 1);
    engine->stealer.off = !world->set.steal;
}

void model_engine_close(struct model_engine *engine)
{
    void *what;

    while (ipmpi_limbo_take(&engine->limbo, &what))
        ;
}

static void die(struct model_engine *engine)
{
    struct model_world *world = engine->world;

    engine->dead = true;
    world->last_death_ns = world->now_ns;
    world->result.deaths++;
    model_queue_add(
        &world->queue,
        (struct model_event){.at_ns = world->now_ns + world->set.notice_ns,
                             .kind = MODEL_NOTICE,
                             .to = MODEL_RANK0,
                             .from = engine->number});
}

void model_engine_event(struct model_engine *engine, struct model_event *event)
{
    switch (event->kind) {
    case MODEL_WORK:
        if (event->detail != 0)
            ipmpi_stealer_hint(&engine->stealer);
        ipmpi_deque_push_far(event->task->movable ? &engine->deque
                                                  : &engine->line,
                             &event->task->in_deque);
        break;
    case MODEL_GRANT:
        take_grant(engine, event->detail, event->list);
        break;
    case MODEL_GIVE:
        give_to(engine, event->detail);
        break;
    case MODEL_STEAL:
        ipmpi_stealer_asked(&engine->stealer, event->from);
        return;
    case MODEL_EMPTY:
        ipmpi_stealer_refused(&engine->stealer, event->from);
        return;
    case MODEL_WAKE:
        ipmpi_stealer_woken(&engine->stealer, event->from);
        return;
    case MODEL_LOOT:
        take_loot(engine, event->from, event->list);
        break;
    case MODEL_HANDOVER:
        account(engine, event);
        return;
    case MODEL_ENDED:
        end(engine, event->task);
        return;
    case MODEL_DEATH:
        die(engine);
        return;
    case MODEL_GONE:
        hear_of_death(engine, event->from);
        return;
    default:
        abort();
    }
    go_on(engine);
}

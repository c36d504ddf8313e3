/* Rank 0: clients' tasks in, tasks to the engines with the fewest, its account
 * of who holds what, and orders to give where an engine has nothing. It does
 * as bridge/schedulers does, in virtual time.
 *
 * Invariant: an engine that lives, as far as rank 0 knows, is in the level
 *            that its number of tasks names. */
#include <stdlib.h>

#include <utlist.h>

#include "tests/model/world.h"

enum { VICTIMS_LOOKED_AT = 64 };

/* ---- levels --------------------------------------------------------- */

static int levels_of(const struct model_world *world)
{
    return world->set.prefetch + 2;
}

static void leave_level(struct model_world *world, struct model_engine *engine)
{
    if (engine->level >= 0)
        DL_DELETE(world->rank0.levels[engine->level], engine);
    engine->level = -1;
}

/* Its account has changed: to the end of the level that fits. */
static void enter_level(struct model_world *world, struct model_engine *engine)
{
    const int most = levels_of(world) - 1;

    leave_level(world, engine);
    if (engine->holder.gone)
        return;
    engine->level =
        engine->holder.n > (size_t)most ? most : (int)engine->holder.n;
    DL_APPEND(world->rank0.levels[engine->level], engine);
}

/* ---- messages out --------------------------------------------------- */

static void tell(struct model_world *world, struct model_event event)
{
    world->rank0.now_ns += world->set.rank0_ns;
    world->result.rank0_out++;
    event.from = MODEL_RANK0;
    model_send(world, world->rank0.now_ns, event);
}

/* Whether more waits than runs: then a search is worth it. */
static int more_flag(struct model_world *world, struct model_engine *engine)
{
    if (!world->set.steal || world->rank0.ready.n == 0)
        return 0;
    engine->hinted = true;
    return 1;
}

static void give_out(struct model_world *world, struct model_engine *engine,
                     struct model_task *task)
{
    ipmpi_hold(&engine->holder, &task->held);
    enter_level(world, engine);
    engine->emptied = false;
    tell(world, (struct model_event){.kind = MODEL_WORK,
                                     .to = engine->number,
                                     .detail = more_flag(world, engine),
                                     .task = task});
}

/* To those with the fewest tasks, as long as one has room. */
static void feed(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;
    int level = 0;

    while (r->ready.n > 0 && level <= world->set.prefetch) {
        if (r->levels[level] == NULL)
            level++;
        else
            give_out(world, r->levels[level],
                     model_task_at(ipmpi_deque_take(&r->ready)));
    }
}

/* ---- orders --------------------------------------------------------- */

static struct model_engine *choose_victim(const struct model_world *world,
                                          const struct model_engine *thief)
{
    int looked = 0;

    for (int level = levels_of(world) - 1; level > 1; level--) {
        struct model_engine *engine;

        DL_FOREACH (world->rank0.levels[level], engine) {
            if (engine != thief && !engine->emptied)
                return engine;
            if (++looked > VICTIMS_LOOKED_AT)
                return NULL;
        }
    }
    return NULL;
}

static void order(struct model_world *world, struct model_engine *thief)
{
    struct model_engine *victim;

    if (!world->set.steal || thief->holder.n > 0 || thief->holder.gone ||
        thief->hinted || thief->giver >= 0)
        return;
    victim = choose_victim(world, thief);
    if (victim == NULL)
        return;
    thief->giver = victim->number;
    tell(world, (struct model_event){.kind = MODEL_GIVE,
                                     .to = victim->number,
                                     .detail = thief->number});
}

/* ---- messages in ---------------------------------------------------- */

static void on_reply(struct model_world *world, struct model_event *event)
{
    struct model_engine *engine = &world->engines[event->from];

    if (event->task->held.holder != &engine->holder)
        return; /* decided before, or given to another */
    ipmpi_release(&event->task->held);
    enter_level(world, engine);
    world->rank0.now_ns += world->set.client_ns;
    model_decide(world, event->task, false);
    feed(world);
    order(world, engine);
}

/* Tasks that nobody has any more are given out first. */
static void give_again(struct model_world *world, struct model_task *task)
{
    ipmpi_deque_push_near(&world->rank0.ready, &task->in_deque);
}

/* Grants first, refusals behind them. */
static void move_all(struct model_world *world, struct model_list *list,
                     struct model_engine *victim, struct model_engine *thief)
{
    for (size_t i = 0; i < list->n; i++) {
        struct model_task *task = list->at[i];
        const enum ipmpi_handover verdict =
            ipmpi_hand_over(&task->held, &victim->holder, &thief->holder);

        if (verdict == IPMPI_HANDOVER_BACK)
            give_again(world, task);
        if (verdict != IPMPI_HANDOVER_GRANTED)
            continue;
        list->at[i] = list->at[list->granted];
        list->at[list->granted++] = task;
    }
}

static void on_handover(struct model_world *world, struct model_event *event)
{
    struct model_engine *victim = &world->engines[event->from];
    struct model_engine *thief = &world->engines[event->detail];
    struct model_list *list = event->list;

    if (thief->giver == victim->number)
        thief->giver = -1;
    if (list->n == 0) {
        victim->emptied = true;
        order(world, thief);
        return;
    }
    list->granted = 0;
    move_all(world, list, victim, thief);
    enter_level(world, victim);
    enter_level(world, thief);
    event->list = NULL;
    thief->hinted = true;
    tell(world, (struct model_event){.kind = MODEL_GRANT,
                                     .to = thief->number,
                                     .detail = victim->number,
                                     .list = list});
    feed(world);
}

static void on_hungry(struct model_world *world, struct model_event *event)
{
    struct model_engine *engine = &world->engines[event->from];

    engine->hinted = false;
    order(world, engine);
}

/* They were granted, and their victim died before it had sent them. */
static void on_missing(struct model_world *world, struct model_event *event)
{
    struct model_engine *engine = &world->engines[event->from];

    for (size_t i = 0; i < event->list->n; i++) {
        struct model_task *task = event->list->at[i];

        if (task->held.holder != &engine->holder)
            continue;
        ipmpi_release(&task->held);
        give_again(world, task);
    }
    enter_level(world, engine);
    feed(world);
}

/* An engine is gone: all others are told before what it had goes elsewhere. */
static void on_notice(struct model_world *world, struct model_event *event)
{
    struct model_engine *engine = &world->engines[event->from];
    const int living = world->set.engines - (int)world->result.deaths;

    if (world->set.steal) {
        world->rank0.now_ns += living * world->set.rank0_ns;
        world->result.rank0_out += (uint64_t)living;
        model_send(world, world->rank0.now_ns,
                   (struct model_event){.kind = MODEL_GONE,
                                        .to = MODEL_RANK0,
                                        .from = engine->number});
    }
    ipmpi_seating_leave(world->seating, engine->number);
    engine->holder.gone = true;
    leave_level(world, engine);
    while (engine->holder.first != NULL) {
        struct model_task *task = model_task_held(engine->holder.first);

        ipmpi_release(&task->held);
        world->orphans += !task->orphan;
        task->orphan = true;
        give_again(world, task);
    }
    for (int i = 0; i < world->set.engines; i++)
        if (world->engines[i].giver == engine->number)
            world->engines[i].giver = -1;
    feed(world);
}

/* ---- turns ---------------------------------------------------------- */

static void take_from_client(struct model_world *world)
{
    struct model_task *task = &world->tasks[world->rank0.submitted++];

    world->rank0.now_ns += world->set.client_ns;
    ipmpi_deque_push_far(&world->rank0.ready, &task->in_deque);
    feed(world);
}

static void handle(struct model_world *world, struct model_event *event)
{
    static void (*const handlers[])(struct model_world *,
                                    struct model_event *) = {
        [MODEL_REPLY] = on_reply,   [MODEL_HANDOVER] = on_handover,
        [MODEL_HUNGRY] = on_hungry, [MODEL_MISSING] = on_missing,
        [MODEL_NOTICE] = on_notice,
    };

    world->rank0.now_ns += world->set.rank0_ns;
    world->result.rank0_in++;
    handlers[event->kind](world, event);
    free(event->list);
}

static bool client_waits(const struct model_world *world)
{
    return world->rank0.submitted < world->set.tasks;
}

static void next_turn(struct model_world *world, int64_t when_ns)
{
    world->rank0.serving = true;
    model_queue_add(&world->queue, (struct model_event){.at_ns = when_ns,
                                                        .kind = MODEL_TURN,
                                                        .to = MODEL_RANK0});
}

/* Clients and engines take turns. */
static void turn(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;

    r->now_ns = world->now_ns;
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

void model_rank0_open(struct model_world *world)
{
    world->rank0.levels =
        model_zeroed((size_t)levels_of(world), sizeof(*world->rank0.levels));
    for (int i = 0; i < world->set.engines; i++)
        enter_level(world, &world->engines[i]);
    next_turn(world, 0);
}

void model_rank0_close(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;

    for (size_t i = 0; i < r->n; i++)
        free(r->inbox[(r->first + i) % r->cap].list);
    free(r->inbox);
    free(r->levels);
}

/* What the stealer (runtime/tasks/) wants and hears; the life of a theft is in
 * theft_victim.c and theft_thief.c.
 *
 * Invariant: work is in the queue, in limbo, on its way after a HANDOVER that
 *            names it, or gone: in two of them never. */
#include "runtime/engine/theft.h"

#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/engine/children_account.h"
#include "runtime/engine/state.h"
#include "runtime/engine/theft_message.h"
#include "runtime/engine/theft_thief.h"
#include "runtime/engine/theft_victim.h"

/* An engine's comm thread answers at once, unless the whole engine was stopped
 * or its node has no time for it. Then others are asked. */
enum { ANSWER_US = 500 * 1000 };

/* ---- what the stealer wants (struct ipmpi_steal_actions) ------------ */

static void ask(void *arg, int victim)
{
    struct ipmpi_engine *engine = arg;
    const struct ipmpi_msg_head head = ipmpi_theft_head(
        IPMPI_MSG_STEAL, ipmpi_queue_is_helping(engine->queue));

    engine->theft.answer_by_us = ipmpi_clock_now_us() + ANSWER_US;
    ipmpi_theft_say(engine, ipmpi_theft_rank_of(victim), &head, NULL, NULL);
}

static void refuse(void *engine, int thief)
{
    ipmpi_theft_say_plain(engine, ipmpi_theft_rank_of(thief), IPMPI_MSG_EMPTY);
}

static size_t give(void *engine, int thief)
{
    return ipmpi_theft_yield(engine, ipmpi_theft_rank_of(thief));
}

static void wake(void *engine, int member)
{
    ipmpi_theft_say_plain(engine, ipmpi_theft_rank_of(member), IPMPI_MSG_WAKE);
}

static void quiet(void *arg)
{
    struct ipmpi_engine *engine = arg;

    atomic_store(&engine->theft.watches_dryness, false);
    ipmpi_theft_say_plain(engine, 0, IPMPI_MSG_HUNGRY);
}

/* ---- life ----------------------------------------------------------- */

/* Hosts differ in their boot id; containers of one host do not. */
static uint64_t hash(const char *text, size_t cap)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (size_t i = 0; i < cap && text[i] != '\0'; i++)
        h = (h ^ (uint8_t)text[i]) * UINT64_C(1099511628211);
    return h;
}

static int seat_all(struct ipmpi_engine *engine)
{
    const int n = ipmpi_comm_size(engine->comm) - 1;
    struct ipmpi_seat *seats = calloc((size_t)n, sizeof(*seats));
    int err;

    if (seats == NULL)
        return IPMPI_ENOMEM;
    for (int i = 0; i < n; i++) {
        const struct ipmpi_bell_address *address =
            ipmpi_comm_address(engine->comm, ipmpi_theft_rank_of(i));
        const struct ipmpi_comm_spot spot =
            ipmpi_comm_spot_of(engine->comm, ipmpi_theft_rank_of(i));

        seats[i] =
            (struct ipmpi_seat){hash(address->boot, sizeof(address->boot)),
                                spot.package, spot.cache};
    }
    err = ipmpi_seating_create(seats, n, &engine->theft.seating);
    free(seats);
    return err;
}

int ipmpi_theft_open(struct ipmpi_engine *engine)
{
    const struct ipmpi_steal_actions actions = {engine, ask,  refuse,
                                                give,   wake, quiet};
    const int self = ipmpi_theft_member_of(ipmpi_comm_rank(engine->comm));
    int err = seat_all(engine);

    if (err != 0)
        return err;
    ipmpi_stealer_init(&engine->theft.stealer, &actions, engine->theft.seating,
                       self, (unsigned)self * 2654435761u + 1);
    engine->theft.stealer.off = true;
    return 0;
}

void ipmpi_theft_on(struct ipmpi_engine *engine)
{
    engine->theft.stealer.off = false;
}

void ipmpi_theft_off(struct ipmpi_engine *engine)
{
    engine->theft.stealer.off = true;
}

void ipmpi_theft_clear(struct ipmpi_theft *theft)
{
    void *what;

    while (ipmpi_limbo_take(&theft->limbo, &what)) {
        struct ipmpi_work *work = what;

        ipmpi_work_destroy(&work);
    }
    ipmpi_seating_destroy(&theft->seating);
}

static void watch_the_clock(struct ipmpi_theft *theft)
{
    if (theft->stealer.asked < 0)
        theft->answer_by_us = 0;
    else if (ipmpi_clock_now_us() >= theft->answer_by_us)
        ipmpi_stealer_stalled(&theft->stealer);
}

void ipmpi_theft_turn(struct ipmpi_engine *engine)
{
    struct ipmpi_theft *theft = &engine->theft;

    watch_the_clock(theft);
    if (theft->limbo.n == 0 && ipmpi_queue_is_dry(engine->queue))
        ipmpi_stealer_dry(&theft->stealer);
    else
        ipmpi_stealer_fed(&theft->stealer);
    if (theft->stealer.lifelines.n > 0 &&
        ipmpi_queue_has_children(engine->queue))
        ipmpi_stealer_surplus(&theft->stealer);
    atomic_store(&theft->has_lifelines, theft->stealer.lifelines.n > 0);
}

void ipmpi_theft_hint(struct ipmpi_engine *engine)
{
    ipmpi_stealer_hint(&engine->theft.stealer);
    atomic_store(&engine->theft.watches_dryness, true);
}

void ipmpi_theft_has_surplus(struct ipmpi_engine *engine)
{
    if (atomic_load(&engine->theft.has_lifelines))
        ipmpi_outbox_ring(engine->outbox);
}

/* ---- messages in ---------------------------------------------------- */

int ipmpi_theft_gone(struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_theft *theft = &engine->theft;
    const int rank = head->detail;

    if (rank < 1 || rank > ipmpi_seating_size(theft->seating) ||
        rank == ipmpi_comm_rank(engine->comm))
        return IPMPI_EINVAL;
    ipmpi_comm_mark_dead(engine->comm, rank);
    ipmpi_theft_orphan(engine, rank);
    ipmpi_children_gone(engine, rank, frames->n > 1 ? &frames->at[1] : NULL);
    ipmpi_stealer_died(&theft->stealer, ipmpi_theft_member_of(rank));
    return 0;
}

/* What thieves and victims say of children. */
static int about_children(struct ipmpi_engine *engine, int source,
                          const struct ipmpi_msg_head *head,
                          struct ipmpi_frames *frames)
{
    if (head->type == IPMPI_MSG_CHILD_STARTED)
        return ipmpi_children_started(engine, source, head->ref);
    if (head->type == IPMPI_MSG_CHILD_DONE)
        return ipmpi_children_done(engine, source, head, frames);
    if (frames->n < 2 || frames->at[1].len % sizeof(uint64_t) != 0)
        return IPMPI_EFRAME;
    if (head->type == IPMPI_MSG_MISSING)
        return ipmpi_children_missing(engine, source, &frames->at[1]);
    if (head->detail < 1 ||
        head->detail > ipmpi_seating_size(engine->theft.seating))
        return IPMPI_EINVAL;
    return ipmpi_children_handover(engine, source, head->detail,
                                   &frames->at[1]);
}

int ipmpi_theft_from_peer(struct ipmpi_engine *engine, int source,
                          const struct ipmpi_msg_head *head,
                          struct ipmpi_frames *frames)
{
    struct ipmpi_theft *theft = &engine->theft;
    struct ipmpi_stealer *stealer = &theft->stealer;

    switch ((int)head->type) {
    case IPMPI_MSG_STEAL:
        theft->children_only = head->detail != 0;
        ipmpi_stealer_asked(stealer, ipmpi_theft_member_of(source));
        return 0;
    case IPMPI_MSG_EMPTY:
        ipmpi_stealer_refused(stealer, ipmpi_theft_member_of(source));
        return 0;
    case IPMPI_MSG_WAKE:
        atomic_store(&theft->watches_dryness, true);
        ipmpi_stealer_woken(stealer, ipmpi_theft_member_of(source));
        return 0;
    case IPMPI_MSG_LOOT:
        return ipmpi_theft_loot(engine, source, head, frames);
    case IPMPI_MSG_GRANT:
        return ipmpi_theft_grant(engine, head, frames);
    case IPMPI_MSG_HANDOVER:
    case IPMPI_MSG_MISSING:
    case IPMPI_MSG_CHILD_STARTED:
    case IPMPI_MSG_CHILD_DONE:
        return about_children(engine, source, head, frames);
    default:
        return IPMPI_EINVAL;
    }
}

/* Thief and victim.
 *
 * Invariant: work is in the queue, in limbo, on its way after a HANDOVER that
 *            names it, or gone: in two of them never.
 *
 * Members of the seating are numbered from 0, ranks of the world from 1. */
#include "runtime/engine/theft.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/engine/state.h"

static int rank_of(int member)
{
    return member + 1;
}

static int member_of(int rank)
{
    return rank - 1;
}

/* ---- messages out --------------------------------------------------- */

/* A list of refs that grows while a message is prepared. */
struct refs {
    uint64_t *at;
    size_t n, cap;
};

/* Note [cannot send] in sender.c: what cannot be said for want of memory must
 * not be lost in silence. */
static _Noreturn void leave_without_memory(void)
{
    ipmpi_log_error("ENGINE-SEND", "out of memory in a theft; leaving");
    _exit(71);
}

static void add_ref(struct refs *refs, uint64_t ref)
{
    if (refs->n == refs->cap) {
        refs->cap = refs->cap > 0 ? 2 * refs->cap : 64;
        refs->at = reallocarray(refs->at, refs->cap, sizeof(ref));
        if (refs->at == NULL)
            leave_without_memory();
    }
    refs->at[refs->n++] = ref;
}

/* Sends head, `refs` (may be NULL) and the frames of `more` from the first on
 * (may be NULL). A dead rank is no error: its account is with rank 0. */
static void say(struct ipmpi_engine *engine, int rank,
                const struct ipmpi_msg_head *head, const struct refs *refs,
                const struct ipmpi_frames *more)
{
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_copy(&out, head, sizeof(*head));

    if (err == 0 && refs != NULL)
        err = ipmpi_frames_add_copy(&out, refs->at,
                                    refs->n * sizeof(refs->at[0]));
    if (err == 0 && more != NULL)
        err = ipmpi_frames_add_from(&out, more, 1, more->n - 1);
    if (err != 0 || ipmpi_comm_send(engine->comm, rank, &out) == IPMPI_ENOMEM)
        leave_without_memory();
}

static struct ipmpi_msg_head head_of(int type, int detail)
{
    return (struct ipmpi_msg_head){.version = IPMPI_PROTOCOL_VERSION,
                                   .type = (uint16_t)type,
                                   .detail = detail};
}

static void say_plain(struct ipmpi_engine *engine, int rank, int type)
{
    const struct ipmpi_msg_head head = head_of(type, 0);

    say(engine, rank, &head, NULL, NULL);
}

static struct ipmpi_frame as_frame(const struct refs *refs)
{
    return (struct ipmpi_frame){(const uint8_t *)refs->at,
                                refs->n * sizeof(refs->at[0]), NULL};
}

/* Reports those of the list whose origin this is. */
static void report_to(struct ipmpi_engine *engine, int origin,
                      const struct ipmpi_work *list, int thief_rank)
{
    const struct ipmpi_msg_head handover =
        head_of(IPMPI_MSG_HANDOVER, thief_rank);
    struct refs refs = {0};
    struct ipmpi_frame frame;

    for (const struct ipmpi_work *w = list; w != NULL; w = w->next)
        if (ipmpi_children_origin(engine, w->ref) == origin)
            add_ref(&refs, w->ref);
    frame = as_frame(&refs);
    if (origin != ipmpi_comm_rank(engine->comm))
        say(engine, origin, &handover, &refs, NULL);
    else if (ipmpi_children_handover(engine, origin, thief_rank, &frame) != 0)
        leave_without_memory();
    free(refs.at);
}

static bool is_first_of_origin(const struct ipmpi_engine *engine,
                               const struct ipmpi_work *list,
                               const struct ipmpi_work *work)
{
    const int origin = ipmpi_children_origin(engine, work->ref);

    while (ipmpi_children_origin(engine, list->ref) != origin)
        list = list->next;
    return list == work;
}

/* Tells the origins first, then sends: note [theft]. */
static void hand_over(struct ipmpi_engine *engine, struct ipmpi_work **list,
                      int thief_rank)
{
    if (*list == NULL) /* rank 0 waits for an answer to its order */
        report_to(engine, 0, NULL, thief_rank);
    for (const struct ipmpi_work *w = *list; w != NULL; w = w->next)
        if (is_first_of_origin(engine, *list, w))
            report_to(engine, ipmpi_children_origin(engine, w->ref), *list,
                      thief_rank);
    for (const struct ipmpi_work *w = *list; w != NULL && thief_rank > 0;
         w = w->next) {
        struct ipmpi_msg_head loot = head_of(IPMPI_MSG_LOOT, w->naborts);

        loot.ref = w->ref;
        loot.kind = w->kind;
        loot.flags = w->flags;
        say(engine, thief_rank, &loot, NULL, &w->frames);
    }
    ipmpi_work_destroy(list);
}

/* ---- what the stealer wants (struct ipmpi_steal_actions) ------------ */

static void ask(void *arg, int victim)
{
    struct ipmpi_engine *engine = arg;
    const struct ipmpi_msg_head head =
        head_of(IPMPI_MSG_STEAL, ipmpi_queue_is_helping(engine->queue));

    say(engine, rank_of(victim), &head, NULL, NULL);
}

static void refuse(void *engine, int thief)
{
    say_plain(engine, rank_of(thief), IPMPI_MSG_EMPTY);
}

/* After its LEAVING rank 0 hears nothing of an engine, so then it keeps all. */
static struct ipmpi_work *take_half(struct ipmpi_engine *engine)
{
    if (engine->theft.stealer.off || atomic_load(&engine->leaving))
        return NULL;
    return ipmpi_queue_steal(engine->queue, engine->theft.children_only);
}

static size_t give(void *arg, int thief)
{
    struct ipmpi_engine *engine = arg;
    struct ipmpi_work *list = take_half(engine);
    size_t n = 0;

    for (const struct ipmpi_work *w = list; w != NULL; w = w->next)
        n++;
    if (n > 0)
        hand_over(engine, &list, rank_of(thief));
    return n;
}

static void wake(void *engine, int member)
{
    say_plain(engine, rank_of(member), IPMPI_MSG_WAKE);
}

static void quiet(void *arg)
{
    struct ipmpi_engine *engine = arg;

    atomic_store(&engine->theft.watches_dryness, false);
    say_plain(engine, 0, IPMPI_MSG_HUNGRY);
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
            ipmpi_comm_address(engine->comm, rank_of(i));
        const struct ipmpi_comm_spot spot =
            ipmpi_comm_spot_of(engine->comm, rank_of(i));

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
    const int self = member_of(ipmpi_comm_rank(engine->comm));
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

void ipmpi_theft_turn(struct ipmpi_engine *engine)
{
    struct ipmpi_theft *theft = &engine->theft;

    if (theft->limbo.n == 0 && ipmpi_queue_is_dry(engine->queue))
        ipmpi_stealer_dry(&theft->stealer);
    else
        ipmpi_stealer_fed(&theft->stealer);
    if (theft->stealer.lifelines.n > 0 &&
        ipmpi_queue_has_children(engine->queue))
        ipmpi_stealer_surplus(&theft->stealer);
    atomic_store(&theft->has_lifelines, theft->stealer.lifelines.n > 0);
}

void ipmpi_theft_has_surplus(struct ipmpi_engine *engine)
{
    if (atomic_load(&engine->theft.has_lifelines))
        ipmpi_outbox_ring(engine->outbox);
}

void ipmpi_theft_hint(struct ipmpi_engine *engine)
{
    ipmpi_stealer_hint(&engine->theft.stealer);
    atomic_store(&engine->theft.watches_dryness, true);
}

/* ---- the thief's side ----------------------------------------------- */

/* What became of a task in limbo. */
static int settle(struct ipmpi_engine *engine, int verdict,
                  struct ipmpi_work *work)
{
    switch (verdict) {
    case IPMPI_LIMBO_RUN:
        ipmpi_queue_push(engine->queue, &work);
        ipmpi_engine_wake(engine);
        ipmpi_children_stir(engine);
        return 0;
    case IPMPI_LIMBO_ABORT:
        return ipmpi_engine_answer_aborted(engine, &work);
    case IPMPI_LIMBO_DROP:
        ipmpi_work_destroy(&work);
        return 0;
    case IPMPI_LIMBO_WAIT:
        return 0;
    default:
        return verdict; /* an error */
    }
}

/* Granted tasks that will not come: their origins give them out again. */
static void report_missing(struct ipmpi_engine *engine, uint64_t ref)
{
    const struct ipmpi_msg_head head = head_of(IPMPI_MSG_MISSING, 0);
    const int origin = ipmpi_children_origin(engine, ref);
    const struct refs refs = {&ref, 1, 1};
    const struct ipmpi_frame frame = as_frame(&refs);

    if (origin == ipmpi_comm_rank(engine->comm))
        ipmpi_children_missing(engine, origin, &frame);
    else
        say(engine, origin, &head, &refs, NULL);
}

static int take_loot(struct ipmpi_engine *engine, int source,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_theft *theft = &engine->theft;
    struct ipmpi_work *work;
    int verdict, err = ipmpi_engine_make_work(head, frames, &work);

    if (err != 0)
        return err;
    verdict = ipmpi_limbo_arrived(&theft->limbo, work->ref, source, work);
    ipmpi_stealer_got(&theft->stealer, member_of(source), 1);
    atomic_store(&theft->watches_dryness, true);
    if (verdict < 0)
        leave_without_memory();
    return settle(engine, verdict, work);
}

/* The refs of frame `i`; NULL: it has none, or is not whole. */
static const uint64_t *refs_at(const struct ipmpi_frames *frames, size_t i,
                               size_t *n_out)
{
    *n_out = 0;
    if (i >= frames->n || frames->at[i].len % sizeof(uint64_t) != 0)
        return NULL;
    *n_out = frames->at[i].len / sizeof(uint64_t);
    return (const uint64_t *)(const void *)frames->at[i].data;
}

typedef int limbo_fn(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
                     void **what_out);

static int settle_all(struct ipmpi_engine *engine, int victim,
                      const struct ipmpi_frames *frames, size_t i, limbo_fn *fn)
{
    size_t n;
    const uint64_t *refs = refs_at(frames, i, &n);
    int err = 0;

    for (size_t k = 0; k < n && err == 0; k++) {
        void *work = NULL;
        uint64_t ref;
        int verdict;

        memcpy(&ref, &refs[k], sizeof(ref));
        verdict = fn(&engine->theft.limbo, ref, victim, &work);
        if (verdict < 0)
            leave_without_memory();
        err = settle(engine, verdict, work);
    }
    return err;
}

int ipmpi_theft_grant(struct ipmpi_engine *engine,
                      const struct ipmpi_msg_head *head,
                      struct ipmpi_frames *frames)
{
    int err;

    if (frames->n < 3)
        return IPMPI_EFRAME;
    err = settle_all(engine, head->detail, frames, 1, ipmpi_limbo_granted);
    if (err == 0)
        err = settle_all(engine, head->detail, frames, 2, ipmpi_limbo_refused);
    return err;
}

void ipmpi_theft_withdraw(struct ipmpi_engine *engine, const uint64_t *refs,
                          size_t n)
{
    for (size_t i = 0; i < n; i++)
        ipmpi_limbo_withdraw(&engine->theft.limbo, refs[i]);
}

/* ---- the dead ------------------------------------------------------- */

/* Whose origin is a rank. */
struct of_origin {
    const struct ipmpi_engine *engine;
    int rank;
};

static bool ref_is_of(uint64_t ref, const void *ctx)
{
    const struct of_origin *origin = ctx;

    return ipmpi_children_origin(origin->engine, ref) == origin->rank;
}

static bool work_is_of(const struct ipmpi_work *work, const void *ctx)
{
    return ref_is_of(work->ref, ctx);
}

/* Nobody waits for the children of the dead. */
static void drop_orphans(struct ipmpi_engine *engine, int rank)
{
    const struct of_origin origin = {engine, rank};
    struct ipmpi_work *list =
        ipmpi_queue_remove_if(engine->queue, work_is_of, &origin);
    void *what;

    ipmpi_work_destroy(&list);
    while (
        ipmpi_limbo_take_if(&engine->theft.limbo, ref_is_of, &origin, &what)) {
        list = what;
        ipmpi_work_destroy(&list);
    }
}

int ipmpi_theft_gone(struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_theft *theft = &engine->theft;
    const int rank = head->detail;
    uint64_t ref;
    void *what;

    if (rank < 1 || rank > ipmpi_seating_size(theft->seating) ||
        rank == ipmpi_comm_rank(engine->comm))
        return IPMPI_EINVAL;
    ipmpi_comm_mark_dead(engine->comm, rank);
    drop_orphans(engine, rank);
    while (ipmpi_limbo_orphan(&theft->limbo, rank, &ref, &what)) {
        struct ipmpi_work *work = what;

        if (work == NULL)
            report_missing(engine, ref);
        ipmpi_work_destroy(&work);
    }
    ipmpi_children_gone(engine, rank, frames->n > 1 ? &frames->at[1] : NULL);
    ipmpi_stealer_died(&theft->stealer, member_of(rank));
    return 0;
}

/* ---- orders and questions ------------------------------------------- */

/* Children are no business of rank 0's. */
static void keep_children(struct ipmpi_engine *engine, struct ipmpi_work **list)
{
    struct ipmpi_work **at = list, *work;

    while ((work = *at) != NULL) {
        if (work->kind != IPMPI_WORK_CHILD) {
            at = &work->next;
            continue;
        }
        *at = work->next;
        ipmpi_queue_push(engine->queue, &work);
    }
}

int ipmpi_theft_give(struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_work *list;

    (void)frames;
    if (head->detail < 0 ||
        head->detail > ipmpi_seating_size(engine->theft.seating))
        return IPMPI_EINVAL;
    engine->theft.children_only = false;
    list = take_half(engine);
    keep_children(engine, &list);
    hand_over(engine, &list, head->detail);
    return 0;
}

void ipmpi_theft_answer(struct ipmpi_engine *engine, int thief, int victim,
                        const uint64_t *granted, size_t ngranted,
                        const uint64_t *refused, size_t nrefused)
{
    const struct ipmpi_msg_head head = head_of(IPMPI_MSG_GRANT, victim);
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_copy(&out, &head, sizeof(head));

    if (err == 0)
        err = ipmpi_frames_add_copy(&out, granted, ngranted * sizeof(*granted));
    if (err == 0)
        err = ipmpi_frames_add_copy(&out, refused, nrefused * sizeof(*refused));
    if (err == 0 && thief == ipmpi_comm_rank(engine->comm))
        err = ipmpi_theft_grant(engine, &head, &out);
    else if (err == 0)
        err = ipmpi_comm_send(engine->comm, thief, &out);
    ipmpi_frames_clear(&out);
    if (err == IPMPI_ENOMEM)
        leave_without_memory();
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
        ipmpi_stealer_asked(stealer, member_of(source));
        return 0;
    case IPMPI_MSG_EMPTY:
        ipmpi_stealer_refused(stealer, member_of(source));
        return 0;
    case IPMPI_MSG_WAKE:
        atomic_store(&theft->watches_dryness, true);
        ipmpi_stealer_woken(stealer, member_of(source));
        return 0;
    case IPMPI_MSG_LOOT:
        return take_loot(engine, source, head, frames);
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

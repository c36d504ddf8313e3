/* The thief: what it does with what comes.
 *
 * Invariant: a task runs here when both halves have come, itself from the
 *            victim and the grant from its origin; until then it is in limbo.
 */
#include "runtime/engine/theft_thief.h"

#include <string.h>

#include "runtime/base/error.h"
#include "runtime/engine/children_account.h"
#include "runtime/engine/state.h"
#include "runtime/engine/theft_message.h"

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
    const struct ipmpi_msg_head head = ipmpi_theft_head(IPMPI_MSG_MISSING, 0);
    const int origin = ipmpi_children_origin(engine, ref);
    const struct ipmpi_refs refs = {&ref, 1, 1};
    const struct ipmpi_frame frame = ipmpi_refs_frame(&refs);

    if (origin == ipmpi_comm_rank(engine->comm))
        ipmpi_children_missing(engine, origin, &frame);
    else
        ipmpi_theft_say(engine, origin, &head, &refs, NULL);
}

int ipmpi_theft_loot(struct ipmpi_engine *engine, int source,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_theft *theft = &engine->theft;
    struct ipmpi_work *work;
    int verdict, err = ipmpi_engine_make_work(head, frames, &work);

    if (err != 0)
        return err;
    verdict = ipmpi_limbo_arrived(&theft->limbo, work->ref, source, work);
    ipmpi_stealer_got(&theft->stealer, ipmpi_theft_member_of(source), 1);
    atomic_store(&theft->watches_dryness, true);
    if (verdict < 0)
        ipmpi_theft_no_memory();
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
            ipmpi_theft_no_memory();
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

void ipmpi_theft_orphan(struct ipmpi_engine *engine, int rank)
{
    uint64_t ref;
    void *what;

    drop_orphans(engine, rank);
    while (ipmpi_limbo_orphan(&engine->theft.limbo, rank, &ref, &what)) {
        struct ipmpi_work *work = what;

        if (work == NULL)
            report_missing(engine, ref);
        ipmpi_work_destroy(&work);
    }
}

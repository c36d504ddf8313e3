/* The parcels that are here, and the work that waits for one.
 *
 * Invariant: the first of the held waits for a parcel that is not here.
 */
#include "runtime/engine/parcels.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/segment.h"
#include "runtime/engine/parcel_body.h"
#include "runtime/engine/state.h"

enum { AT_LEGS = 1, AT_BODY = 2 };

struct ipmpi_parcel {
    struct ipmpi_parcel *next;
    uint64_t number;
    bool kept;                    /* until DROP: it is in a segment of ours */
    struct ipmpi_frames body;     /* what work gets */
    struct ipmpi_frames data, at; /* kept: what is passed on */
};

/* A PASS that came before its parcel. */
struct ipmpi_pass {
    struct ipmpi_pass *next;
    uint64_t number;
    struct ipmpi_frames frames; /* of the message */
};

static void destroy(struct ipmpi_parcel **parcel)
{
    struct ipmpi_parcel *p = *parcel;

    *parcel = NULL;
    if (p == NULL)
        return;
    ipmpi_frames_clear(&p->body);
    ipmpi_frames_clear(&p->data);
    ipmpi_frames_clear(&p->at);
    free(p);
}

static void free_pass(struct ipmpi_pass **at)
{
    struct ipmpi_pass *pass = *at;

    *at = pass->next;
    ipmpi_frames_clear(&pass->frames);
    free(pass);
}

void ipmpi_parcels_clear(struct ipmpi_parcels *parcels)
{
    struct ipmpi_parcel *parcel;

    while ((parcel = parcels->first) != NULL) {
        parcels->first = parcel->next;
        destroy(&parcel);
    }
    while (parcels->passes != NULL)
        free_pass(&parcels->passes);
    ipmpi_work_destroy(&parcels->held);
}

/* Where the pointer to a parcel is; to NULL: it is not here. */
static struct ipmpi_parcel **find(struct ipmpi_parcels *parcels,
                                  uint64_t number)
{
    struct ipmpi_parcel **at = &parcels->first;

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static void forget(struct ipmpi_parcel **at)
{
    struct ipmpi_parcel *parcel = *at;

    *at = parcel->next;
    destroy(&parcel);
}

static bool is_news(struct ipmpi_parcels *parcels, uint64_t number)
{
    return number > parcels->done && *find(parcels, number) == NULL;
}

/* ---- segments ------------------------------------------------------- */

struct ipmpi_buffer *
ipmpi_parcels_room(void *arg, const struct ipmpi_frame *first, size_t bytes)
{
    struct ipmpi_engine *engine = arg;
    struct ipmpi_msg_head head;
    struct ipmpi_buffer *room;
    int err;

    if (first == NULL || first->len != sizeof(head) ||
        bytes < IPMPI_SEGMENT_MIN)
        return NULL;
    memcpy(&head, first->data, sizeof(head));
    if (head.type != IPMPI_MSG_PARCEL || !(head.flags & IPMPI_PARCEL_KEEP) ||
        !is_news(&engine->parcels, head.ref))
        return NULL;
    err = ipmpi_segment_create(bytes, &room);
    if (err == 0)
        return room;
    ipmpi_log_debug("ENGINE-SHARE", "no segment of %zu bytes (%s): copies",
                    bytes, ipmpi_strerror(err));
    return NULL;
}

/* ---- parcels that come ---------------------------------------------- */

/* What came, before it is passed on or kept. `rest` are its frames after the
 * legs. */
static int open_parcel(const struct ipmpi_msg_head *head,
                       const struct ipmpi_frames *rest, bool passes,
                       struct ipmpi_parcel *parcel)
{
    parcel->number = head->ref;
    if (head->flags & IPMPI_PARCEL_AT)
        return ipmpi_body_open(rest, passes, &parcel->body);
    parcel->kept = ipmpi_body_share(rest, &parcel->at, &parcel->body);
    if (!parcel->kept)
        return ipmpi_body_own(rest, passes, &parcel->body);
    return ipmpi_frames_add_from(&parcel->data, rest, 0, rest->n);
}

static void release(struct ipmpi_engine *engine);

/* Keeps a parcel for work that is to come, or for others. */
static void keep(struct ipmpi_engine *engine, struct ipmpi_parcel **parcel)
{
    (*parcel)->next = engine->parcels.first;
    engine->parcels.first = *parcel;
    *parcel = NULL;
    release(engine);
}

/* Passes a parcel on to those who come late, if it is here and kept. */
static void pass_to(struct ipmpi_engine *engine, uint64_t number,
                    const struct ipmpi_parcel *parcel,
                    const struct ipmpi_frame *legs)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_PARCEL,
        .ref = number,
    };

    if (parcel != NULL && parcel->kept)
        ipmpi_parcels_relay(engine, &head, legs, &parcel->data, &parcel->at);
    else
        ipmpi_parcels_say_all_lack(engine, number, legs, 1);
}

static void pass_to_late(struct ipmpi_engine *engine, uint64_t number,
                         const struct ipmpi_parcel *parcel)
{
    struct ipmpi_pass **at = &engine->parcels.passes;

    while (*at != NULL) {
        if ((*at)->number != number) {
            at = &(*at)->next;
            continue;
        }
        pass_to(engine, number, parcel, &(*at)->frames.at[AT_LEGS]);
        free_pass(at);
    }
}

/* Takes in a parcel that is no news, too: others may wait for it. */
static int take_in(struct ipmpi_engine *engine,
                   const struct ipmpi_msg_head *head,
                   const struct ipmpi_frame *legs,
                   const struct ipmpi_frames *rest)
{
    const bool passes = legs->len > sizeof(struct ipmpi_leg);
    struct ipmpi_parcel *parcel = calloc(1, sizeof(*parcel));
    int err = IPMPI_ENOMEM;

    if (parcel != NULL)
        err = open_parcel(head, rest, passes, parcel);
    if (passes)
        ipmpi_parcels_relay(engine, head, legs, rest,
                            err == 0 && parcel->kept ? &parcel->at : NULL);
    pass_to_late(engine, head->ref, err == 0 ? parcel : NULL);
    if (err != 0)
        ipmpi_parcels_say_lacks(engine, head->ref,
                                ipmpi_comm_rank(engine->comm));
    else if (is_news(&engine->parcels, head->ref))
        keep(engine, &parcel);
    destroy(&parcel);
    return err == IPMPI_ENOENT ? 0 : err; /* said, and nobody's fault */
}

int ipmpi_parcels_take(struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames)
{
    struct ipmpi_frames rest = {0};
    int err;

    if (frames->n <= AT_BODY || !ipmpi_legs_are_good(&frames->at[AT_LEGS]))
        return IPMPI_EFRAME;
    err = ipmpi_frames_add_from(&rest, frames, AT_BODY, frames->n - AT_BODY);
    if (err == 0)
        err = take_in(engine, head, &frames->at[AT_LEGS], &rest);
    else
        ipmpi_parcels_say_all_lack(engine, head->ref, &frames->at[AT_LEGS], 0);
    ipmpi_frames_clear(&rest);
    return err;
}

static int await_parcel(struct ipmpi_parcels *parcels, uint64_t number,
                        struct ipmpi_frames *frames)
{
    struct ipmpi_pass *pass = calloc(1, sizeof(*pass));

    if (pass == NULL)
        return IPMPI_ENOMEM;
    pass->number = number;
    ipmpi_frames_move(&pass->frames, frames);
    pass->next = parcels->passes;
    parcels->passes = pass;
    return 0;
}

int ipmpi_parcels_pass(struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames)
{
    if (frames->n <= AT_LEGS || !ipmpi_legs_are_good(&frames->at[AT_LEGS]))
        return IPMPI_EFRAME;
    if (is_news(&engine->parcels, head->ref) &&
        await_parcel(&engine->parcels, head->ref, frames) == 0)
        return 0;
    pass_to(engine, head->ref, *find(&engine->parcels, head->ref),
            &frames->at[AT_LEGS]);
    return 0;
}

int ipmpi_parcels_drop(struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames)
{
    struct ipmpi_parcel **at = find(&engine->parcels, head->ref);

    (void)frames;
    if (*at != NULL)
        forget(at);
    return 0;
}

/* ---- work ----------------------------------------------------------- */

/* The number of the parcel that work waits for; 0: it waits for none. */
static uint64_t number_of(const struct ipmpi_work *work)
{
    uint64_t number = 0;

    if (work->flags & IPMPI_WORK_PARCEL)
        memcpy(&number, work->frames.at[IPMPI_WORK_AT_CONTENT].data,
               sizeof(number));
    return number;
}

static bool is_ready(struct ipmpi_engine *engine, const struct ipmpi_work *work)
{
    const uint64_t number = number_of(work);

    return number == 0 || *find(&engine->parcels, number) != NULL;
}

/* The work has had its parcel, or will never want it. */
static void be_done_with(struct ipmpi_engine *engine, uint64_t number)
{
    struct ipmpi_parcel **at = &engine->parcels.first;

    if (number > engine->parcels.done)
        engine->parcels.done = number;
    while (*at != NULL) { /* also what no work ever asked for */
        if ((*at)->number <= engine->parcels.done && !(*at)->kept)
            forget(at);
        else
            at = &(*at)->next;
    }
}

/* Puts the body in the number's place. */
static int attach(struct ipmpi_engine *engine, struct ipmpi_work *work)
{
    const uint64_t number = number_of(work);
    struct ipmpi_frames *frames = &work->frames;
    struct ipmpi_parcel *parcel;
    int err;

    if (number == 0)
        return 0;
    parcel = *find(&engine->parcels, number);
    ipmpi_buffer_release(&frames->at[IPMPI_WORK_AT_CONTENT].owner);
    frames->n = IPMPI_WORK_AT_CONTENT;
    err = ipmpi_frames_add_from(frames, &parcel->body, 0, parcel->body.n);
    ipmpi_frames_clear(&parcel->body); /* one work a parcel */
    work->flags &= (uint16_t)~IPMPI_WORK_PARCEL;
    be_done_with(engine, number);
    return err;
}

static void queue_ready(struct ipmpi_engine *engine, struct ipmpi_work *work)
{
    if (attach(engine, work) != 0) {
        ipmpi_log_error("ENGINE-MEMORY", "out of memory; a request is aborted");
        ipmpi_engine_answer_aborted(engine, &work);
        return;
    }
    ipmpi_queue_push(engine->queue, &work);
    engine->expects = true;
    ipmpi_engine_wake(engine);
}

/* Lets go whatever waits for nothing any more. */
static void release(struct ipmpi_engine *engine)
{
    struct ipmpi_parcels *parcels = &engine->parcels;
    struct ipmpi_work *work;

    while ((work = parcels->held) != NULL && is_ready(engine, work)) {
        parcels->held = work->next;
        work->next = NULL;
        queue_ready(engine, work);
    }
}

int ipmpi_parcels_queue(struct ipmpi_engine *engine, struct ipmpi_work **work)
{
    struct ipmpi_work **end = &engine->parcels.held;

    if (((*work)->flags & IPMPI_WORK_PARCEL) &&
        (*work)->frames.at[IPMPI_WORK_AT_CONTENT].len != sizeof(uint64_t)) {
        ipmpi_work_destroy(work);
        return IPMPI_EFRAME;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = *work;
    *work = NULL;
    release(engine);
    return 0;
}

struct ipmpi_work *ipmpi_parcels_remove_refs(struct ipmpi_engine *engine,
                                             const uint64_t *refs, size_t n)
{
    struct ipmpi_work **at = &engine->parcels.held, *work;
    struct ipmpi_work *removed = NULL, **end = &removed;

    while ((work = *at) != NULL) {
        if (!ipmpi_refs_have(refs, n, work->ref)) {
            at = &work->next;
            continue;
        }
        *at = work->next;
        work->next = NULL;
        *end = work;
        end = &work->next;
        if (number_of(work) != 0)
            be_done_with(engine, number_of(work));
    }
    release(engine);
    return removed;
}

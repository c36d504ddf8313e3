/* Parcels: bodies of requests that many engines get, by a tree. See note
 * [parcels] in protocol.h.
 *
 * Threads: the comm thread. */
#ifndef IPMPI_ENGINE_PARCELS_H
#define IPMPI_ENGINE_PARCELS_H

#include "runtime/engine/protocol.h"
#include "runtime/engine/queue.h"

struct ipmpi_engine;
struct ipmpi_parcel;
struct ipmpi_pass;

/* Zero-initialised is good. */
struct ipmpi_parcels {
    struct ipmpi_parcel *first;
    struct ipmpi_pass *passes; /* of parcels that are on their way here */
    struct ipmpi_work *held;   /* oldest first; what waits for a parcel leads */
    uint64_t done;             /* work has had, or lost, all up to this */
};

void ipmpi_parcels_clear(struct ipmpi_parcels *parcels);

/* Where large frames of parcels shall lie (an ipmpi_room_fn). */
struct ipmpi_buffer *
ipmpi_parcels_room(void *engine, const struct ipmpi_frame *first, size_t bytes);

/* Handlers of PARCEL, PASS and DROP. IPMPI_EFRAME, IPMPI_ENOMEM. */
int ipmpi_parcels_take(struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames);
int ipmpi_parcels_pass(struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames);
int ipmpi_parcels_drop(struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames);

/* Puts work into the queue, or holds it until its parcel is there; work behind
 * it waits, too. Takes it over. IPMPI_EFRAME: it names no parcel. */
int ipmpi_parcels_queue(struct ipmpi_engine *engine, struct ipmpi_work **work);

/* Those among the held that are among `refs`, sorted upward; the caller's. */
struct ipmpi_work *ipmpi_parcels_remove_refs(struct ipmpi_engine *engine,
                                             const uint64_t *refs, size_t n);

/* relay.c: passes a parcel on to the engines behind legs[0]. `data` and `at`
 * are the frames after the legs for those who get the data and for those who
 * get a segment's address (NULL: there is none). Whom it cannot reach, rank 0
 * is told of. */
void ipmpi_parcels_relay(struct ipmpi_engine *engine,
                         const struct ipmpi_msg_head *head,
                         const struct ipmpi_frame *legs,
                         const struct ipmpi_frames *data,
                         const struct ipmpi_frames *at);

/* Whether a frame is a tree that one may walk. */
bool ipmpi_legs_are_good(const struct ipmpi_frame *legs);

/* Tells rank 0 that an engine of this world lacks a parcel. */
void ipmpi_parcels_say_lacks(struct ipmpi_engine *engine, uint64_t number,
                             int rank);
/* The same of all engines of the tree `legs`, from `first` on. */
void ipmpi_parcels_say_all_lack(struct ipmpi_engine *engine, uint64_t number,
                                const struct ipmpi_frame *legs, uint32_t first);

#endif

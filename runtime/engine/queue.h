/* Work that waits on an engine: a line, first in, first out, and beside it a
 * deque of what may be stolen. Of the deque one task at a time stands in the
 * line, from when the one before it ended: so work that is meant for this very
 * engine never waits for all that rank 0 has sent ahead of need.
 *
 * Threads: any; every function is atomic against the others, so that work is
 * either taken or removed, never both. */
#ifndef IPMPI_ENGINE_QUEUE_H
#define IPMPI_ENGINE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"
#include "runtime/tasks/deque.h"

/* A request and its message (frames as IPMPI_MSG_WORK has them). */
struct ipmpi_work {
    struct ipmpi_work *next; /* of whatever list it is in */
    struct ipmpi_deque_item in_deque;
    uint64_t stamp; /* when it came, in the queue's own time */
    uint64_t ref;
    uint16_t kind, flags;
    int32_t naborts;    /* detail of the message: note [late abort] */
    int64_t started_us; /* wall clock; 0 while it waits */
    struct ipmpi_frames frames;
};

/* Where the parts of the message are in `frames`. */
enum {
    IPMPI_WORK_AT_HEADER = 1,
    IPMPI_WORK_AT_ECHO,
    IPMPI_WORK_AT_CONTENT,
    IPMPI_WORK_AT_BUFFERS
};

/* Takes the frames of a message over; they are empty afterwards.
 * IPMPI_EFRAME: too few; IPMPI_ENOMEM: nothing changed. */
int ipmpi_work_create(struct ipmpi_frames *frames,
                      struct ipmpi_work **work_out);

/* Frees a whole list of work, and nulls it. */
void ipmpi_work_destroy(struct ipmpi_work **list);

/* Takes the work with this number out of a list; NULL: none has it. */
struct ipmpi_work *ipmpi_work_unlink(struct ipmpi_work **list, uint64_t ref);

struct ipmpi_queue; /* opaque */

/* IPMPI_ENOMEM. */
int ipmpi_queue_create(struct ipmpi_queue **queue_out);
void ipmpi_queue_destroy(struct ipmpi_queue **queue); /* with its work */

/* Appends, to the deque if it is IPMPI_WORK_STEALABLE (a child at the owner's
 * end, to be taken next); the queue owns the
 * work, and *work is NULL. Never fails. */
void ipmpi_queue_push(struct ipmpi_queue *queue, struct ipmpi_work **work);

/* The next, now the caller's, who runs it: see ended. NULL: none waits; the
 * engine is dry until more comes. */
struct ipmpi_work *ipmpi_queue_take(struct ipmpi_queue *queue);

/* A child, now the caller's: the one with this number, else the next in the
 * deque if that is a child. NULL: there is none, and the engine counts as dry
 * until more comes. */
struct ipmpi_work *ipmpi_queue_take_child(struct ipmpi_queue *queue,
                                          uint64_t ref);

/* What waits and matches; the caller's. */
struct ipmpi_work *ipmpi_queue_remove_if(
    struct ipmpi_queue *queue,
    bool (*matches)(const struct ipmpi_work *work, const void *ctx),
    const void *ctx);

/* What was taken, with these flags, has ended. */
void ipmpi_queue_ended(struct ipmpi_queue *queue, uint16_t flags);

/* Half of what may be stolen, from the end that the owner would reach last;
 * the caller's, oldest first. With `children_only` nothing if anything else
 * is at that end. */
struct ipmpi_work *ipmpi_queue_steal(struct ipmpi_queue *queue,
                                     bool children_only);

/* Whether the owner, in the midst of a task, waits for a child and has none
 * to run meanwhile. */
bool ipmpi_queue_is_helping(struct ipmpi_queue *queue);

/* Whether there are children that others could run at once. */
bool ipmpi_queue_has_children(struct ipmpi_queue *queue);

/* Whether the owner found nothing to take, and nothing has come since. */
bool ipmpi_queue_is_dry(struct ipmpi_queue *queue);

/* Those of a kind (all kinds: 0), oldest first; the caller's. */
struct ipmpi_work *ipmpi_queue_remove_kind(struct ipmpi_queue *queue,
                                           uint16_t kind);

/* Those among `refs`, which is sorted upward; the caller's. */
struct ipmpi_work *ipmpi_queue_remove_refs(struct ipmpi_queue *queue,
                                           const uint64_t *refs, size_t n);

/* Numbers of work: sorted upward, and whether one is among the sorted. */
void ipmpi_refs_sort(uint64_t *refs, size_t n);
bool ipmpi_refs_have(const uint64_t *refs, size_t n, uint64_t ref);

size_t ipmpi_queue_length(struct ipmpi_queue *queue);

#endif

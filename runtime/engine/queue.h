/* Work that waits on an engine, oldest first.
 *
 * Threads: any; every function is atomic against the others, so that work is
 * either taken or removed, never both. */
#ifndef IPMPI_ENGINE_QUEUE_H
#define IPMPI_ENGINE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"

/* A request and its message (frames as IPMPI_MSG_WORK has them). */
struct ipmpi_work {
    struct ipmpi_work *next; /* of whatever list it is in */
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

/* Appends; the queue owns the work, and *work is NULL. Never fails. */
void ipmpi_queue_push(struct ipmpi_queue *queue, struct ipmpi_work **work);

/* The oldest, now the caller's; NULL: none waits. */
struct ipmpi_work *ipmpi_queue_take(struct ipmpi_queue *queue);

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

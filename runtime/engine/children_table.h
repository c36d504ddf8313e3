/* The children of an engine, as the files children*.c share them.
 *
 * Invariant: a child is HELD by exactly one rank until it is done; its frames
 *            are kept so that it can be given out again.
 *
 * Threads: any, under the lock of struct ipmpi_children unless told otherwise.
 * Nothing blocks. */
#ifndef IPMPI_ENGINE_CHILDREN_TABLE_H
#define IPMPI_ENGINE_CHILDREN_TABLE_H

#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(elt) ((elt)->unhashed = true)

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "runtime/base/frames.h"
#include "runtime/engine/children.h"
#include "runtime/engine/queue.h"
#include "runtime/tasks/holdings.h"

struct ipmpi_child {
    uint64_t ref;
    struct ipmpi_held held;
    struct ipmpi_frames frames; /* as work has them, to send it again */
    struct ipmpi_child_outcome outcome;
    bool forgotten, unhashed;
    UT_hash_handle hh;
};

/* NULL: there is none. The table keeps it. */
struct ipmpi_child *ipmpi_children_find(const struct ipmpi_children *children,
                                        uint64_t ref);

/* Takes a child out of the table and frees it. */
void ipmpi_child_destroy(struct ipmpi_children *children,
                         struct ipmpi_child *child);

/* The child as work for a queue, the caller's. NULL: out of memory. */
struct ipmpi_work *ipmpi_child_work(const struct ipmpi_child *child);

/* The child is done, one way or the other; `frames` (NULL: none) move. It is
 * gone afterwards if it was forgotten. */
void ipmpi_child_conclude(struct ipmpi_children *children,
                          struct ipmpi_child *child, int status,
                          struct ipmpi_frames *frames);

/* Something has changed: wakes whoever waits. Needs no lock. */
void ipmpi_children_announce(struct ipmpi_children *children);

/* The rank of this engine in its world. Needs no lock. */
int ipmpi_children_own_rank(const struct ipmpi_engine *engine);

#endif

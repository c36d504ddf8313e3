/* Which engine gets a task: the schemes of compat 6.5, over engines in order
 * of least recent use.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_SCHEME_H
#define IPMPI_SCHEDULERS_SCHEME_H

#include <stdbool.h>
#include <stddef.h>

#include "bridge/hub/registry.h"
#include "runtime/base/options.h"

/* One engine, as the balanced scheduler sees it. */
struct ipmpi_slot {
    struct ipmpi_engine *engine; /* borrowed from the registry */
    size_t load;                 /* tasks assigned and undecided */
    size_t ahead;                /* tasks that it has besides: ahead.h */
    size_t npieces;              /* the same, of bulk jobs */
    bool piece_next;             /* a task came last: now a piece may */
    bool kept;                   /* for a gang, or by it */
    bool was_kept;               /* nothing else has come since */
    struct ipmpi_slot *prev, *next;
};

/* In order of use, the least recently used first; a new engine goes first. */
struct ipmpi_slots {
    struct ipmpi_slot *lru;
    size_t n, nfree; /* nfree: of which ipmpi_slot_is_free is true */
    size_t hwm;      /* tasks an engine may be assigned; 0: no limit */
    unsigned seed;   /* of the random schemes */
};

/* IPMPI_ENOMEM. */
int ipmpi_slots_add(struct ipmpi_slots *slots, struct ipmpi_engine *engine);
void ipmpi_slots_remove(struct ipmpi_slots *slots, struct ipmpi_slot **slot);
/* Whether it may get a task: there is room, and no piece before it. */
bool ipmpi_slot_is_free(const struct ipmpi_slots *slots,
                        const struct ipmpi_slot *slot);
/* Whether it may get a piece when it has `npieces` already. */
bool ipmpi_slot_takes_piece(const struct ipmpi_slots *slots,
                            const struct ipmpi_slot *slot, size_t npieces);

/* One more task; the engine becomes the most recently used. */
void ipmpi_slots_assign(struct ipmpi_slots *slots, struct ipmpi_slot *slot);
/* One task less. True if the engine was full and now is not. */
bool ipmpi_slots_unassign(struct ipmpi_slots *slots, struct ipmpi_slot *slot);

/* Whether a gang may have it; not one that was in a gang last, if `others_wait`
 * for it. */
bool ipmpi_slot_is_idle(const struct ipmpi_slot *slot, bool others_wait);
/* Keeps it from tasks and pieces, or lets it go. */
void ipmpi_slots_keep(struct ipmpi_slots *slots, struct ipmpi_slot *slot,
                      bool kept);

/* One piece more, or less. */
void ipmpi_slots_add_piece(struct ipmpi_slots *slots, struct ipmpi_slot *slot);
void ipmpi_slots_drop_piece(struct ipmpi_slots *slots, struct ipmpi_slot *slot);

typedef bool ipmpi_slot_filter_fn(void *ctx, const struct ipmpi_slot *slot);

/* Chooses among the free engines that `fits` accepts; NULL if there is none. */
struct ipmpi_slot *ipmpi_scheme_choose(struct ipmpi_slots *slots,
                                       enum ipmpi_scheme scheme,
                                       ipmpi_slot_filter_fn *fits, void *ctx);

#endif

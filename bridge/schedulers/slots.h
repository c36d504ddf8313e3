/* The engines as the balanced scheduler sees them: what each has to do, and
 * who is next.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_SLOTS_H
#define IPMPI_SCHEDULERS_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge/hub/registry.h"
#include "bridge/schedulers/slot_heap.h"

/* One engine. */
struct ipmpi_slot {
    struct ipmpi_engine *engine; /* borrowed from the registry */
    size_t load;                 /* tasks assigned and undecided */
    size_t ahead;                /* tasks that it has besides: ahead.h */
    size_t npieces;              /* the same, of bulk jobs */
    bool piece_next;             /* a task came last: now a piece may */
    bool kept;                   /* for a gang, or by it */
    bool was_kept;               /* nothing else has come since */
    bool leaves;                 /* it was told to: nothing goes there */
    int64_t used; /* when it was assigned a task, in assignments */
    size_t place[IPMPI_SLOT_ORDERS]; /* slot_heap's */
    struct ipmpi_slot *prev, *next;
};

/* In order of use, the least recently used first; a new engine goes first. */
struct ipmpi_slots {
    struct ipmpi_slot *lru;
    size_t n;
    size_t hwm;    /* tasks an engine may be assigned; 0: no limit */
    unsigned seed; /* of the random schemes */
    int64_t first_used, last_used;
    struct ipmpi_slot_heap free;     /* ipmpi_slot_is_free is true */
    struct ipmpi_slot_heap by_ahead; /* all but those that leave */
};

void ipmpi_slots_init(struct ipmpi_slots *slots, size_t hwm);

/* IPMPI_ENOMEM. */
int ipmpi_slots_add(struct ipmpi_slots *slots, struct ipmpi_engine *engine);
/* With the last one nothing is left to be freed. */
void ipmpi_slots_remove(struct ipmpi_slots *slots, struct ipmpi_slot **slot);

/* Whether it may get a task: there is room, and no piece before it. */
bool ipmpi_slot_is_free(const struct ipmpi_slots *slots,
                        const struct ipmpi_slot *slot);
/* How many that are. */
size_t ipmpi_slots_nfree(const struct ipmpi_slots *slots);
/* Whether it may get a piece when it has `npieces` already. */
bool ipmpi_slot_takes_piece(const struct ipmpi_slots *slots,
                            const struct ipmpi_slot *slot, size_t npieces);

/* One more task; the engine becomes the most recently used. */
void ipmpi_slots_assign(struct ipmpi_slots *slots, struct ipmpi_slot *slot);
/* One task less. True if the engine was full and now is not. */
bool ipmpi_slots_unassign(struct ipmpi_slots *slots, struct ipmpi_slot *slot);

/* One task more that it has ahead of need, or less. */
void ipmpi_slots_add_ahead(struct ipmpi_slots *slots, struct ipmpi_slot *slot);
void ipmpi_slots_drop_ahead(struct ipmpi_slots *slots, struct ipmpi_slot *slot);

/* It was told to leave, and gets no task any more. */
void ipmpi_slots_leave(struct ipmpi_slots *slots, struct ipmpi_slot *slot);

/* Whether a gang may have it; not one that was in a gang last, if `others_wait`
 * for it. */
bool ipmpi_slot_is_idle(const struct ipmpi_slot *slot, bool others_wait);
/* Keeps it from tasks and pieces, or lets it go. */
void ipmpi_slots_keep(struct ipmpi_slots *slots, struct ipmpi_slot *slot,
                      bool kept);

/* One piece more, or less. */
void ipmpi_slots_add_piece(struct ipmpi_slots *slots, struct ipmpi_slot *slot);
void ipmpi_slots_drop_piece(struct ipmpi_slots *slots, struct ipmpi_slot *slot);

#endif

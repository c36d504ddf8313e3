/* Engines, their loads, and who is next.
 *
 * Invariant: after each change the slot is where both heaps want it. */
#include "bridge/schedulers/slots.h"

#include <stdlib.h>
#include <utlist.h>

#include "runtime/base/error.h"

void ipmpi_slots_init(struct ipmpi_slots *slots, size_t hwm)
{
    *slots = (struct ipmpi_slots){
        .hwm = hwm,
        .seed = 1,
        .free.order = IPMPI_SLOTS_BY_LOAD,
        .by_ahead.order = IPMPI_SLOTS_BY_AHEAD,
    };
}

bool ipmpi_slot_is_free(const struct ipmpi_slots *slots,
                        const struct ipmpi_slot *slot)
{
    if (slot->kept || slot->leaves)
        return false;
    return slots->hwm == 0 || (slot->load < slots->hwm && slot->npieces == 0);
}

size_t ipmpi_slots_nfree(const struct ipmpi_slots *slots)
{
    return slots->free.n;
}

bool ipmpi_slot_takes_piece(const struct ipmpi_slots *slots,
                            const struct ipmpi_slot *slot, size_t npieces)
{
    return !slot->kept && !slot->leaves && slot->npieces == npieces &&
           (slot->load == 0 || slots->hwm == 0);
}

bool ipmpi_slot_is_idle(const struct ipmpi_slot *slot, bool others_wait)
{
    return !slot->kept && !slot->leaves && slot->load == 0 &&
           slot->ahead == 0 && slot->npieces == 0 &&
           !(slot->was_kept && others_wait);
}

static void changed(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    ipmpi_slot_heap_place(&slots->free, slot, ipmpi_slot_is_free(slots, slot));
    ipmpi_slot_heap_place(&slots->by_ahead, slot, !slot->leaves);
}

int ipmpi_slots_add(struct ipmpi_slots *slots, struct ipmpi_engine *engine)
{
    struct ipmpi_slot *slot;

    if (ipmpi_slot_heap_reserve(&slots->free, slots->n + 1) != 0 ||
        ipmpi_slot_heap_reserve(&slots->by_ahead, slots->n + 1) != 0)
        return IPMPI_ENOMEM;
    slot = calloc(1, sizeof(*slot));
    if (slot == NULL)
        return IPMPI_ENOMEM;
    slot->engine = engine;
    slot->used = --slots->first_used;
    engine->task_slot = slot;
    DL_PREPEND(slots->lru, slot);
    slots->n++;
    changed(slots, slot);
    return 0;
}

void ipmpi_slots_remove(struct ipmpi_slots *slots, struct ipmpi_slot **slot)
{
    ipmpi_slot_heap_place(&slots->free, *slot, false);
    ipmpi_slot_heap_place(&slots->by_ahead, *slot, false);
    (*slot)->engine->task_slot = NULL;
    DL_DELETE(slots->lru, *slot);
    free(*slot);
    *slot = NULL;
    if (--slots->n > 0)
        return;
    ipmpi_slot_heap_clear(&slots->free);
    ipmpi_slot_heap_clear(&slots->by_ahead);
}

void ipmpi_slots_assign(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    IPMPI_ASSERT(ipmpi_slot_is_free(slots, slot));
    slot->load++;
    slot->piece_next = true;
    slot->was_kept = false;
    slot->used = ++slots->last_used;
    DL_DELETE(slots->lru, slot);
    DL_APPEND(slots->lru, slot);
    changed(slots, slot);
}

bool ipmpi_slots_unassign(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    const bool was_free = ipmpi_slot_is_free(slots, slot);

    IPMPI_ASSERT(slot->load > 0);
    slot->load--;
    changed(slots, slot);
    return !was_free;
}

void ipmpi_slots_add_ahead(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    slot->ahead++;
    changed(slots, slot);
}

void ipmpi_slots_drop_ahead(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    IPMPI_ASSERT(slot->ahead > 0);
    slot->ahead--;
    changed(slots, slot);
}

void ipmpi_slots_leave(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    slot->leaves = true;
    changed(slots, slot);
}

void ipmpi_slots_keep(struct ipmpi_slots *slots, struct ipmpi_slot *slot,
                      bool kept)
{
    slot->was_kept = slot->kept && !kept;
    slot->kept = kept;
    changed(slots, slot);
}

void ipmpi_slots_add_piece(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    slot->npieces++;
    slot->piece_next = slot->was_kept = false;
    changed(slots, slot);
}

void ipmpi_slots_drop_piece(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    IPMPI_ASSERT(slot->npieces > 0);
    slot->npieces--;
    changed(slots, slot);
}

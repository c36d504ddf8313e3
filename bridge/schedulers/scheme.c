/* Choosing an engine. Every scheme makes one pass over the candidates in order
 * of least recent use and keeps what it needs on the way, so that no list of
 * candidates has to be built. Cost: one pass over the engines.
 *
 * The tie-break by least recent use is observable (compat 6.5): a client may
 * wait for a second engine to be used. */
#include "bridge/schedulers/scheme.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "runtime/base/error.h"

bool ipmpi_slot_is_free(const struct ipmpi_slots *slots,
                        const struct ipmpi_slot *slot)
{
    if (slot->kept)
        return false;
    return slots->hwm == 0 || (slot->load < slots->hwm && slot->npieces == 0);
}

bool ipmpi_slot_takes_piece(const struct ipmpi_slots *slots,
                            const struct ipmpi_slot *slot, size_t npieces)
{
    return !slot->kept && slot->npieces == npieces &&
           (slot->load == 0 || slots->hwm == 0);
}

bool ipmpi_slot_is_idle(const struct ipmpi_slot *slot, bool others_wait)
{
    return !slot->kept && slot->load == 0 && slot->ahead == 0 &&
           slot->npieces == 0 && !(slot->was_kept && others_wait);
}

void ipmpi_slots_keep(struct ipmpi_slots *slots, struct ipmpi_slot *slot,
                      bool kept)
{
    slots->nfree -= ipmpi_slot_is_free(slots, slot);
    slot->was_kept = slot->kept && !kept;
    slot->kept = kept;
    slots->nfree += ipmpi_slot_is_free(slots, slot);
}

int ipmpi_slots_add(struct ipmpi_slots *slots, struct ipmpi_engine *engine)
{
    struct ipmpi_slot *slot = calloc(1, sizeof(*slot));

    if (slot == NULL)
        return IPMPI_ENOMEM;
    slot->engine = engine;
    engine->task_slot = slot;
    DL_PREPEND(slots->lru, slot);
    slots->n++;
    slots->nfree++;
    return 0;
}

void ipmpi_slots_remove(struct ipmpi_slots *slots, struct ipmpi_slot **slot)
{
    slots->n--;
    slots->nfree -= ipmpi_slot_is_free(slots, *slot);
    (*slot)->engine->task_slot = NULL;
    DL_DELETE(slots->lru, *slot);
    free(*slot);
    *slot = NULL;
}

void ipmpi_slots_assign(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    IPMPI_ASSERT(ipmpi_slot_is_free(slots, slot));
    slot->load++;
    slot->piece_next = true;
    slot->was_kept = false;
    slots->nfree -= !ipmpi_slot_is_free(slots, slot);
    DL_DELETE(slots->lru, slot);
    DL_APPEND(slots->lru, slot);
}

bool ipmpi_slots_unassign(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    const bool was_free = ipmpi_slot_is_free(slots, slot);

    IPMPI_ASSERT(slot->load > 0);
    slot->load--;
    slots->nfree += !was_free && ipmpi_slot_is_free(slots, slot);
    return !was_free;
}

void ipmpi_slots_add_piece(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    slots->nfree -= ipmpi_slot_is_free(slots, slot);
    slot->npieces++;
    slot->piece_next = slot->was_kept = false;
    slots->nfree += ipmpi_slot_is_free(slots, slot);
}

void ipmpi_slots_drop_piece(struct ipmpi_slots *slots, struct ipmpi_slot *slot)
{
    IPMPI_ASSERT(slot->npieces > 0);
    slots->nfree -= ipmpi_slot_is_free(slots, slot);
    slot->npieces--;
    slots->nfree += ipmpi_slot_is_free(slots, slot);
}

static double uniform(struct ipmpi_slots *slots)
{
    return rand_r(&slots->seed) / (RAND_MAX + 1.0);
}

/* Two picks, each as reservoir sampling does it: the i-th candidate replaces
 * the pick with probability weight(i) / (sum of weights so far). */
struct picks {
    struct ipmpi_slot *first, *second;
    size_t first_at, second_at, n;
    double weights;
};

static void offer(struct ipmpi_slots *slots, struct picks *picks,
                  struct ipmpi_slot *slot, double weight)
{
    picks->weights += weight;
    if (uniform(slots) * picks->weights < weight) {
        picks->first = slot;
        picks->first_at = picks->n;
    }
    if (uniform(slots) * picks->weights < weight) {
        picks->second = slot;
        picks->second_at = picks->n;
    }
    picks->n++;
}

static struct ipmpi_slot *take(const struct picks *picks,
                               enum ipmpi_scheme scheme)
{
    struct ipmpi_slot *first = picks->first, *second = picks->second;

    if (scheme == IPMPI_SCHEME_PLAINRANDOM || first == NULL)
        return first;
    if (scheme == IPMPI_SCHEME_TWOBIN)
        return picks->first_at <= picks->second_at ? first : second;
    return second->load < first->load ? second : first;
}

struct ipmpi_slot *ipmpi_scheme_choose(struct ipmpi_slots *slots,
                                       enum ipmpi_scheme scheme,
                                       ipmpi_slot_filter_fn *fits, void *ctx)
{
    struct ipmpi_slot *slot, *least = NULL;
    struct picks picks = {0};

    if (slots->nfree == 0)
        return NULL;
    DL_FOREACH (slots->lru, slot) {
        if (!ipmpi_slot_is_free(slots, slot) || !fits(ctx, slot))
            continue;
        if (scheme == IPMPI_SCHEME_LRU)
            return slot;
        if (least == NULL || slot->load < least->load)
            least = slot;
        if (scheme == IPMPI_SCHEME_LEASTLOAD && slot->load == 0)
            return slot; /* nothing less loaded can follow */
        if (scheme != IPMPI_SCHEME_LEASTLOAD)
            offer(slots, &picks, slot,
                  scheme == IPMPI_SCHEME_WEIGHTED
                      ? 1.0 / (1e-6 + (double)slot->load)
                      : 1.0);
    }
    return scheme == IPMPI_SCHEME_LEASTLOAD ? least : take(&picks, scheme);
}

/* Choosing an engine. Where any engine will do, the least loaded is at hand.
 * Else a scheme makes one pass over the candidates in order of least recent
 * use and keeps what it needs on the way, so that no list of candidates has to
 * be built. Cost: one pass over the engines.
 *
 * The tie-break by least recent use is observable (compat 6.5): a client may
 * wait for a second engine to be used. */
#include "bridge/schedulers/scheme.h"

#include <stdlib.h>
#include <utlist.h>

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

    if (ipmpi_slots_nfree(slots) == 0)
        return NULL;
    if (scheme == IPMPI_SCHEME_LEASTLOAD && fits == NULL)
        return ipmpi_slot_heap_first(&slots->free);
    DL_FOREACH (slots->lru, slot) {
        if (!ipmpi_slot_is_free(slots, slot) ||
            (fits != NULL && !fits(ctx, slot)))
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

/* Handing out: which items of which bulk job an engine gets next.
 *
 * Invariant: what is cut and cannot be sent fails; nothing is left out. */
#include <utlist.h>

#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/bulk_internal.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/wire/json.h"

#define PIECE_BYTES ((size_t)8 << 20) /* of items, but for a single unit */

struct place {
    const struct ipmpi_slots *slots;
    struct ipmpi_slot *slot;
    enum ipmpi_bulk_feeding feeding;
};

/* Whether nobody but this engine may do the items. */
static bool is_alone(const struct ipmpi_bulk *bulk, const struct place *place)
{
    const struct ipmpi_slot *slot;

    DL_FOREACH (place->slots->lru, slot) {
        if (slot != place->slot &&
            ipmpi_task_allows(bulk->task, slot->engine->uuid))
            return false;
    }
    return true;
}

/* Cuts a piece for an engine; an item that failed there goes elsewhere, unless
 * there is no other engine. */
static bool cut(struct ipmpi_bulk *bulk, const struct place *place,
                struct ipmpi_range *range_out)
{
    const int id = place->slot->engine->id;
    struct ipmpi_range rest;
    uint64_t want;
    bool any;

    if (bulk->aborted || bulk->waiting.items == 0 ||
        !ipmpi_task_allows(bulk->task, place->slot->engine->uuid) ||
        (place->feeding == IPMPI_BULK_AHEAD &&
         !ipmpi_grain_is_fine(&bulk->grain)))
        return false;
    any = !ipmpi_ranges_has(&bulk->waiting, id, false) && is_alone(bulk, place);
    want = ipmpi_grain_size(&bulk->grain, bulk->waiting.items, place->slots->n);
    if (!ipmpi_ranges_take(&bulk->waiting, id, any, want, bulk->chunk,
                           range_out))
        return false;
    rest = *range_out;
    range_out->end =
        ipmpi_bulk_fit(bulk, range_out->first, range_out->end, PIECE_BYTES);
    rest.first = range_out->end;
    ipmpi_ranges_add(&bulk->waiting, &rest); /* it has just been there */
    return true;
}

static bool give_piece(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk,
                       const struct place *place)
{
    struct ipmpi_engine *engine = place->slot->engine;
    struct ipmpi_range range;
    struct ipmpi_piece *piece;

    if (!cut(bulk, place, &range))
        return false;
    if (ipmpi_bulk_make_piece(hub, bulk, &range, &piece) != 0) {
        ipmpi_bulk_fail(
            hub, bulk, &range,
            ipmpi_json_error("MemoryError", "the controller is out of memory"));
        ipmpi_bulk_end_if_done(hub, bulk);
        return true;
    }
    DL_DELETE(hub->bulks, bulk); /* the others are served before it is again */
    DL_APPEND(hub->bulks, bulk);
    DL_APPEND(bulk->pieces, piece);
    ipmpi_balanced_add_piece(hub, engine);
    ipmpi_dispatch(hub, engine, piece->job);
    return true;
}

static bool takes(const struct place *place)
{
    const size_t npieces = place->feeding == IPMPI_BULK_AHEAD ? 1 : 0;

    return ipmpi_slot_takes_piece(place->slots, place->slot, npieces) &&
           (place->feeding != IPMPI_BULK_IN_TURN || place->slot->piece_next);
}

void ipmpi_bulk_feed(struct ipmpi_hub *hub, struct ipmpi_slots *slots,
                     enum ipmpi_bulk_feeding feeding)
{
    struct place place = {slots, NULL, feeding};

    if (hub->bulks == NULL)
        return;
    DL_FOREACH (slots->lru, place.slot) {
        struct ipmpi_bulk *bulk, *next;

        if (!takes(&place))
            continue;
        DL_FOREACH_SAFE (hub->bulks, bulk, next) {
            if (give_piece(hub, bulk, &place))
                break;
        }
    }
}

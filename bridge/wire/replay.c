/* A ring of digests in order of arrival, and a hash table over it: open
 * addressing, linear probing, at most half full; a removal shifts the cluster
 * behind it back (Knuth 6.4, algorithm R), so there are no tombstones.
 *
 * Invariant: each digest in the ring has exactly one slot, and no empty slot
 * lies between its home and that slot. */
#include "bridge/wire/replay.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

struct ipmpi_replay {
    size_t cap;  /* of the ring; a power of two */
    size_t mask; /* of the table: 2 * cap slots */
    size_t n, next;
    uint8_t (*ring)[IPMPI_DIGEST_LEN];
    uint32_t *slots; /* 0 is empty, else 1 + place in the ring */
};

int ipmpi_replay_create(size_t cap, struct ipmpi_replay **replay_out)
{
    struct ipmpi_replay *r;

    if (cap == 0 || (cap & (cap - 1)) != 0 || cap > (size_t)1 << 30)
        return IPMPI_EINVAL;
    r = calloc(1, sizeof(*r));
    if (r == NULL)
        return IPMPI_ENOMEM;
    r->cap = cap;
    r->mask = 2 * cap - 1;
    r->ring = calloc(cap, sizeof(*r->ring));
    r->slots = calloc(2 * cap, sizeof(*r->slots));
    if (r->ring == NULL || r->slots == NULL) {
        ipmpi_replay_destroy(&r);
        return IPMPI_ENOMEM;
    }
    *replay_out = r;
    return 0;
}

void ipmpi_replay_destroy(struct ipmpi_replay **replay)
{
    if (*replay != NULL) {
        free((*replay)->ring);
        free((*replay)->slots);
    }
    free(*replay);
    *replay = NULL;
}

/* The digest is a hash already: its first bytes choose the slot. */
static size_t home(const struct ipmpi_replay *r, const uint8_t *digest)
{
    uint64_t bits;

    memcpy(&bits, digest, sizeof(bits));
    return (size_t)bits & r->mask;
}

/* The digest's slot, or the empty one where it would go. */
static size_t find(const struct ipmpi_replay *r, const uint8_t *digest)
{
    size_t at = home(r, digest);

    while (r->slots[at] != 0 &&
           memcmp(r->ring[r->slots[at] - 1], digest, IPMPI_DIGEST_LEN) != 0)
        at = (at + 1) & r->mask;
    return at;
}

bool ipmpi_replay_seen(const struct ipmpi_replay *replay,
                       const uint8_t digest[IPMPI_DIGEST_LEN])
{
    return replay->slots[find(replay, digest)] != 0;
}

/* Empties a slot and closes the gap. */
static void empty_slot(struct ipmpi_replay *r, size_t gap)
{
    size_t at = gap;

    for (;;) {
        size_t want;

        at = (at + 1) & r->mask;
        if (r->slots[at] == 0)
            break;
        want = home(r, r->ring[r->slots[at] - 1]);
        /* it may move back only if the gap is not before its home */
        if (((at - want) & r->mask) < ((at - gap) & r->mask))
            continue;
        r->slots[gap] = r->slots[at];
        gap = at;
    }
    r->slots[gap] = 0;
}

void ipmpi_replay_remember(struct ipmpi_replay *replay,
                           const uint8_t digest[IPMPI_DIGEST_LEN])
{
    if (ipmpi_replay_seen(replay, digest))
        return;
    if (replay->n == replay->cap)
        empty_slot(replay, find(replay, replay->ring[replay->next]));
    else
        replay->n++;
    memcpy(replay->ring[replay->next], digest, IPMPI_DIGEST_LEN);
    replay->slots[find(replay, digest)] = (uint32_t)replay->next + 1;
    replay->next = (replay->next + 1) & (replay->cap - 1);
}

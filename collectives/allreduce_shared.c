/* Allreduce that lands once on each node: each member reduces one piece of what
 * the members of its node have, into a segment that they share, so that nothing
 * need be gathered (reduce-scatter by pairwise exchange: Thakur, Rabenseifner,
 * Gropp 2005). Where there are several nodes, a ring of their leaders goes on
 * with that segment. What comes is combined in blocks that a cache holds: data
 * is read from memory once, the result written once.
 *
 * Each number is reduced in one order only, so all get the same bits.
 * Cost: n bytes from and to each member of a node; one copy a node. */
#include "collectives/internal.h"

#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/segment.h"

enum {
    BLOCKS = 1024 * 1024,    /* bytes that all come at a time */
    LEAST_BLOCK = 32 * 1024, /* of one of them */
    MOST_BLOCK = 256 * 1024,
};

struct work {
    struct ipmpi_group *group;
    const struct ipmpi_numbers *numbers;
    const uint8_t *mine;
    struct ipmpi_buffer *segment; /* to fill; MPI does not know it, but for */
    bool in_ring;                 /* a failed ring, which may go on with it */
    int *mate;    /* the members of this node, in the group's order */
    int n, me;    /* how many, and our place among them */
    size_t size;  /* of a number, */
    size_t block; /* and numbers in a block */
    uint8_t *room;
};

/* ---- pieces and blocks ----------------------------------------------- */

/* The first number of a mate's piece. */
static size_t begin_of(const struct work *w, int mate)
{
    const size_t n = (size_t)w->n, i = (size_t)mate, count = w->numbers->count;

    return count / n * i + (i < count % n ? i : count % n);
}

/* Block k of a mate's piece: where it begins, and how many numbers it has. */
static size_t block_of(const struct work *w, int mate, size_t k, size_t *at_out)
{
    const size_t end = begin_of(w, mate + 1);
    const size_t at = begin_of(w, mate) + k * w->block;

    *at_out = at;
    if (at >= end)
        return 0;
    return end - at < w->block ? end - at : w->block;
}

static size_t n_blocks(const struct work *w)
{
    return begin_of(w, 1) / w->block + 1; /* the first piece is the longest */
}

/* All that the others need of ours, each first what it needs first. */
static int post_sends(const struct work *w)
{
    int err = 0;

    for (size_t k = 0; k < n_blocks(w); k++) {
        for (int i = 1; i < w->n && err == 0; i++) {
            const int to = (w->me + i) % w->n;
            size_t at, count = block_of(w, to, k, &at);

            err = ipmpi_group_send(w->group, w->mine + at * w->size,
                                   count * w->size, w->mate[to]);
        }
    }
    return err;
}

static int receive_block(const struct work *w, size_t len)
{
    const int first = w->group->n_requests;
    uint8_t *room = w->room;
    int err = 0;

    for (int i = 1; i < w->n && err == 0; i++) {
        const int from = (w->me + w->n - i) % w->n;

        err = ipmpi_group_receive(w->group, room, len, w->mate[from]);
        room += len;
    }
    return err == 0 ? ipmpi_group_wait_from(w->group, first) : err;
}

static int reduce_piece(const struct work *w)
{
    int err = 0;

    for (size_t k = 0; k < n_blocks(w) && err == 0; k++) {
        size_t at, count = block_of(w, w->me, k, &at);
        const size_t len = count * w->size;
        uint8_t *result =
            (uint8_t *)ipmpi_buffer_data(w->segment) + at * w->size;

        err = receive_block(w, len);
        if (err != 0)
            return err;
        ipmpi_segment_prepare(w->segment, result, len);
        memcpy(result, w->mine + at * w->size, len);
        for (int i = 0; i < w->n - 1 && err == 0; i++)
            err = ipmpi_combine(w->room + (size_t)i * len, result, w->numbers,
                                count);
    }
    return err;
}

static int reduce_on_node(struct work *w)
{
    const size_t share = BLOCKS / (size_t)w->n;
    const size_t len = share < LEAST_BLOCK  ? LEAST_BLOCK
                       : share > MOST_BLOCK ? MOST_BLOCK
                                            : share;
    int err;

    w->block = len / w->size;
    w->room = ipmpi_group_alloc(w->group, (size_t)w->n * w->block * w->size);
    err = w->room == NULL ? IPMPI_ENOMEM : post_sends(w);
    if (err == 0)
        err = reduce_piece(w);
    return err == 0 ? ipmpi_group_wait(w->group, false) : err;
}

/* ---- the segment ------------------------------------------------------ */

/* The leader's: made, its address told to the mates. Without one their offer
 * has no length. */
static int offer_segment(struct work *w, size_t len,
                         struct ipmpi_segment_address *at)
{
    struct ipmpi_group *group = w->group;
    int err = ipmpi_segment_create(len, &w->segment);

    if (err == 0)
        err = ipmpi_segment_address(w->segment, at);
    if (err != 0) {
        ipmpi_log_debug("COLLECTIVE-SHARE",
                        "no segment of %zu bytes (%s): copies", len,
                        ipmpi_strerror(err));
        at->len = 0;
    }
    err = 0;
    for (int i = 0; i < w->n && err == 0; i++) {
        if (i != w->me)
            err = ipmpi_group_send(group, at, sizeof(*at), w->mate[i]);
    }
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

/* A segment of all members of this node, and this member's view of it; *can_out
 * tells whether all of the group have theirs. */
static int open_segment(struct work *w, size_t len,
                        struct ipmpi_buffer **view_out, bool *can_out)
{
    const struct ipmpi_numbers one = {IPMPI_UINT8, IPMPI_LAND, 1};
    struct ipmpi_group *group = w->group;
    struct ipmpi_segment_address *at = ipmpi_group_alloc(group, sizeof(*at));
    uint8_t *can = ipmpi_group_alloc(group, 1);
    int err = at == NULL || can == NULL ? IPMPI_ENOMEM : 0;

    if (err == 0 && w->me == 0) {
        err = offer_segment(w, len, at);
    } else if (err == 0) {
        err = ipmpi_group_receive(group, at, sizeof(*at), w->mate[0]);
        if (err == 0)
            err = ipmpi_group_wait(group, false);
    }
    if (err != 0)
        return err;
    *can = at->len == len &&
           (w->me == 0 ||
            ipmpi_segment_open(at, IPMPI_SEGMENT_FILL, &w->segment) == 0) &&
           ipmpi_segment_open(at, IPMPI_SEGMENT_COPY, view_out) == 0;
    err = ipmpi_allreduce_doubling(group, can, &one);
    *can_out = err == 0 && *can != 0;
    return err;
}

/* ---- the whole -------------------------------------------------------- */

static int find_mates(struct work *w, const int *node)
{
    const struct ipmpi_group *group = w->group;

    w->mate = ipmpi_group_alloc(w->group, (size_t)group->n * sizeof(*w->mate));
    if (w->mate == NULL)
        return IPMPI_ENOMEM;
    for (int i = 0; i < group->n; i++) {
        if (node[i] != node[group->me])
            continue;
        if (i == group->me)
            w->me = w->n;
        w->mate[w->n++] = i;
    }
    return 0;
}

/* Of the leaders of several nodes, when all of these have their part. */
static int reduce_over_nodes(struct work *w, const int *node)
{
    struct ipmpi_group *group = w->group, whole;
    int place = 0, err;

    if (w->n == group->n)
        return 0;
    err = ipmpi_barrier(group);
    if (err != 0 || w->me != 0)
        return err;
    err = ipmpi_group_narrow(group, node, 0, &place, &whole);
    if (err != 0)
        return err;
    w->in_ring = true;
    err = ipmpi_allreduce_ring(group, NULL, ipmpi_buffer_data(w->segment),
                               w->numbers);
    ipmpi_group_widen(group, &whole);
    return err;
}

/* Nobody's view shows all before all are done. */
static int reduce_shared(struct work *w, const int *node)
{
    int err = reduce_on_node(w);

    if (err == 0)
        err = reduce_over_nodes(w, node);
    return err == 0 ? ipmpi_barrier(w->group) : err;
}

/* Each member for itself. */
static int reduce_apart(struct work *w, size_t len,
                        struct ipmpi_buffer **buffer_out)
{
    struct ipmpi_group *group = w->group;
    int err = ipmpi_buffer_alloc(len, &group->kept);

    if (err == 0)
        err = ipmpi_allreduce(group, w->mine, ipmpi_buffer_data(group->kept),
                              w->numbers);
    if (err != 0)
        return err;
    *buffer_out = group->kept;
    group->kept = NULL;
    return 0;
}

int ipmpi_allreduce_shared(struct ipmpi_group *group, const void *mine,
                           const struct ipmpi_numbers *numbers, const int *node,
                           struct ipmpi_buffer **buffer_out)
{
    struct work w = {.group = group, .numbers = numbers, .mine = mine};
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    struct ipmpi_buffer *view = NULL;
    bool can = false;
    int err;

    if (!ipmpi_numbers_can(numbers->number, numbers->operation) || len == 0)
        return IPMPI_EINVAL;
    w.size = ipmpi_number_size(numbers->number);
    ipmpi_buffer_release(&group->kept);
    err = find_mates(&w, node);
    if (err == 0)
        err = open_segment(&w, len, &view, &can);
    if (err == 0 && can)
        err = reduce_shared(&w, node);
    if (err != 0 && w.in_ring)
        group->kept = w.segment;
    else
        ipmpi_buffer_release(&w.segment); /* the views hold its memory */
    if (err == 0 && can) {
        *buffer_out = view;
        return 0;
    }
    ipmpi_buffer_release(&view);
    return err == 0 ? reduce_apart(&w, len, buffer_out) : err;
}

/* Broadcast to nodes, then by shared memory: the data goes to one member of
 * each node, its leader, by the broadcast that suits that many members; the
 * others of the node map what it has received (MPI-3 shared memory's idea,
 * Hoefler et al. 2013, but with segments, which leave no name behind).
 * Cost: one copy a node; within it a message of a few bytes each way. */
#include "collectives/internal.h"

#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/segment.h"

/* What a leader tells the others of its node; the segment's len is 0 if it has
 * none. What they answer is one byte: whether they can see it. */
struct offer {
    struct ipmpi_segment_address at;
};

static int bcast_leaders(struct ipmpi_group *group, void *data, size_t len,
                         int root, const int *node)
{
    struct ipmpi_group whole;
    int place = 0;
    int err = ipmpi_group_narrow(group, node, root, &place, &whole);

    if (err != 0)
        return err;
    err = ipmpi_bcast(group, data, len, place);
    ipmpi_group_widen(group, &whole);
    return err;
}

/* Memory for a leader: a segment, or at least memory. */
static int make_room(struct ipmpi_group *group, size_t len, struct offer *offer)
{
    int err = ipmpi_segment_create(len, &group->kept);

    if (err == 0)
        return ipmpi_segment_address(group->kept, &offer->at);
    ipmpi_log_debug("COLLECTIVE-SHARE", "no segment of %zu bytes (%s): copies",
                    len, ipmpi_strerror(err));
    offer->at.len = 0;
    return ipmpi_buffer_alloc(len, &group->kept);
}

/* A leader's part: offers to all others of its node, then sends to those that
 * cannot see the segment. */
static int offer_to_node(struct ipmpi_group *group, const struct offer *offer,
                         size_t len, int root, const int *node)
{
    const int n = group->n, me = group->me;
    const void *data = ipmpi_buffer_data(group->kept);
    uint8_t *answer = ipmpi_group_alloc(group, (size_t)n);
    int err = answer == NULL ? IPMPI_ENOMEM : 0;

    if (err == 0)
        memset(answer, 1, (size_t)n);
    for (int i = 0; i < n && err == 0; i++) {
        if (i == me || ipmpi_leader_of(node, i, root) != me)
            continue;
        err = ipmpi_group_receive(group, &answer[i], 1, i);
        if (err == 0)
            err = ipmpi_group_send(group, offer, sizeof(*offer), i);
    }
    if (err == 0)
        err = ipmpi_group_wait(group, false);
    for (int i = 0; i < n && err == 0; i++) {
        if (!answer[i])
            err = ipmpi_group_send(group, data, len, i);
    }
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

static int lead(struct ipmpi_group *group, const void *data, size_t len,
                int root, const int *node, struct ipmpi_buffer **buffer_out)
{
    struct offer *offer = ipmpi_group_alloc(group, sizeof(*offer));
    int err = offer == NULL ? IPMPI_ENOMEM : make_room(group, len, offer);
    void *room;

    if (err != 0)
        return err;
    room = ipmpi_buffer_data(group->kept);
    if (group->me == root)
        ipmpi_segment_fill(group->kept, data, len);
    err = bcast_leaders(group, room, len, root, node);
    if (err == 0)
        err = offer_to_node(group, offer, len, root, node);
    if (err != 0)
        return err;
    if (offer->at.len == 0 ||
        ipmpi_segment_open(&offer->at, IPMPI_SEGMENT_READ, buffer_out) != 0) {
        *buffer_out = group->kept;
        group->kept = NULL;
    }
    ipmpi_buffer_release(&group->kept); /* the views hold what it held */
    return 0;
}

static int follow(struct ipmpi_group *group, size_t len, int leader,
                  struct ipmpi_buffer **buffer_out)
{
    struct offer *offer = ipmpi_group_alloc(group, sizeof(*offer));
    uint8_t *can = ipmpi_group_alloc(group, 1);
    int err = offer == NULL || can == NULL ? IPMPI_ENOMEM : 0;

    if (err == 0)
        err = ipmpi_group_receive(group, offer, sizeof(*offer), leader);
    if (err == 0)
        err = ipmpi_group_wait(group, false);
    if (err != 0)
        return err;
    *can = offer->at.len == len &&
           ipmpi_segment_open(&offer->at, IPMPI_SEGMENT_READ, buffer_out) == 0;
    err = ipmpi_group_send(group, can, 1, leader);
    if (err == 0 && !*can) {
        ipmpi_log_debug("COLLECTIVE-SHARE",
                        "a segment of %zu bytes is out of "
                        "reach: a copy",
                        len);
        err = ipmpi_buffer_alloc(len, &group->kept);
        if (err == 0)
            err = ipmpi_group_receive(group, ipmpi_buffer_data(group->kept),
                                      len, leader);
    }
    if (err == 0)
        err = ipmpi_group_wait(group, false);
    if (err != 0 && *can) {
        ipmpi_buffer_release(buffer_out);
    } else if (err == 0 && !*can) {
        *buffer_out = group->kept;
        group->kept = NULL;
    }
    return err;
}

int ipmpi_bcast_shared(struct ipmpi_group *group, const void *data, size_t len,
                       int root, const int *node,
                       struct ipmpi_buffer **buffer_out)
{
    int leader;

    if (root < 0 || root >= group->n || len == 0)
        return IPMPI_EINVAL;
    ipmpi_buffer_release(&group->kept);
    leader = ipmpi_leader_of(node, group->me, root);
    return leader == group->me ? lead(group, data, len, root, node, buffer_out)
                               : follow(group, len, leader, buffer_out);
}

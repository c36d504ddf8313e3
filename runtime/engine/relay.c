/* Passing parcels on: the engine's part of a tree that rank 0 has laid out. */
#include <stdlib.h>

#include "runtime/base/error.h"
#include "runtime/engine/parcels.h"
#include "runtime/engine/state.h"

static const struct ipmpi_leg *legs_of(const struct ipmpi_frame *frame)
{
    return (const struct ipmpi_leg *)frame->data;
}

/* Every engine's part lies within that of the one before it. */
static bool are_nested(const struct ipmpi_leg *legs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const size_t end = i + legs[i].size;

        if (legs[i].size == 0 || end > n || legs[i].rank <= 0)
            return false;
        for (size_t child = i + 1; child < end;) {
            if (legs[child].size == 0 || legs[child].size > end - child)
                return false;
            child += legs[child].size;
        }
    }
    return n > 0 && legs[0].size == n;
}

bool ipmpi_legs_are_good(const struct ipmpi_frame *legs)
{
    return legs->len % sizeof(struct ipmpi_leg) == 0 &&
           are_nested(legs_of(legs), legs->len / sizeof(struct ipmpi_leg));
}

void ipmpi_parcels_say_lacks(struct ipmpi_engine *engine, uint64_t number,
                             int rank)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_LACKS,
                                        .detail = rank,
                                        .ref = number};
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_copy(&out, &head, sizeof(head));

    if (err == 0)
        err = ipmpi_comm_send(engine->comm, 0, &out);
    if (err != 0 && err != IPMPI_EDEAD)
        ipmpi_log_error("ENGINE-PARCEL",
                        "rank 0 is not told that rank %d "
                        "lacks a parcel: %s",
                        rank, ipmpi_strerror(err));
}

/* Of all engines behind `leg`, from `first` on. */
static void say_lack(struct ipmpi_engine *engine, uint64_t number,
                     const struct ipmpi_leg *leg, uint32_t first)
{
    for (uint32_t i = first; i < leg->size; i++)
        ipmpi_parcels_say_lacks(engine, number, leg[i].rank);
}

void ipmpi_parcels_say_all_lack(struct ipmpi_engine *engine, uint64_t number,
                                const struct ipmpi_frame *legs, uint32_t first)
{
    say_lack(engine, number, legs_of(legs), first);
}

static int send_to(struct ipmpi_engine *engine,
                   const struct ipmpi_msg_head *head,
                   const struct ipmpi_leg *leg, const struct ipmpi_frames *rest)
{
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_copy(&out, head, sizeof(*head));

    if (err == 0)
        err = ipmpi_frames_add_copy(&out, leg, leg->size * sizeof(*leg));
    if (err == 0)
        err = ipmpi_frames_add_from(&out, rest, 0, rest->n);
    if (err == 0)
        return ipmpi_comm_send(engine->comm, leg->rank, &out);
    ipmpi_frames_clear(&out);
    return err;
}

/* What is passed on, and how. */
struct relay {
    struct ipmpi_engine *engine;
    const struct ipmpi_msg_head *head;
    const struct ipmpi_frames *data, *at;
};

static void pass_one(const struct relay *relay, const struct ipmpi_leg *leg)
{
    const bool by_address = leg->local && relay->at != NULL;
    struct ipmpi_msg_head out = *relay->head;

    if (by_address)
        out.flags |= IPMPI_PARCEL_AT;
    if (leg->local) /* one a node keeps it */
        out.flags &= (uint16_t)~IPMPI_PARCEL_KEEP;
    if (send_to(relay->engine, &out, leg,
                by_address ? relay->at : relay->data) != 0)
        say_lack(relay->engine, out.ref, leg, 0);
}

/* The last first: other nodes, and the largest parts of the tree. */
static void pass_all(const struct relay *relay, const struct ipmpi_leg *leg,
                     const struct ipmpi_leg *end)
{
    if (leg >= end)
        return;
    pass_all(relay, leg + leg->size, end);
    pass_one(relay, leg);
}

void ipmpi_parcels_relay(struct ipmpi_engine *engine,
                         const struct ipmpi_msg_head *head,
                         const struct ipmpi_frame *legs,
                         const struct ipmpi_frames *data,
                         const struct ipmpi_frames *at)
{
    const struct relay relay = {engine, head, data, at};
    const struct ipmpi_leg *leg = legs_of(legs);

    pass_all(&relay, leg + 1, leg + leg->size);
}

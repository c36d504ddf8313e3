/* How thieves, victims and origins speak: note [theft] in protocol.h.
 *
 * What cannot be said for want of memory must not be lost in silence (note
 * [cannot send] in sender.c), so nothing here returns an error: the engine
 * leaves instead.
 *
 * Threads: the comm thread. Nothing blocks. */
#ifndef IPMPI_ENGINE_THEFT_MESSAGE_H
#define IPMPI_ENGINE_THEFT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"

struct ipmpi_engine;

/* A list of refs that grows while a message is prepared. All 0 is empty; its
 * user frees `at`. */
struct ipmpi_refs {
    uint64_t *at;
    size_t n, cap;
};

/* Members of the seating are numbered from 0, ranks of the world from 1. */
static inline int ipmpi_theft_rank_of(int member)
{
    return member + 1;
}

static inline int ipmpi_theft_member_of(int rank)
{
    return rank - 1;
}

/* Logs, and ends the process. */
_Noreturn void ipmpi_theft_no_memory(void);

void ipmpi_refs_add(struct ipmpi_refs *refs, uint64_t ref);

/* The refs as a frame, which borrows from them. */
struct ipmpi_frame ipmpi_refs_frame(const struct ipmpi_refs *refs);

/* A head of this type and detail. */
struct ipmpi_msg_head ipmpi_theft_head(int type, int detail);

/* Sends head, `refs` (may be NULL) and the frames of `more` from the second on
 * (may be NULL). All are lent. A dead rank is no error: its account is with
 * rank 0. */
void ipmpi_theft_say(struct ipmpi_engine *engine, int rank,
                     const struct ipmpi_msg_head *head,
                     const struct ipmpi_refs *refs,
                     const struct ipmpi_frames *more);

/* Sends a head without a detail, and nothing else. */
void ipmpi_theft_say_plain(struct ipmpi_engine *engine, int rank, int type);

#endif

/* What the controller of controller.h has received, for the other parts of
 * it: requests.c, thefts.c, transcript.c. Tests do not include this. */
#ifndef IPMPI_TESTS_ENGINE_KEPT_H
#define IPMPI_TESTS_ENGINE_KEPT_H

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"
#include "runtime/message/sign.h"

/* A message as it came: frames.at[0] has the head's bytes. The controller owns
 * it to the end of the job. */
struct kept {
    int engine; /* who sent it; -1: taken, and not found by type again */
    struct ipmpi_msg_head head;
    struct ipmpi_frames frames;
};

/* The message that came as number i, counted from 0; NULL: not yet. It stays
 * where it is. */
struct kept *kept_at(int i);

/* The first of an engine's that has this type and was not taken; NULL: none. */
struct kept *kept_find(int engine, enum ipmpi_msg_type type);

/* How many of the engine's replies aborted the cells behind them. */
int32_t kept_naborts(int engine);

/* When who begins to wait now has waited too long. */
int64_t kept_deadline(void);

/* Keeps what has come, or sleeps until something might have. For a loop around
 * a condition; fails the test when the deadline is over. */
void kept_turn(int64_t deadline);

/* What the engines sign with. */
const struct ipmpi_key *kept_key(void);

#endif

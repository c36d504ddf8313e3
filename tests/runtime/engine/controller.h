/* A controller for tests: rank 0 of a job whose other ranks are engines. It
 * sends what protocol.h has and keeps all that comes. Here is the job and its
 * messages; of what they are about: requests.h, transcript.h, thefts.h.
 *
 * There is one, for one group of tests, on one thread. Engines are numbered
 * from 0: engine n is rank n + 1. Whatever goes wrong fails the test, a wait
 * of more than 40 seconds too. */
#ifndef IPMPI_TESTS_ENGINE_CONTROLLER_H
#define IPMPI_TESTS_ENGINE_CONTROLLER_H

#include <stdbool.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"
#include "tests/check.h"

#define CONTROLLER_KEY "5be6d19a-ad0a0d4b453be6c64b3b282e"

/* cmocka's group fixtures: open the job and welcome all engines, wait for
 * READY; say BYE to all and finalise. 0: done. */
int controller_open(void **state);
int controller_close(void **state);

int controller_engines(void); /* how many */

/* Sends a message of any kind; `frames` (given) are those after its head,
 * whose version is filled in. */
void controller_send(int engine, const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames);
/* A message that is a head and nothing else. */
void controller_tell(int engine, enum ipmpi_msg_type type);
void controller_signal(int engine, int number);
/* Exactly this head, then so many frames "{}": for what no controller would
 * send. */
void controller_raw(int engine, const struct ipmpi_msg_head *head,
                    size_t head_len, int nframes);

/* Append a frame, copied from what is lent. */
void controller_add_text(struct ipmpi_frames *frames, const char *text);
void controller_add_refs(struct ipmpi_frames *frames, const uint64_t *refs,
                         int n);

/* Waits until the engine has sent a message of a type; returns the first's
 * head. */
struct ipmpi_msg_head controller_await_type(int engine,
                                            enum ipmpi_msg_type type);

/* How many messages of a type have been received, from all engines. */
int controller_count(enum ipmpi_msg_type type);
/* Waits until there are so many. */
void controller_await_count(enum ipmpi_msg_type type, int n);
/* Whether one of them has these. */
bool controller_has(enum ipmpi_msg_type type, uint64_t ref, int detail);

#endif

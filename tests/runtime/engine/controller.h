/* A controller for tests: rank 0 of a job whose other ranks are engines. It
 * sends what protocol.h has, keeps all that comes, and takes apart what the
 * engines have composed. */
#ifndef IPMPI_TESTS_ENGINE_CONTROLLER_H
#define IPMPI_TESTS_ENGINE_CONTROLLER_H

#include <stdbool.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"
#include "tests/check.h"

#define CONTROLLER_KEY "5be6d19a-ad0a0d4b453be6c64b3b282e"

/* Everything that an engine said about one request, in the order it came. */
struct transcript {
    int n;                                         /* messages */
    int busy, reply, idle, last_stream, published; /* places; -1: none */
    int nreplies, nstreams;
    struct ipmpi_msg_head head; /* of the reply */
    char metadata[1024], content[1024], type[64];
    char *text[2]; /* stdout, stderr, joined */
    size_t text_len[2];
    size_t buffer_bytes; /* of the reply */
    int nbuffers;
    char publication[256];
};

/* cmocka's group fixtures: open the job and welcome all engines, wait for
 * READY; say BYE to all and finalise. */
int controller_open(void **state);
int controller_close(void **state);

int controller_engines(void); /* how many */

/* Sends a request whose content is {"do":"<order>"}; returns its ref. */
uint64_t controller_work(int engine, enum ipmpi_work_kind kind,
                         const char *msg_type, const char *order);

/* An execute_request sent before this rank had the engine's last reply that
 * aborted queued cells. */
uint64_t controller_late_cell(int engine, const char *order);
/* The same with one buffer of each length, its bytes counting up. */
uint64_t controller_work_buffers(int engine, const char *order,
                                 const size_t *len, int n);
uint64_t controller_control(int engine, const char *msg_type);

/* Sends a message of any kind; `frames` (given) are those after its head. */
void controller_send(int engine, const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames);

/* Work whose content and buffers are in a parcel; returns its ref. */
uint64_t controller_parcel_work(int engine, uint64_t number);

/* How many messages of a type have come. */
int controller_count(enum ipmpi_msg_type type);
/* Waits until there are so many. */
void controller_await_count(enum ipmpi_msg_type type, int n);
/* Whether one of them has these. */
bool controller_has(enum ipmpi_msg_type type, uint64_t ref, int detail);

/* An apply_request that any engine may run; flags: more, IPMPI_WORK_*. */
uint64_t controller_task(int engine, unsigned flags, const char *order);
/* A message of head, detail and two arrays of refs: GIVE, GRANT, GONE. */
void controller_say(int engine, enum ipmpi_msg_type type, int detail,
                    const uint64_t *refs, int n, const uint64_t *others,
                    int nothers);
/* Waits for a message of this type and takes it: its refs, how many, and its
 * detail. */
int controller_take_refs(int engine, enum ipmpi_msg_type type,
                         uint64_t *refs_out, int cap, int *detail_out);
/* Plays rank 0: grants every theft until the requests are done. Returns how
 * many tasks moved. */
int controller_grant_until_done(const uint64_t *refs, int n);
/* The engine that said that it runs the request; -1: none has. */
int controller_where(uint64_t ref);

void controller_abort(int engine, const uint64_t *refs, int n);
void controller_signal(int engine, int number);
void controller_tell(int engine, enum ipmpi_msg_type type);
/* As it is: for what no controller would send. */
void controller_raw(int engine, const struct ipmpi_msg_head *head,
                    size_t head_len, int nframes);

/* Waits until idle (or, for controls, the reply) came for the request, and
 * tells all that was said. Every message's signature and parent is checked.
 * Free the texts by transcript_clear. */
void controller_await(uint64_t ref, struct transcript *out);
void transcript_clear(struct transcript *t);

/* Waits for a message of a type without ref; returns its head. */
struct ipmpi_msg_head controller_await_type(int engine,
                                            enum ipmpi_msg_type type);

/* Waits until the request has started. */
void controller_await_busy(uint64_t ref);

/* Whether idle has come already. */
bool controller_is_done(uint64_t ref);

#endif

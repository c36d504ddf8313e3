/* An engine: the rank that runs Python. This is everything that the embedding
 * module needs of it; nothing here knows Python or takes its GIL.
 *
 * A comm thread owns MPI: it receives work, controls, aborts and signals,
 * and composes, signs and sends what the Python threads post. It sleeps while
 * nothing moves.
 *
 * What is posted leaves in the order posted: busy, output, reply, idle.
 *
 * Threads: "main" is the thread that joined (Python's main thread); the others
 * say so. In a forked child of the engine, and after leave, everything
 * returns IPMPI_ESTATE, except that write writes to the descriptor itself, and
 * flush and wait_room have nothing to do. */
#ifndef IPMPI_ENGINE_ENGINE_H
#define IPMPI_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"
#include "runtime/engine/queue.h"

struct ipmpi_engine; /* opaque */

/* Who we are; constant once joined, owned by the engine. */
struct ipmpi_engine_identity {
    int engine_id;
    int rank; /* in the engines' own communicator */
    int size; /* of that communicator */
    const char *uuid, *session, *username;
    const uint8_t *key; /* text of the HMAC key; may be empty */
    size_t key_len;
    uintptr_t user_world;       /* value of that communicator's MPI_Comm */
    uintptr_t collective_world; /* a duplicate of it, for collectives/ */
    int wake_fd;                /* readable: there is something for main */
    int stdout_fd, stderr_fd;   /* where 1 and 2 went before; -1: nowhere */
};

/* Why the engine has to stop. */
enum ipmpi_stop {
    IPMPI_STOP_NOT = 0,
    IPMPI_STOP_ENGINE, /* this engine was told to leave */
    IPMPI_STOP_JOB,    /* the job ends */
};

/* A reply in which rank 0 is told that we do not know the type; no client
 * sees it. A status beside those of enum ipmpi_status. */
#define IPMPI_STATUS_UNKNOWN 100

/* What is answered to a request. The frames are given: moved away or released
 * by the call, also when it fails. */
struct ipmpi_answer {
    int status;                  /* enum ipmpi_status or ..._UNKNOWN */
    bool abort_queued;           /* also abort waiting execute_requests */
    struct ipmpi_frames content; /* one frame of JSON; none: {"status":"ok"},
                                  * or aborted as the status says */
    struct ipmpi_frames buffers;
};

/* What is published. Strings and views are lent, `buffers` is given. */
struct ipmpi_publication {
    const char *msg_type;
    const char *topic;           /* NULL: engine.<id>.<msg_type> */
    struct ipmpi_frame content;  /* JSON; length 0: {} */
    struct ipmpi_frame metadata; /* JSON; data NULL: {"engine": uuid} */
    struct ipmpi_frame parent;   /* JSON; data NULL: the current parent */
    struct ipmpi_frames buffers;
};

/* Initialises MPI, waits for rank 0's welcome, captures descriptors 1 and 2,
 * and starts the comm thread. Blocks until all ranks have come; main is then
 * the calling thread. Logs the reason of a failure: the errors of
 * ipmpi_comm_open, IPMPI_ETIMEOUT (no welcome), IPMPI_ESYS. */
int ipmpi_engine_join(struct ipmpi_engine **engine_out);

const struct ipmpi_engine_identity *
ipmpi_engine_identity(const struct ipmpi_engine *engine);

/* Tells rank 0 that work may come. Main; never blocks. IPMPI_ENOMEM. */
int ipmpi_engine_ready(struct ipmpi_engine *engine, const char *version);

/* Flushes, tells rank 0 that nothing more will come, waits until the job
 * ends, gives back descriptors 1 and 2, finalises MPI. Main; blocks. Controls
 * and waits of other threads end at once; later calls return IPMPI_ESTATE.
 * When MPI cannot be finalised, because a rank died, the process ends here by
 * _exit(0): MPI leaves no other way. */
int ipmpi_engine_leave(struct ipmpi_engine *engine);

/* Frees what is left. Only when no other thread can be inside a function of
 * this header: a process that cannot know keeps the engine until it exits. */
void ipmpi_engine_destroy(struct ipmpi_engine **engine);

/* ---- waking --------------------------------------------------------- */

/* Rearms wake_fd. Afterwards main must take() until there is nothing, or call
 * wake() itself: what came before this call is not announced again. */
void ipmpi_engine_clear_wake(struct ipmpi_engine *engine);

/* Makes wake_fd readable. Any thread. */
void ipmpi_engine_wake(struct ipmpi_engine *engine);

enum ipmpi_stop ipmpi_engine_stop_requested(const struct ipmpi_engine *engine);

/* ---- work: main ----------------------------------------------------- */

/* Takes the oldest waiting work, publishes busy and makes its header the
 * parent of all output from now on. The work stays the engine's, and lives
 * until its reply or finish. Never blocks. IPMPI_EEMPTY: nothing waits, or a
 * control has to be answered first (wake_fd tells when), or we are to stop. */
int ipmpi_engine_take(struct ipmpi_engine *engine,
                      const struct ipmpi_work **work_out);

/* Answers work that was taken: output written so far, the reply, idle.
 * Waits while too much output waits to be sent. IPMPI_ENOENT: no such work
 * was taken; IPMPI_ESTATE: work of a kind that has no reply; IPMPI_ENOMEM:
 * nothing happened, but the answer is released. */
int ipmpi_engine_reply(struct ipmpi_engine *engine, uint64_t ref,
                       struct ipmpi_answer *answer);

/* Answers a part of a piece of a bulk job, which goes on. Errors as of
 * reply. */
int ipmpi_engine_reply_part(struct ipmpi_engine *engine, uint64_t ref,
                            struct ipmpi_answer *answer);

/* Notes how far the work that main runs has come: its items before `step` have
 * begun. Rank 0 learns of it if the engine dies. Costs a store. */
void ipmpi_engine_step(struct ipmpi_engine *engine, uint64_t step);

/* Ends work that has no reply: output written so far, idle. IPMPI_ENOENT. */
int ipmpi_engine_finish(struct ipmpi_engine *engine, uint64_t ref);

/* Whether the work that main runs has been given up elsewhere (a share of a
 * collective that failed, a bulk job that was aborted): the reason, cut to
 * `cap` with its NUL. Main; never blocks. */
bool ipmpi_engine_is_cancelled(struct ipmpi_engine *engine, char *why_out,
                               size_t cap);

/* Answers all waiting execute_requests as aborted. IPMPI_ENOMEM. */
int ipmpi_engine_abort_queued(struct ipmpi_engine *engine);

/* ---- controls: one other thread ------------------------------------- */

/* Waits for a control request; it lives until its reply. IPMPI_ESTATE: the
 * engine leaves or the job ends. */
int ipmpi_engine_take_control(struct ipmpi_engine *engine,
                              const struct ipmpi_work **work_out);

/* As ipmpi_engine_reply, without busy and idle. */
int ipmpi_engine_reply_control(struct ipmpi_engine *engine, uint64_t ref,
                               struct ipmpi_answer *answer);

/* ---- output: any thread, never blocks ------------------------------- */

/* Publishes after all output written so far. IPMPI_EINVAL: msg_type is not a
 * plain word. IPMPI_ENOMEM. */
int ipmpi_engine_publish(struct ipmpi_engine *engine,
                         struct ipmpi_publication *publication);

/* Appends UTF-8 text to stdout (1) or stderr (2) of the current parent; sent
 * within 0.1 s. IPMPI_EINVAL: another descriptor. IPMPI_ENOMEM. */
int ipmpi_engine_write(struct ipmpi_engine *engine, int fd, const char *text,
                       size_t len);

/* Sends what was written so far now. IPMPI_ENOMEM. */
int ipmpi_engine_flush(struct ipmpi_engine *engine);

/* The request header (JSON, copied) to which output belongs from now on. */
int ipmpi_engine_set_parent(struct ipmpi_engine *engine, const char *header,
                            size_t len);

/* Whoever is about to post output asks first: waits up to `wait_ms` while
 * more than 8 MiB wait to be sent; IPMPI_ETIMEOUT. 0 also when the job has
 * ended: nothing is kept then. */
int ipmpi_engine_wait_room(struct ipmpi_engine *engine, int wait_ms);

#endif

/* Children: work that tasks submit on their own engine. They wait in its deque,
 * where thieves find them; a stolen one answers from rank to rank. The engine
 * is their origin and keeps the account of who holds which: children_account.h.
 *
 * Threads: each function says whose; "any" may be several at a time. */
#ifndef IPMPI_ENGINE_CHILDREN_H
#define IPMPI_ENGINE_CHILDREN_H

#include <pthread.h>
#include <stdbool.h>

#include "runtime/base/frames.h"
#include "runtime/engine/queue.h"
#include "runtime/tasks/holdings.h"

struct ipmpi_engine;
struct ipmpi_child;

struct ipmpi_children {
    pthread_mutex_t lock;         /* guards what follows */
    struct ipmpi_child *by_ref;   /* those not forgotten, or not yet done */
    struct ipmpi_holder *holders; /* by rank in the world */
    uint64_t last;
    int event_fd; /* readable: something has changed */
};

/* What became of a child. */
struct ipmpi_child_outcome {
    bool done;
    int status;                 /* enum ipmpi_status */
    char lost[512];             /* how its engine died; empty: it did not */
    struct ipmpi_frames frames; /* content, then buffers: the caller's */
};

/* With the transport open. IPMPI_ENOMEM, IPMPI_ESYS. */
int ipmpi_children_open(struct ipmpi_engine *engine);
void ipmpi_children_clear(struct ipmpi_children *children);

/* ---- Python's threads (any) ------------------------------------------ */

/* Submits a call; `buffers` are given. Its output belongs to the parent of
 * now. IPMPI_ENOMEM, IPMPI_ESTATE. */
int ipmpi_engine_submit(struct ipmpi_engine *engine,
                        struct ipmpi_frames *buffers, uint64_t *ref_out);

/* IPMPI_ENOENT: nobody knows it; IPMPI_ESTATE. If it is done, it is forgotten.
 */
int ipmpi_engine_child_outcome(struct ipmpi_engine *engine, uint64_t ref,
                               struct ipmpi_child_outcome *out);

/* The child is not to run: it is done, IPMPI_STATUS_ABORTED. IPMPI_ESTATE: it
 * does not wait on this engine (it runs, has ended, or was stolen). */
int ipmpi_engine_child_cancel(struct ipmpi_engine *engine, uint64_t ref);

/* Nobody will ask for it. */
void ipmpi_engine_child_forget(struct ipmpi_engine *engine, uint64_t ref);

/* Readable when a child has ended or come back; read by whoever waits. */
int ipmpi_engine_children_fd(const struct ipmpi_engine *engine);

/* The thread that runs work: a child that was taken is about to begin. Blocks,
 * a second at most, until MPI has the word of it for another origin. */
void ipmpi_children_begin(struct ipmpi_engine *engine,
                          const struct ipmpi_work *work);

/* The thread that runs work: this child if it waits here, else any that does.
 * It is started as by ipmpi_engine_take, and stays the engine's. Blocks as
 * ipmpi_children_begin does. IPMPI_EEMPTY: this engine has none now, and looks
 * for some elsewhere; IPMPI_ESTATE. */
int ipmpi_engine_help(struct ipmpi_engine *engine, uint64_t ref,
                      const struct ipmpi_work **work_out);

/* The thread that runs work: ends a child that was taken; its frames (content,
 * buffers) are given. IPMPI_ENOENT, IPMPI_ENOMEM, IPMPI_ESTATE. */
int ipmpi_engine_child_reply(struct ipmpi_engine *engine, uint64_t ref,
                             int status, struct ipmpi_frames *frames);

/* ---- any thread ------------------------------------------------------ */

/* Children may have come: whoever waits for one is to look. */
void ipmpi_children_stir(struct ipmpi_engine *engine);

/* The origin of a piece of work: a rank of this world, 0 if it is rank 0's. */
int ipmpi_children_origin(const struct ipmpi_engine *engine, uint64_t ref);

#endif

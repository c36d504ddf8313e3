/* What an engine consists of; for the files of this directory only.
 *
 * Threads: each member says whose it is; "constant" is set before the comm
 * thread starts. */
#ifndef IPMPI_ENGINE_STATE_H
#define IPMPI_ENGINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "runtime/base/log.h"
#include "runtime/engine/children.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/branches.h"
#include "runtime/engine/output.h"
#include "runtime/engine/parcels.h"
#include "runtime/engine/sender.h"
#include "runtime/engine/theft.h"
#include "runtime/process/account.h"

/* Control requests, for one other thread of Python. */
struct ipmpi_controls {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t came;  /* a request, or the end */
    struct ipmpi_work *waiting, **tail;
    struct ipmpi_work *started;
    bool ended;
};

/* Why shares of collectives cannot succeed: what rank 0 said of the last few.
 * Two pieces of work at most are at an engine, so old notes are stale. */
enum { IPMPI_CANCELS_CAP = 16 };

struct ipmpi_cancels {
    pthread_mutex_t lock; /* guards what follows */
    struct ipmpi_cancel {
        uint64_t ref; /* 0: unused */
        char *why;
    } at[IPMPI_CANCELS_CAP];
    unsigned next;
};

struct ipmpi_engine {
    /* constant */
    pid_t pid;
    pthread_t main_thread, comm_thread;
    struct ipmpi_engine_identity identity;
    struct ipmpi_frames welcome; /* the identity's strings are copies of */
    char *strings;               /* its frames, with NULs */
    char key_text[256];          /* of a file, see find_key */
    struct ipmpi_key *key;
    struct ipmpi_composer *composer;
    struct ipmpi_speaker speaker;
    int link_fd, wake_fd;

    /* any thread */
    struct ipmpi_queue *queue;
    struct ipmpi_outbox *outbox;
    struct ipmpi_output *output;
    struct ipmpi_controls controls;
    struct ipmpi_cancels cancels;
    atomic_bool awake;   /* wake_fd was written and not yet cleared */
    atomic_int stop;     /* enum ipmpi_stop; only grows */
    atomic_bool leaving; /* main is in leave(): Python has stopped */
    atomic_bool left;    /* leave() is done */

    /* main */
    struct ipmpi_work *started;
    struct ipmpi_account *account; /* NULL: nobody would read it */
    int32_t naborts;               /* replies with IPMPI_REPLY_ABORT_QUEUED */

    /* comm thread (main before it starts and after it ends) */
    struct ipmpi_comm *comm;
    struct ipmpi_sender sender;
    struct ipmpi_parcels parcels;
    struct ipmpi_branches branches;
    struct ipmpi_theft theft;
    struct ipmpi_children children; /* any thread */
    bool job_ended;                 /* BYE came */
    bool welcomed;                  /* WELCOME came */
    bool expects;                   /* work was queued: see note [busy] */
    int exit_code;                  /* of the last resort */
    int64_t interrupt_at_us; /* main is still busy: interrupt it; 0: no */
    int64_t abandon_at_us;   /* what rank 0 does not take; 0: not yet */
    int64_t gone_by_us;      /* the last resort; 0: none */
    struct ipmpi_log_limit bad_message;
};

/* 0, or IPMPI_ESTATE: left, or this is a forked child. */
int ipmpi_engine_check(const struct ipmpi_engine *engine);

/* Receives a message from rank 0 (an ipmpi_receive_fn). Comm thread. */
void ipmpi_engine_receive(void *engine, int source,
                          struct ipmpi_frames *frames);

/* Makes work of a message that brings some; its frames move. IPMPI_EFRAME,
 * IPMPI_ENOMEM. */
int ipmpi_engine_make_work(const struct ipmpi_msg_head *head,
                           struct ipmpi_frames *frames,
                           struct ipmpi_work **work_out);

/* Raises the stop flag and wakes everyone that waits. Comm thread. */
void ipmpi_engine_stop(struct ipmpi_engine *engine, enum ipmpi_stop stop);

/* Looks at the link to the nanny. Comm thread. Does not return if the nanny
 * is gone. */
void ipmpi_engine_check_link(struct ipmpi_engine *engine);

/* The comm thread: `arg` is the engine. Ends after BYE and leave(). */
void *ipmpi_engine_run(void *arg);

/* Answers a list of work as aborted and frees it. Any thread. IPMPI_ENOMEM:
 * none is answered; the list is freed all the same. */
int ipmpi_engine_answer_aborted(struct ipmpi_engine *engine,
                                struct ipmpi_work **list);

/* Notes of collectives that failed elsewhere. `why` is lent. */
void ipmpi_cancels_init(struct ipmpi_cancels *cancels);
void ipmpi_cancels_clear(struct ipmpi_cancels *cancels);
void ipmpi_cancels_add(struct ipmpi_cancels *cancels, uint64_t ref,
                       const struct ipmpi_frame *why);

/* Control requests. */
void ipmpi_controls_init(struct ipmpi_controls *controls);
void ipmpi_controls_clear(struct ipmpi_controls *controls);
void ipmpi_controls_push(struct ipmpi_controls *controls,
                         struct ipmpi_work **work);
void ipmpi_controls_end(struct ipmpi_controls *controls);
bool ipmpi_controls_are_busy(struct ipmpi_controls *controls);

#endif

/* The transport: lists of frames between the ranks of a job, by MPI, with
 * doorbells for ranks that sleep. The one door to mpi.h besides collectives/.
 *
 * Small frames travel packed in one MPI message; large ones follow as messages
 * of their own, straight from and into the memory where they live, in pieces
 * where they are larger than an MPI count.
 *
 * Order: messages from one rank to another arrive in the order sent.
 * Threads: everything here belongs to the one runtime thread of the rank
 *          (rank 0's loop, an engine's comm thread); user code may use MPI in
 *          other threads meanwhile (MPI_THREAD_MULTIPLE). */
#ifndef IPMPI_COMM_COMM_H
#define IPMPI_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"
#include "runtime/bell/bell.h"
#include "runtime/comm/room.h"

struct ipmpi_comm; /* opaque */

/* Where on its host a rank runs: numbers that mean something there. -1: not
 * known, or it may run anywhere. */
struct ipmpi_comm_spot {
    int32_t package, cache;
};

/* Zero-initialised is a good choice. */
struct ipmpi_comm_options {
    uint32_t protocol;     /* version of what the caller will send: must be
                            * the same on all ranks */
    uint32_t bell_ipv4_be; /* this host's address for the bells of other hosts;
                            * used only if the job spans hosts. 0: none, then
                            * other hosts cannot wake this rank */
    struct ipmpi_comm_spot spot; /* told to all ranks of the world */
};

/* Initialises MPI (thread level multiple) and makes the runtime's and the
 * engines' communicators. Collective over all ranks of the job; blocks until
 * all have come. `options` (lent) may be NULL. Logs the reason of a failure:
 * IPMPI_EMPI, IPMPI_ENOMEM, IPMPI_ESYS, IPMPI_EVERSION (the ranks run
 * different versions). */
int ipmpi_comm_open(const struct ipmpi_comm_options *options,
                    struct ipmpi_comm **comm_out);

/* Lets what was sent leave, then finalises MPI; collective over the living
 * ranks. What has come and was not handed out is lost. MPI_Finalize runs in a
 * thread of its own: with dead ranks it may never return, so after `wait_ms`
 * this gives up with IPMPI_ETIMEOUT, and the caller leaves by _exit(). No
 * other thread may be inside MPI. */
int ipmpi_comm_close(struct ipmpi_comm **comm, int wait_ms);

/* A spawned rank (see ipmpi_comm_spawn) opens with its world alone: rank 0 and
 * the ranks that were started with it, 1 .. size - 1. */
int ipmpi_comm_rank(const struct ipmpi_comm *comm);

/* What this rank is to rank 0: its rank, and of a spawned rank a number that
 * no other has. */
int ipmpi_comm_number(const struct ipmpi_comm *comm);

/* On rank 0 all ranks that ever were, also those not here yet. */
int ipmpi_comm_size(const struct ipmpi_comm *comm);

/* The world of a peer, counted from 0, and its rank there, by which the other
 * ranks of that world know it. -1: it has not come yet. */
int ipmpi_comm_place(const struct ipmpi_comm *comm, int number, int *rank_out);

/* Where a rank's bell hangs; for nannies. */
const struct ipmpi_bell_address *
ipmpi_comm_address(const struct ipmpi_comm *comm, int rank);

/* What that rank said of itself in its options. */
struct ipmpi_comm_spot ipmpi_comm_spot_of(const struct ipmpi_comm *comm,
                                          int rank);

/* Sends `frames` (given: moved away, empty afterwards; also on failure) to
 * `dest`, and rings if it may sleep. Never blocks. IPMPI_EDEAD: dest was
 * marked dead. IPMPI_ETOOBIG: more than 2^24 frames, or a frame above 2^46
 * bytes. IPMPI_EINVAL: no such rank. IPMPI_ENOMEM. */
int ipmpi_comm_send(struct ipmpi_comm *comm, int dest,
                    struct ipmpi_frames *frames);

/* Between the two, small messages wait, so that those to one peer share
 * packets. Nothing may sleep meanwhile. Not nested. */
void ipmpi_comm_hold(struct ipmpi_comm *comm);
void ipmpi_comm_let_go(struct ipmpi_comm *comm);

/* Called for each message that arrives; may move `frames` away, what it leaves
 * is cleared. It may send and mark dead, not progress. Frames from 16 KiB on
 * are buffers of exactly their size; the others of one message share one, and
 * each starts at a multiple of 8. */
typedef void ipmpi_receive_fn(void *ctx, int source,
                              struct ipmpi_frames *frames);

/* From now on `room` (copied) is asked where large frames shall lie. */
void ipmpi_comm_set_room(struct ipmpi_comm *comm,
                         const struct ipmpi_room *room);

/* One turn: completes sends, takes in at most `budget` messages. Returns how
 * many things it did; 0 means that nothing moved. Never blocks. */
unsigned ipmpi_comm_progress(struct ipmpi_comm *comm, unsigned budget,
                             ipmpi_receive_fn *receive, void *ctx);

/* Sleeping, in this order:
 *   1. wait = ipmpi_comm_before_sleep(comm)   announces it; others will ring
 *   2. poll() on ipmpi_comm_fds() and the caller's own, at most `wait` ms
 *      (-1: as long as the caller likes; 0: something has come, do not sleep)
 *   3. ipmpi_comm_after_sleep(comm, ...)      drains the bell
 * The short adaptive spin before a sleep happens inside step 1. Take these
 * steps also when there is work (with a poll of 0 ms): notices come in step 3.
 * While large messages are under way step 1 returns 0, so that both ends keep
 * MPI moving; with nothing under way a rank wakes once in 5 s. */
int ipmpi_comm_before_sleep(struct ipmpi_comm *comm);
int ipmpi_comm_fds(const struct ipmpi_comm *comm, int fds_out[2]);
void ipmpi_comm_after_sleep(struct ipmpi_comm *comm, ipmpi_notice_fn *notice_fn,
                            void *ctx);

/* The peer will never answer: sends to it are abandoned (their memory is kept
 * until the end, since MPI may still read it), later sends fail, and nothing
 * from it is handed out any more: progress first if its last words matter.
 * The transport does this itself to a peer that sends nonsense or that MPI
 * gives up; it logs that. */
void ipmpi_comm_mark_dead(struct ipmpi_comm *comm, int peer);
/* The same to a peer that has taken its leave: it is told first that its
 * messages have come. A rank that says goodbye to worlds that were spawned
 * waits for that in close, since MPI would not wait for them. */
void ipmpi_comm_part(struct ipmpi_comm *comm, int peer);
bool ipmpi_comm_is_dead(const struct ipmpi_comm *comm, int peer);

/* Rank 0 alone: starts `n` more processes of `command` with these arguments
 * (lent, ended by NULL), as a world of their own. Never blocks: MPI starts
 * them in a thread. Their numbers are those from ipmpi_comm_size() as it was
 * before the call; until they have come, they count as dead. `host` (may be
 * NULL) is a node to add to the job for them, "NAME:SLOTS". IPMPI_EINVAL,
 * IPMPI_ENOMEM, IPMPI_ESYS: then nothing has been started. */
int ipmpi_comm_spawn(struct ipmpi_comm *comm, const char *command,
                     char *const *argv, int n, const char *host);

/* Readable when a spawn has ended; -1 until there was one. */
int ipmpi_comm_spawn_fd(const struct ipmpi_comm *comm);

/* How a spawn ended. */
struct ipmpi_spawned {
    int first, n;  /* numbers first .. first + n - 1 */
    int err;       /* IPMPI_EMPI: they were not started; else as open */
    char why[512]; /* of err, for people */
};

/* Takes the next spawn that has ended; its ranks, if they came, are peers
 * now, but for those marked dead meanwhile. IPMPI_EEMPTY: none has ended. */
int ipmpi_comm_spawned(struct ipmpi_comm *comm, struct ipmpi_spawned *out);

/* Before closing: takes all spawns, waiting for those under way. Blocks.
 * IPMPI_ETIMEOUT: one goes on, and MPI cannot be finalised. */
int ipmpi_comm_await_spawns(struct ipmpi_comm *comm, int wait_ms);

/* Bytes handed to send and not yet taken by MPI, all peers or one (-1: all). */
size_t ipmpi_comm_unsent_bytes(const struct ipmpi_comm *comm, int peer);

/* The engines' own communicator for user code (rank = engine id), as the
 * integer value of its MPI_Comm handle; 0 on rank 0. Owned by comm. */
uintptr_t ipmpi_comm_user_world(const struct ipmpi_comm *comm);

/* A duplicate of it for collectives/, which no user code sees: they may use it
 * from any thread. As above. */
uintptr_t ipmpi_comm_collective_world(const struct ipmpi_comm *comm);

/* What happened so far; for tests and metrics. */
struct ipmpi_comm_counters {
    uint64_t messages_sent, messages_received;
    uint64_t packets_sent, packets_received; /* small messages share packets */
    uint64_t sleeps;      /* times that before_sleep let the caller sleep */
    uint64_t spins_hit;   /* times that the spin before it made it needless */
    uint64_t bells_rung;  /* by this rank, */
    uint64_t bells_again; /* of these, because nobody seemed to hear */
};

void ipmpi_comm_counters(const struct ipmpi_comm *comm,
                         struct ipmpi_comm_counters *counters_out);

#endif

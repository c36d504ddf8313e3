/* What the files of the transport share. Nobody else includes this.
 *
 * Out: ipmpi_comm_send -> (queue of messages) -> flight: a packet and, after
 *      it, the pieces of its large frames -> MPI.
 * In:  MPI -> arrival: a packet and its pieces -> messages, in the order of
 *      the arrivals of one source.
 * Threads: the runtime thread only. */
#ifndef IPMPI_COMM_INTERNAL_H
#define IPMPI_COMM_INTERNAL_H

#include <mpi.h>

#include "runtime/base/log.h"
#include "runtime/comm/awake.h"
#include "runtime/comm/comm.h"
#include "runtime/comm/packet.h"

enum { IPMPI_TAG_PACKET = 1, IPMPI_TAG_PIECE = 2 };

/* Packets on their way to one peer at one time. */
#define IPMPI_FLIGHTS_MAX 32
/* Note [window]. Bytes of pieces on their way to (or from) one peer, and to
 * all peers, at one time. MPI tells only of whole pieces, and shares its pace
 * among all that it was given: small windows make sure that something
 * completes often while data moves, so that a rank can tell moving from
 * stuck, spins only in the first case, and sleeps in the second. Receives
 * have no window for all peers: every piece that was started must find its
 * receive posted, or ranks could wait for each other in a ring. */
#define IPMPI_PEER_WINDOW ((size_t)4 * 1024 * 1024)
#define IPMPI_WINDOW      ((size_t)16 * 1024 * 1024)

/* How long requests in flight keep a rank from sleeping when none completes:
 * a window takes about this long on a slow network. */
#define IPMPI_BUSY_PACKET_US 1000
#define IPMPI_BUSY_PIECE_US  50000

/* A list of frames that waits for its turn. */
struct message {
    struct message *next;
    struct ipmpi_frames frames;
    struct ipmpi_record_plan plan;
};

/* A packet on its way out. */
struct flight {
    struct flight *next; /* in the peer's stream, free list or graveyard */
    int peer;
    unsigned in_flight; /* requests */
    bool streaming;     /* pieces are left to start */
    bool abandoned;
    size_t bytes; /* of frames, for unsent_bytes */
    struct ipmpi_frames frames;
    struct ipmpi_pieces pieces;
    uint8_t *packet; /* `room`, or memory of its own */
    _Alignas(8) uint8_t room[4096];
};

enum arrival_state {
    ARRIVAL_MATCHED, /* no memory for the packet yet */
    ARRIVAL_PACKET,  /* the packet is being received */
    ARRIVAL_HERE,    /* received and checked; frames may lack memory */
    ARRIVAL_PIECES,  /* large frames are being received */
    ARRIVAL_COMPLETE,
};

/* A packet on its way in. */
struct arrival {
    struct arrival *next;
    int source;
    enum arrival_state state;
    unsigned in_flight;
    bool abandoned;
    MPI_Message match;
    size_t len;
    struct ipmpi_buffer *packet;
    struct ipmpi_packet_reader reader;
    bool lone;                  /* one record: its frames are made at once */
    struct ipmpi_frames frames; /* of a lone record */
    struct ipmpi_pieces pieces;
};

struct peer {
    int number;     /* in comm->peers */
    MPI_Comm world; /* where it is, */
    int rank;       /* and its rank there */
    struct ipmpi_bell_address address;
    struct ipmpi_comm_spot spot;
    bool dead;
    bool expected; /* dead only until its world has come */
    bool shared;   /* the page of awake.h */

    struct message *queue_first, **queue_end;
    struct flight *stream_first, **stream_end;
    unsigned n_flights;
    size_t piece_bytes_out;
    size_t unsent;
    uint32_t sent, confirmed; /* packets; the latter told by the peer */
    bool watched;             /* in comm->watched */
    bool ring_owed;           /* in comm->owed */
    int64_t rung_us;

    struct arrival *first, **end; /* undelivered, in order */
    struct arrival *unread;       /* first that is not ARRIVAL_PIECES yet */
    struct arrival *stream;       /* first whose pieces are not all posted */
    size_t piece_bytes_in;
    uint32_t taken, told;
    bool ack_owed; /* in comm->acks */
    struct peer *next_ready;
    bool ready;
    bool is_held; /* in comm->held */
};

enum op_kind { OP_SEND_PACKET, OP_SEND_PIECE, OP_RECV_PACKET, OP_RECV_PIECE };

struct op {
    enum op_kind kind;
    int peer;
    int bytes;
    void *what; /* struct flight or struct arrival */
};

/* MPI requests and what they belong to; parallel arrays. */
struct requests {
    MPI_Request *at;
    struct op *ops;
    int *index;
    MPI_Status *status;
    struct op *done;
    int n, cap;
};

/* Ranks that share a communicator with this one. Rank r of it is the peer with
 * the number first + r - 1; rank 0 is the job's rank 0 in each of them. */
struct world {
    MPI_Comm comm;
    int first;
    bool announces; /* all of it shares our page: note [announced] in awake.c */
};

/* Peers by number, each at most once. */
struct peer_list {
    int *at;
    int n;
};

struct ipmpi_comm {
    int rank, size;       /* in peers */
    int first;            /* rank 0's number for rank 1 of this rank's world */
    struct world *worlds; /* of an engine only its own */
    int n_worlds;
    bool spawned;
    struct spawn *spawns; /* under way */
    int spawn_fd;         /* readable when one has ended; -1 */
    uint32_t protocol;
    MPI_Comm engines;     /* user code's; MPI_COMM_NULL on rank 0 */
    MPI_Comm collectives; /* a duplicate of `engines` */
    struct ipmpi_bell *bell;
    struct ipmpi_awake *awake; /* NULL: no shared memory on this node */
    uint32_t matched;          /* packets of peers on our page */
    struct peer **peers;
    struct requests requests;
    struct flight *free_flights;
    struct arrival *free_arrivals;
    unsigned n_free_flights, n_free_arrivals;
    struct flight *dead_flights;
    struct arrival *dead_arrivals;
    size_t unsent;
    size_t piece_bytes_out;
    int turn_out; /* whose turn it is when the window opens */
    int turn_in;  /* the world that is probed next */
    bool starved; /* something failed for want of memory: try all again */
    bool crowded;

    struct ipmpi_room room;
    struct peer *ready_first, **ready_end;

    struct peer_list watched, owed, acks, held;
    bool holding;
    int64_t busy_until_us;
    int64_t recheck_at_us;
    int recheck_ms;
    int64_t slept_at_us;
    bool asleep;
    unsigned spin_us;

    struct ipmpi_log_limit bad_packet, no_memory;
    struct ipmpi_comm_counters counters;
};

/* requests.c. Reserve makes room for one more, so that add cannot fail. */
int ipmpi_requests_reserve(struct requests *requests);
void ipmpi_requests_add(struct requests *requests, MPI_Request request,
                        struct op op);
/* Forgets the requests of a peer, calling `drop` for each. */
void ipmpi_requests_abandon(struct ipmpi_comm *comm, int peer);
/* Completes what can be; returns how many. */
unsigned ipmpi_requests_progress(struct ipmpi_comm *comm);
void ipmpi_requests_free(struct requests *requests);

/* send.c */
void ipmpi_send_done(struct ipmpi_comm *comm, const struct op *op);
void ipmpi_send_ack(struct ipmpi_comm *comm, int dest);
void ipmpi_send_retry(struct ipmpi_comm *comm);
void ipmpi_send_abandon_op(struct ipmpi_comm *comm, const struct op *op);
void ipmpi_send_abandon(struct ipmpi_comm *comm, int peer);
void ipmpi_send_free(struct ipmpi_comm *comm);

/* receive.c */
bool ipmpi_receive_probe(struct ipmpi_comm *comm);
bool ipmpi_receive_deliver(struct ipmpi_comm *comm, ipmpi_receive_fn *receive,
                           void *ctx);
void ipmpi_receive_done(struct ipmpi_comm *comm, const struct op *op,
                        const MPI_Status *status);
void ipmpi_receive_retry(struct ipmpi_comm *comm);
void ipmpi_receive_abandon_op(struct ipmpi_comm *comm, const struct op *op);
void ipmpi_receive_abandon(struct ipmpi_comm *comm, int peer);
void ipmpi_receive_free(struct ipmpi_comm *comm);

/* sleep.c. Wake after a packet; nudge for the rest. */
void ipmpi_sleep_sent(struct ipmpi_comm *comm, int dest);
void ipmpi_sleep_nudge(struct ipmpi_comm *comm, int peer);
void ipmpi_sleep_taken(struct ipmpi_comm *comm, int source);
void ipmpi_sleep_busy(struct ipmpi_comm *comm, int64_t for_us);
void ipmpi_sleep_ring_owed(struct ipmpi_comm *comm, bool all);
/* Whether all peers are known to have taken all that was sent. */
bool ipmpi_sleep_all_taken(struct ipmpi_comm *comm);
/* Looks for anything new without handing it out. */
bool ipmpi_sleep_look(struct ipmpi_comm *comm);

/* worlds.c. Finds the ranks to open with: MPI_COMM_WORLD's, or of a spawned
 * rank those of its world, with the job's rank 0 before them. */
int ipmpi_worlds_meet(MPI_Comm *all_out, bool *spawned_out);
/* Makes the communicators for the ranks of `all`, which are the peers. */
int ipmpi_worlds_open(struct ipmpi_comm *comm, MPI_Comm all);
/* Adds a world (given); its peers are there. IPMPI_ENOMEM. */
int ipmpi_worlds_add(struct ipmpi_comm *comm, MPI_Comm all, int first);
/* Lets all go, so that MPI can be finalised although ranks have died. */
void ipmpi_worlds_free(struct ipmpi_comm *comm);

/* peers.c. Makes `n` more, without world. IPMPI_ENOMEM. */
int ipmpi_peers_grow(struct ipmpi_comm *comm, int n);
void ipmpi_peers_free(struct ipmpi_comm *comm);

/* spawn.c */
struct spawn;
void ipmpi_spawn_free(struct ipmpi_comm *comm);

/* MPI's own text, for a log line. Any thread that may call MPI. */
const char *ipmpi_mpi_text(int code, char text[MPI_MAX_ERROR_STRING]);

#endif

/* Sending: messages become packets, packets become flights.
 *
 * A message leaves at once while the peer's window is open; when it is shut,
 * messages queue, and as many small ones as fit share the next packet. Packets
 * of one peer leave in order, and so do pieces: that is all that the receiver
 * needs to put messages together in order.
 *
 * Invariant: while a peer's queue is not empty, its window is full, or it is
 * held, or comm->starved is set, so that something will come back to it. */
#include "runtime/comm/internal.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

#define FREE_FLIGHTS_MAX 64
#define BATCH_MAX        1024
/* What shared memory takes in one go (Open MPI: 4 KiB with its own header): a
 * longer packet waits for its receiver, and both turn meanwhile. */
#define BATCH_BYTES 4000

static struct flight *take_flight(struct ipmpi_comm *comm, size_t packet_len)
{
    struct flight *flight = comm->free_flights;

    if (flight != NULL) {
        comm->free_flights = flight->next;
        comm->n_free_flights--;
    } else {
        flight = malloc(sizeof(*flight));
        if (flight == NULL)
            return NULL;
    }
    memset(flight, 0, offsetof(struct flight, room));
    flight->packet = flight->room;
    if (packet_len > sizeof(flight->room)) {
        flight->packet = malloc(packet_len);
        if (flight->packet == NULL) {
            free(flight);
            return NULL;
        }
    }
    return flight;
}

static void free_flight(struct ipmpi_comm *comm, struct flight *flight)
{
    ipmpi_frames_clear(&flight->frames);
    if (flight->packet != flight->room)
        free(flight->packet);
    if (comm->n_free_flights < FREE_FLIGHTS_MAX) {
        flight->next = comm->free_flights;
        comm->free_flights = flight;
        comm->n_free_flights++;
    } else {
        free(flight);
    }
}

static void peer_failed(struct ipmpi_comm *comm, int dest, int code)
{
    char text[MPI_MAX_ERROR_STRING];

    ipmpi_log_error("COMM-SEND", "rank %d: %s; given up", dest,
                    ipmpi_mpi_text(code, text));
    ipmpi_comm_mark_dead(comm, dest);
}

/* All of the flight has left. */
static void finish(struct ipmpi_comm *comm, struct flight *flight)
{
    struct peer *peer = comm->peers[flight->peer];

    peer->unsent -= flight->bytes;
    comm->unsent -= flight->bytes;
    peer->n_flights--;
    free_flight(comm, flight);
}

/* See note [window]. A window that is empty takes any piece. */
static bool window_open(const struct ipmpi_comm *comm, const struct peer *peer,
                        size_t len)
{
    return comm->piece_bytes_out == 0 ||
           (comm->piece_bytes_out + len <= IPMPI_WINDOW &&
            peer->piece_bytes_out + len <= IPMPI_PEER_WINDOW);
}

/* Starts the next piece of the peer's first stream. */
static int start_piece(struct ipmpi_comm *comm, int dest)
{
    struct peer *peer = comm->peers[dest];
    struct flight *flight = peer->stream_first;
    const uint8_t *data;
    MPI_Request request;
    size_t len;
    int code;

    ipmpi_pieces_next(&flight->pieces, &data, &len);
    code = MPI_Isend(data, (int)len, MPI_BYTE, peer->rank, IPMPI_TAG_PIECE,
                     peer->world, &request);
    if (code != MPI_SUCCESS)
        return code;
    ipmpi_requests_add(&comm->requests, request,
                       (struct op){OP_SEND_PIECE, dest, (int)len, flight});
    flight->in_flight++;
    peer->piece_bytes_out += len;
    comm->piece_bytes_out += len;
    if (ipmpi_pieces_left(&flight->pieces) == 0) {
        flight->streaming = false;
        peer->stream_first = flight->next;
        if (peer->stream_first == NULL)
            peer->stream_end = &peer->stream_first;
    }
    return MPI_SUCCESS;
}

/* Starts pieces of the peer's flights, in order, while the windows are open.
 * Returns whether it has started any. */
static bool pump_pieces(struct ipmpi_comm *comm, int dest)
{
    struct peer *peer = comm->peers[dest];
    bool started = false;

    while (peer->stream_first != NULL &&
           window_open(comm, peer,
                       ipmpi_pieces_left(&peer->stream_first->pieces))) {
        int code;

        if (ipmpi_requests_reserve(&comm->requests) != 0) {
            comm->starved = true;
            break;
        }
        code = start_piece(comm, dest);
        if (code != MPI_SUCCESS) {
            peer_failed(comm, dest, code);
            return false;
        }
        started = true;
    }
    if (started) {
        ipmpi_sleep_busy(comm, IPMPI_BUSY_PIECE_US);
        ipmpi_sleep_nudge(comm, dest);
    }
    return started;
}

/* A window has opened: each peer in its turn. */
static void pump_all_pieces(struct ipmpi_comm *comm)
{
    const int first = comm->turn_out;

    for (int i = 0; i < comm->size; i++) {
        const int dest = (first + i) % comm->size;

        if (comm->peers[dest]->stream_first != NULL && pump_pieces(comm, dest))
            comm->turn_out = dest + 1;
    }
}

/* Writes the messages from `first` on, `n` of them, into a packet. */
static size_t write_packet(struct ipmpi_comm *comm, int dest,
                           struct flight *flight, const struct message *first,
                           unsigned n)
{
    struct peer *peer = comm->peers[dest];
    const struct ipmpi_packet_head head = {
        .magic = IPMPI_PACKET_MAGIC, .n_records = n, .taken = peer->taken};
    uint8_t *at = flight->packet;

    memcpy(at, &head, sizeof(head));
    at += sizeof(head);
    for (unsigned i = 0; i < n; i++) {
        at = ipmpi_record_write(at, &first->frames, &first->plan);
        flight->bytes += ipmpi_frames_bytes(&first->frames);
        first = first->next;
    }
    peer->told = peer->taken;
    return (size_t)(at - flight->packet);
}

/* Sends one packet; a done send is not even entered among the requests. */
static int start_packet(struct ipmpi_comm *comm, int dest,
                        struct flight *flight, size_t len)
{
    const struct peer *peer = comm->peers[dest];
    MPI_Request request;
    int done = 0, code;

    if (peer->shared)
        ipmpi_awake_announce(comm->awake, dest);
    code = MPI_Isend(flight->packet, (int)len, MPI_BYTE, peer->rank,
                     IPMPI_TAG_PACKET, peer->world, &request);
    if (code == MPI_SUCCESS)
        code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS)
        return code;
    if (!done) {
        ipmpi_requests_add(&comm->requests, request,
                           (struct op){OP_SEND_PACKET, dest, 0, flight});
        flight->in_flight++;
        ipmpi_sleep_busy(comm, IPMPI_BUSY_PACKET_US);
    }
    comm->counters.packets_sent++;
    return MPI_SUCCESS;
}

/* Packs `n` messages from `first` on, of `len` bytes as a packet, and lets
 * them go. On IPMPI_ENOMEM nothing has happened; on success, and when the
 * peer turned out dead, their frames have been taken. */
static int start_flight(struct ipmpi_comm *comm, int dest,
                        struct message *first, unsigned n, size_t len)
{
    struct peer *peer = comm->peers[dest];
    struct flight *flight;
    int code;

    if (ipmpi_requests_reserve(&comm->requests) != 0)
        return IPMPI_ENOMEM;
    flight = take_flight(comm, len);
    if (flight == NULL)
        return IPMPI_ENOMEM;
    flight->peer = dest;
    len = write_packet(comm, dest, flight, first, n);
    code = start_packet(comm, dest, flight, len);
    if (code != MPI_SUCCESS) {
        free_flight(comm, flight);
        peer_failed(comm, dest, code);
        return IPMPI_EDEAD;
    }
    peer->n_flights++;
    comm->counters.messages_sent += n;
    if (first->plan.n_large > 0) {
        ipmpi_frames_move(&flight->frames, &first->frames);
        flight->pieces = (struct ipmpi_pieces){
            .frames = &flight->frames,
            .table = ipmpi_record_table(flight->packet +
                                        sizeof(struct ipmpi_packet_head))};
        flight->streaming = true;
        *peer->stream_end = flight;
        peer->stream_end = &flight->next;
        pump_pieces(comm, dest);
    } else if (flight->in_flight == 0) {
        finish(comm, flight);
    }
    if (!peer->dead)
        ipmpi_sleep_sent(comm, dest);
    return 0;
}

/* How many of the queued messages share the next packet, and its length. */
static unsigned choose_batch(const struct peer *peer, size_t *len_out)
{
    const struct message *message = peer->queue_first;
    size_t len = sizeof(struct ipmpi_packet_head) + message->plan.record_bytes;
    unsigned n = 1;

    if (message->plan.n_large == 0)
        for (message = message->next; message != NULL && n < BATCH_MAX;
             message = message->next) {
            if (message->plan.n_large > 0 ||
                len + message->plan.record_bytes > BATCH_BYTES)
                break;
            len += message->plan.record_bytes;
            n++;
        }
    *len_out = len;
    return n;
}

static void drop_queued(struct peer *peer, unsigned n)
{
    while (n-- > 0 && peer->queue_first != NULL) {
        struct message *message = peer->queue_first;

        peer->queue_first = message->next;
        ipmpi_frames_clear(&message->frames);
        free(message);
    }
    if (peer->queue_first == NULL)
        peer->queue_end = &peer->queue_first;
}

static void pump_queue(struct ipmpi_comm *comm, int dest)
{
    struct peer *peer = comm->peers[dest];
    unsigned n;
    size_t len;

    while (peer->queue_first != NULL && peer->n_flights < IPMPI_FLIGHTS_MAX) {
        n = choose_batch(peer, &len);
        switch (start_flight(comm, dest, peer->queue_first, n, len)) {
        case 0:
            drop_queued(peer, n);
            break;
        case IPMPI_ENOMEM:
            comm->starved = true;
            return;
        default:
            return; /* dead: its queue is gone */
        }
    }
}

static int enqueue(struct peer *peer, const struct message *message)
{
    struct message *queued = malloc(sizeof(*queued));

    if (queued == NULL)
        return IPMPI_ENOMEM;
    *queued = *message;
    *peer->queue_end = queued;
    peer->queue_end = &queued->next;
    return 0;
}

void ipmpi_comm_hold(struct ipmpi_comm *comm)
{
    comm->holding = true;
}

void ipmpi_comm_let_go(struct ipmpi_comm *comm)
{
    comm->holding = false;
    for (int i = 0; i < comm->held.n; i++) {
        comm->peers[comm->held.at[i]]->is_held = false;
        pump_queue(comm, comm->held.at[i]);
    }
    comm->held.n = 0;
}

static void hold(struct ipmpi_comm *comm, int dest)
{
    if (!comm->peers[dest]->is_held)
        comm->held.at[comm->held.n++] = dest;
    comm->peers[dest]->is_held = true;
}

int ipmpi_comm_send(struct ipmpi_comm *comm, int dest,
                    struct ipmpi_frames *frames)
{
    struct message message = {0};
    struct peer *peer;
    size_t bytes;
    int err;

    ipmpi_frames_move(&message.frames, frames);
    err = dest < 0 || dest >= comm->size ? IPMPI_EINVAL
          : comm->peers[dest]->dead      ? IPMPI_EDEAD
                                         : 0;
    if (err == 0)
        err = ipmpi_record_plan(&message.frames, &message.plan);
    if (err != 0)
        goto clear;
    peer = comm->peers[dest];
    bytes = ipmpi_frames_bytes(&message.frames);
    peer->unsent += bytes;
    comm->unsent += bytes;
    if (!comm->holding && peer->queue_first == NULL &&
        peer->n_flights < IPMPI_FLIGHTS_MAX) {
        err = start_flight(comm, dest, &message, 1,
                           sizeof(struct ipmpi_packet_head) +
                               message.plan.record_bytes);
    } else {
        err = enqueue(peer, &message);
        if (err == 0 && comm->holding)
            hold(comm, dest);
        if (err == 0)
            return 0; /* moved into the queue */
    }
    if (err == IPMPI_ENOMEM) {
        peer->unsent -= bytes;
        comm->unsent -= bytes;
    }

clear:
    ipmpi_frames_clear(&message.frames);
    return err;
}

void ipmpi_send_done(struct ipmpi_comm *comm, const struct op *op)
{
    struct flight *flight = op->what;
    struct peer *peer = comm->peers[op->peer];

    flight->in_flight--;
    if (flight->abandoned || peer->dead)
        return;
    if (op->kind == OP_SEND_PIECE) {
        peer->piece_bytes_out -= (size_t)op->bytes;
        comm->piece_bytes_out -= (size_t)op->bytes;
        ipmpi_sleep_busy(comm, IPMPI_BUSY_PIECE_US);
        pump_all_pieces(comm);
    }
    if (flight->in_flight == 0 && !flight->streaming && !peer->dead) {
        finish(comm, flight);
        pump_queue(comm, op->peer);
    }
}

void ipmpi_send_ack(struct ipmpi_comm *comm, int dest)
{
    const struct message none = {0};
    struct flight *flight;
    size_t len;
    int code;

    if (ipmpi_requests_reserve(&comm->requests) != 0)
        return;
    flight = take_flight(comm, sizeof(struct ipmpi_packet_head));
    if (flight == NULL)
        return; /* the peer rings again, and we try again */
    flight->peer = dest;
    len = write_packet(comm, dest, flight, &none, 0);
    code = start_packet(comm, dest, flight, len);
    if (code != MPI_SUCCESS) {
        free_flight(comm, flight);
        peer_failed(comm, dest, code);
        return;
    }
    comm->peers[dest]->n_flights++;
    if (flight->in_flight == 0)
        finish(comm, flight);
}

void ipmpi_send_retry(struct ipmpi_comm *comm)
{
    pump_all_pieces(comm);
    for (int i = 0; i < comm->size; i++)
        pump_queue(comm, i);
}

void ipmpi_send_abandon_op(struct ipmpi_comm *comm, const struct op *op)
{
    struct flight *flight = op->what;

    if (flight->abandoned)
        return;
    flight->abandoned = true;
    if (flight->streaming)
        return; /* still in the stream: buried from there */
    flight->next = comm->dead_flights;
    comm->dead_flights = flight;
}

void ipmpi_send_abandon(struct ipmpi_comm *comm, int dest)
{
    struct peer *peer = comm->peers[dest];
    struct flight *flight;

    drop_queued(peer, UINT32_MAX);
    while ((flight = peer->stream_first) != NULL) {
        peer->stream_first = flight->next;
        flight->abandoned = true;
        flight->next = comm->dead_flights;
        comm->dead_flights = flight;
    }
    peer->stream_end = &peer->stream_first;
    comm->unsent -= peer->unsent;
    peer->unsent = 0;
    peer->n_flights = 0;
    comm->piece_bytes_out -= peer->piece_bytes_out;
    peer->piece_bytes_out = 0;
}

void ipmpi_send_free(struct ipmpi_comm *comm)
{
    struct flight *flight;

    comm->n_free_flights = FREE_FLIGHTS_MAX; /* free for good from here on */
    while ((flight = comm->dead_flights) != NULL) {
        comm->dead_flights = flight->next;
        free_flight(comm, flight);
    }
    while ((flight = comm->free_flights) != NULL) {
        comm->free_flights = flight->next;
        free(flight);
    }
}

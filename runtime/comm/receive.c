/* Receiving: arrivals become messages, handed out in the order of each source
 * and fairly among sources.
 *
 * Packets are matched as they come (MPI_Improbe), so their length is known
 * before memory is taken; the pieces of large frames are received straight
 * into the memory where the frames will live. A source's pieces come in the
 * order of its packets, so receives are posted in that order too.
 *
 * Invariant: of a source's arrivals (first .. end), those before `unread` have
 * been read, those before `stream` have all their receives posted; only
 * complete ones at the front are handed out. */
#include "runtime/comm/internal.h"

#include <stdlib.h>

#include "runtime/base/error.h"
#include "runtime/base/segment.h"

#define FREE_ARRIVALS_MAX 256
#define TRUSTED_PACKET    4096 /* a packet so small has come as a whole */

static struct arrival *take_arrival(struct ipmpi_comm *comm)
{
    struct arrival *arrival = comm->free_arrivals;

    if (arrival == NULL)
        return calloc(1, sizeof(*arrival));
    comm->free_arrivals = arrival->next;
    comm->n_free_arrivals--;
    *arrival = (struct arrival){0};
    return arrival;
}

static void free_arrival(struct ipmpi_comm *comm, struct arrival *arrival)
{
    ipmpi_frames_clear(&arrival->frames);
    ipmpi_buffer_release(&arrival->packet);
    if (comm->n_free_arrivals < FREE_ARRIVALS_MAX) {
        arrival->next = comm->free_arrivals;
        comm->free_arrivals = arrival;
        comm->n_free_arrivals++;
    } else {
        free(arrival);
    }
}

static void no_memory(struct ipmpi_comm *comm, int source)
{
    comm->starved = true;
    ipmpi_log_limited(&comm->no_memory, IPMPI_LOG_ERROR, "COMM-MEMORY",
                      "no memory for a message from rank %d; trying again",
                      source);
}

static void corrupt(struct ipmpi_comm *comm, int source, const char *what)
{
    ipmpi_log_limited(&comm->bad_packet, IPMPI_LOG_ERROR, "COMM-PACKET",
                      "rank %d sent %s; given up", source, what);
    ipmpi_comm_mark_dead(comm, source);
}

static void failed(struct ipmpi_comm *comm, int source, int code)
{
    char text[MPI_MAX_ERROR_STRING];

    ipmpi_log_error("COMM-RECEIVE", "rank %d: %s; given up", source,
                    ipmpi_mpi_text(code, text));
    ipmpi_comm_mark_dead(comm, source);
}

/* All of the arrival is here. */
static void complete(struct ipmpi_comm *comm, struct arrival *arrival)
{
    arrival->state = ARRIVAL_COMPLETE;
    if (arrival->reader.records_left > 0 || arrival->lone)
        ipmpi_sleep_taken(comm, arrival->source);
}

/* Posts the receive of an arrival's next piece. */
static int post_piece(struct ipmpi_comm *comm, struct arrival *arrival)
{
    struct peer *peer = comm->peers[arrival->source];
    const struct ipmpi_buffer *owner =
        arrival->frames.at[arrival->pieces.frame].owner;
    const uint8_t *data;
    MPI_Request request;
    size_t len;
    int code;

    ipmpi_pieces_next(&arrival->pieces, &data, &len);
    ipmpi_segment_prepare(owner, data, len);
    code = MPI_Irecv((void *)data, (int)len, MPI_BYTE, peer->rank,
                     IPMPI_TAG_PIECE, peer->world, &request);
    if (code != MPI_SUCCESS)
        return code;
    ipmpi_requests_add(
        &comm->requests, request,
        (struct op){OP_RECV_PIECE, arrival->source, (int)len, arrival});
    arrival->in_flight++;
    peer->piece_bytes_in += len;
    return MPI_SUCCESS;
}

/* The first arrival of a source that has pieces to post. */
static struct arrival *find_stream(struct peer *peer)
{
    while (peer->stream != peer->unread &&
           (peer->stream->state != ARRIVAL_PIECES ||
            ipmpi_pieces_left(&peer->stream->pieces) == 0))
        peer->stream = peer->stream->next;
    return peer->stream == peer->unread ? NULL : peer->stream;
}

/* Posts receives of pieces, in order, while the window is open. */
static void post_pieces(struct ipmpi_comm *comm, int source)
{
    struct peer *peer = comm->peers[source];
    struct arrival *arrival;
    bool posted = false;

    while ((arrival = find_stream(peer)) != NULL &&
           peer->piece_bytes_in + ipmpi_pieces_left(&arrival->pieces) <=
               IPMPI_PEER_WINDOW) {
        int code;

        if (ipmpi_requests_reserve(&comm->requests) != 0) {
            no_memory(comm, source);
            break;
        }
        code = post_piece(comm, arrival);
        if (code != MPI_SUCCESS) {
            failed(comm, source, code);
            return;
        }
        posted = true;
    }
    if (posted) {
        ipmpi_sleep_busy(comm, IPMPI_BUSY_PIECE_US);
        ipmpi_sleep_nudge(comm, source);
    }
}

/* Makes the frames of a lone record; others are made as they are handed out.
 * False: no memory yet. */
static bool read_arrival(struct ipmpi_comm *comm, struct arrival *arrival)
{
    if (arrival->lone && arrival->reader.records_left > 0 &&
        ipmpi_packet_read(&arrival->reader, true, arrival->packet, &comm->room,
                          &arrival->frames) != 0) {
        no_memory(comm, arrival->source);
        return false;
    }
    if (arrival->lone) {
        const uint8_t *packet = ipmpi_buffer_data(arrival->packet);

        arrival->pieces = (struct ipmpi_pieces){
            .frames = &arrival->frames,
            .table =
                ipmpi_record_table(packet + sizeof(struct ipmpi_packet_head))};
    }
    if (arrival->lone && ipmpi_pieces_left(&arrival->pieces) > 0)
        arrival->state = ARRIVAL_PIECES;
    else
        complete(comm, arrival);
    return true;
}

static void take_packet(struct ipmpi_comm *comm, struct arrival *arrival);

/* Takes a source as far as it goes: memory, reading, pieces, readiness. */
static void advance(struct ipmpi_comm *comm, int source)
{
    struct peer *peer = comm->peers[source];
    struct arrival *arrival;

    while (!peer->dead && (arrival = peer->unread) != NULL) {
        if (arrival->state == ARRIVAL_MATCHED)
            take_packet(comm, arrival);
        if (peer->dead || arrival->state != ARRIVAL_HERE ||
            !read_arrival(comm, arrival))
            break;
        peer->unread = arrival->next;
    }
    if (peer->dead)
        return;
    post_pieces(comm, source);
    if (peer->dead)
        return;
    if (!peer->ready && peer->first != NULL &&
        peer->first->state == ARRIVAL_COMPLETE) {
        peer->ready = true;
        peer->next_ready = NULL;
        *comm->ready_end = peer;
        comm->ready_end = &peer->next_ready;
    }
}

/* The packet's bytes are here: trust nothing in them. */
static void check_packet(struct ipmpi_comm *comm, struct arrival *arrival)
{
    struct peer *peer = comm->peers[arrival->source];
    const struct ipmpi_packet_head *head = ipmpi_buffer_data(arrival->packet);

    if (ipmpi_packet_check(head, arrival->len, &arrival->reader) != 0) {
        corrupt(comm, arrival->source, "a packet that is not one");
        return;
    }
    arrival->lone = head->n_records == 1;
    arrival->state = ARRIVAL_HERE;
    peer->confirmed = head->taken;
    comm->counters.packets_received++;
}

/* Receives a matched packet. */
static void take_packet(struct ipmpi_comm *comm, struct arrival *arrival)
{
    const int source = arrival->source;
    MPI_Request request;
    int done = 0, code;

    if (ipmpi_requests_reserve(&comm->requests) != 0 ||
        ipmpi_buffer_alloc(arrival->len, &arrival->packet) != 0) {
        no_memory(comm, source);
        return;
    }
    code = MPI_Imrecv(ipmpi_buffer_data(arrival->packet), (int)arrival->len,
                      MPI_BYTE, &arrival->match, &request);
    if (code == MPI_SUCCESS)
        code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS) {
        failed(comm, source, code);
        return;
    }
    if (done) {
        check_packet(comm, arrival);
        return;
    }
    arrival->state = ARRIVAL_PACKET;
    arrival->in_flight = 1;
    ipmpi_requests_add(
        &comm->requests, request,
        (struct op){OP_RECV_PACKET, source, (int)arrival->len, arrival});
    ipmpi_sleep_busy(comm, IPMPI_BUSY_PIECE_US);
    if (arrival->len > TRUSTED_PACKET)
        ipmpi_sleep_nudge(comm, source);
}

/* A packet of one that is dead to us: taken, so that MPI need not keep it, and
 * thrown away; what would not come at once is left with MPI. */
static void throw_away(struct arrival *arrival)
{
    uint8_t bytes[TRUSTED_PACKET];

    if (arrival->len <= sizeof(bytes))
        MPI_Mrecv(bytes, (int)arrival->len, MPI_BYTE, &arrival->match,
                  MPI_STATUS_IGNORE);
}

/* Matches a packet of any world, each in its turn. Returns its source's
 * number, or -1. */
static int match_packet(struct ipmpi_comm *comm, MPI_Message *match_out,
                        MPI_Status *status_out)
{
    const bool none = comm->awake == NULL ||
                      ipmpi_awake_announced(comm->awake) == comm->matched;

    for (int i = 0; i < comm->n_worlds; i++) {
        const int turn = (comm->turn_in + i) % comm->n_worlds;
        const struct world *world = &comm->worlds[turn];
        int found = 0, code;

        if (none && world->announces)
            continue;
        code = MPI_Improbe(MPI_ANY_SOURCE, IPMPI_TAG_PACKET, world->comm,
                           &found, match_out, status_out);
        if (code == MPI_SUCCESS && found) {
            comm->turn_in = turn + 1;
            return world->first + status_out->MPI_SOURCE - 1;
        }
    }
    return -1;
}

bool ipmpi_receive_probe(struct ipmpi_comm *comm)
{
    struct arrival *arrival = take_arrival(comm);
    struct peer *peer;
    MPI_Status status;
    int len = 0;

    if (arrival == NULL) {
        no_memory(comm, comm->rank);
        return false;
    }
    arrival->source = match_packet(comm, &arrival->match, &status);
    if (arrival->source < 0) {
        free_arrival(comm, arrival);
        return false;
    }
    MPI_Get_count(&status, MPI_BYTE, &len);
    arrival->len = (size_t)len;
    peer = comm->peers[arrival->source];
    comm->matched += peer->shared;
    if (!peer->dead && (len < 0 || arrival->len > IPMPI_PACKET_MAX))
        corrupt(comm, arrival->source, "a packet longer than any");
    if (peer->dead) {
        throw_away(arrival);
        free_arrival(comm, arrival);
        return true;
    }
    *peer->end = arrival;
    peer->end = &arrival->next;
    if (peer->unread == NULL)
        peer->unread = arrival;
    if (peer->stream == NULL)
        peer->stream = arrival;
    advance(comm, arrival->source);
    return true;
}

static void pop_arrival(struct ipmpi_comm *comm, struct peer *peer)
{
    struct arrival *arrival = peer->first;

    if (peer->stream == arrival)
        peer->stream = arrival->next;
    peer->first = arrival->next;
    if (peer->first == NULL)
        peer->end = &peer->first;
    free_arrival(comm, arrival);
}

/* The next message of a complete arrival at the front. IPMPI_EEMPTY: the
 * arrival is used up. */
static int take_message(struct ipmpi_comm *comm, struct peer *peer,
                        struct ipmpi_frames *frames)
{
    struct arrival *arrival = peer->first;
    int err;

    if (arrival->lone) {
        ipmpi_frames_move(frames, &arrival->frames);
        pop_arrival(comm, peer);
        return 0;
    }
    err = ipmpi_packet_read(&arrival->reader, false, arrival->packet, NULL,
                            frames);
    if (err == 0 && arrival->reader.records_left == 0)
        pop_arrival(comm, peer);
    if (err == IPMPI_EEMPTY)
        pop_arrival(comm, peer); /* an acknowledgement */
    return err;
}

static struct peer *pop_ready(struct ipmpi_comm *comm)
{
    struct peer *peer = comm->ready_first;

    if (peer == NULL)
        return NULL;
    comm->ready_first = peer->next_ready;
    if (comm->ready_first == NULL)
        comm->ready_end = &comm->ready_first;
    peer->ready = false;
    return peer;
}

bool ipmpi_receive_deliver(struct ipmpi_comm *comm, ipmpi_receive_fn *receive,
                           void *ctx)
{
    struct ipmpi_frames frames = {0};
    struct peer *peer;

    while ((peer = pop_ready(comm)) != NULL) {
        const int source = peer->number;
        int err = IPMPI_EEMPTY;

        while (err == IPMPI_EEMPTY && peer->first != NULL &&
               peer->first->state == ARRIVAL_COMPLETE)
            err = take_message(comm, peer, &frames);
        if (err == IPMPI_ENOMEM)
            no_memory(comm, source);
        else
            advance(comm, source);
        if (err != 0)
            continue;
        comm->counters.messages_received++;
        receive(ctx, source, &frames);
        ipmpi_frames_clear(&frames);
        return true;
    }
    return false;
}

void ipmpi_receive_done(struct ipmpi_comm *comm, const struct op *op,
                        const MPI_Status *status)
{
    struct arrival *arrival = op->what;
    struct peer *peer = comm->peers[op->peer];
    int len = 0;

    arrival->in_flight--;
    if (arrival->abandoned || peer->dead)
        return;
    MPI_Get_count(status, MPI_BYTE, &len);
    if (len != op->bytes) {
        corrupt(comm, op->peer, "less than it announced");
        return;
    }
    ipmpi_sleep_busy(comm, IPMPI_BUSY_PIECE_US);
    if (op->kind == OP_RECV_PACKET) {
        check_packet(comm, arrival);
    } else {
        peer->piece_bytes_in -= (size_t)op->bytes;
        if (arrival->in_flight == 0 &&
            ipmpi_pieces_left(&arrival->pieces) == 0) {
            complete(comm, arrival);
            ipmpi_sleep_nudge(comm, op->peer); /* it may free its memory */
        }
    }
    advance(comm, op->peer);
}

void ipmpi_receive_retry(struct ipmpi_comm *comm)
{
    for (int i = 0; i < comm->size; i++)
        advance(comm, i);
}

void ipmpi_receive_abandon_op(struct ipmpi_comm *comm, const struct op *op)
{
    struct arrival *arrival = op->what;

    (void)comm;
    arrival->abandoned = true; /* buried with the rest of its source */
}

void ipmpi_receive_abandon(struct ipmpi_comm *comm, int source)
{
    struct peer *peer = comm->peers[source];
    struct arrival *arrival;

    while ((arrival = peer->first) != NULL) {
        peer->first = arrival->next;
        if (arrival->in_flight > 0) {
            arrival->abandoned = true;
            arrival->next = comm->dead_arrivals;
            comm->dead_arrivals = arrival;
        } else {
            free_arrival(comm, arrival);
        }
    }
    peer->end = &peer->first;
    peer->unread = NULL;
    peer->stream = NULL;
    peer->piece_bytes_in = 0;
}

void ipmpi_receive_free(struct ipmpi_comm *comm)
{
    struct arrival *arrival;

    comm->n_free_arrivals = FREE_ARRIVALS_MAX; /* free for good from here on */
    for (int i = 0; i < comm->size; i++)
        while ((arrival = comm->peers[i]->first) != NULL) {
            comm->peers[i]->first = arrival->next;
            free_arrival(comm, arrival);
        }
    while ((arrival = comm->dead_arrivals) != NULL) {
        comm->dead_arrivals = arrival->next;
        free_arrival(comm, arrival);
    }
    while ((arrival = comm->free_arrivals) != NULL) {
        comm->free_arrivals = arrival->next;
        free(arrival);
    }
}

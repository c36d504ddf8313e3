/* The transport's life: MPI from start to end, bells, page of flags, and one
 * turn of work. */
#include "runtime/comm/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/comm/life.h"
#include "runtime/comm/meet.h"

#define SPIN_START_US 20
#define GOODBYE_US    400000 /* for the last words to spawned worlds */

static int new_comm(MPI_Comm all, struct ipmpi_comm **comm_out)
{
    struct ipmpi_comm *comm = calloc(1, sizeof(*comm));
    int size = 0;

    if (comm == NULL)
        return IPMPI_ENOMEM;
    comm->engines = comm->collectives = MPI_COMM_NULL;
    comm->spawn_fd = -1;
    comm->ready_end = &comm->ready_first;
    MPI_Comm_rank(all, &comm->rank);
    MPI_Comm_size(all, &size);
    if (ipmpi_peers_grow(comm, size) != 0) {
        ipmpi_peers_free(comm);
        free(comm);
        return IPMPI_ENOMEM;
    }
    *comm_out = comm;
    return 0;
}

static void free_comm(struct ipmpi_comm *comm)
{
    for (int i = 0; i < comm->size; i++)
        ipmpi_send_abandon(comm, i);
    ipmpi_send_free(comm);
    ipmpi_receive_free(comm);
    ipmpi_requests_free(&comm->requests);
    ipmpi_awake_close(&comm->awake);
    ipmpi_bell_close(&comm->bell);
    ipmpi_spawn_free(comm);
    ipmpi_peers_free(comm);
    free(comm->worlds);
    free(comm);
}

/* Whether Open MPI's launcher says that all ranks are on this host. */
static bool one_host(int size)
{
    const char *local = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");

    return local != NULL && atoi(local) == size;
}

static int hang_bell(struct ipmpi_comm *comm, const uint8_t *token,
                     uint32_t ipv4_be)
{
    int err =
        ipmpi_bell_open(token, one_host(comm->size) ? 0 : ipv4_be, &comm->bell);

    if (err != 0) {
        ipmpi_log_error("COMM-BELL", "rank %d cannot open its bell: %s",
                        comm->rank, strerror(errno));
        return err;
    }
    if (ipmpi_awake_open(token, comm->rank, comm->size, &comm->awake) != 0)
        ipmpi_log_warn("COMM-SHM",
                       "no shared memory for flags (%s); bells ring more often",
                       strerror(errno));
    return 0;
}

/* Exchanges addresses; fails on all ranks if any has failed so far. */
static int meet(struct ipmpi_comm *comm, MPI_Comm all, int err,
                struct ipmpi_comm_spot spot)
{
    union ipmpi_card *cards = calloc((size_t)comm->size, sizeof(*cards));
    struct ipmpi_bell_address mine = {.reserved = 0};

    if (cards == NULL)
        return IPMPI_ENOMEM; /* cannot even take part: the job must end */
    if (comm->bell != NULL)
        ipmpi_bell_address(comm->bell, &mine);
    err = ipmpi_meet_cards(all, err, &mine, spot, cards);
    if (comm->awake != NULL)
        ipmpi_awake_hide(comm->awake);
    for (int i = 0; i < comm->size; i++) {
        comm->peers[i]->address = cards[i].is.address;
        comm->peers[i]->spot = cards[i].is.spot;
        comm->peers[i]->shared =
            comm->awake != NULL && ipmpi_awake_shared(comm->awake, i);
    }
    free(cards);
    return err;
}

/* All that follows MPI_Init; collective over `all`. */
static int join(struct ipmpi_comm *comm,
                const struct ipmpi_comm_options *options, MPI_Comm all)
{
    struct ipmpi_decree decree;
    int err = ipmpi_meet_decree(all, options->protocol, 1, &decree);

    if (err == IPMPI_EMPI)
        return err;
    comm->protocol = options->protocol;
    comm->first = decree.first;
    if (err == 0)
        err = hang_bell(comm, decree.token, options->bell_ipv4_be);
    err = meet(comm, all, err, options->spot);
    return err != 0 ? err : ipmpi_worlds_open(comm, all);
}

int ipmpi_comm_open(const struct ipmpi_comm_options *options,
                    struct ipmpi_comm **comm_out)
{
    const struct ipmpi_comm_options none = {0};
    struct ipmpi_comm *comm;
    bool spawned;
    MPI_Comm all;
    int err = ipmpi_life_begin();

    if (err == 0)
        err = ipmpi_worlds_meet(&all, &spawned);
    if (err != 0)
        return err;
    err = new_comm(all, &comm);
    if (err != 0) {
        ipmpi_log_error("COMM-MEMORY", "no memory to start with");
        return err;
    }
    comm->spawned = spawned;
    err = join(comm, options != NULL ? options : &none, all);
    if (err != 0) {
        free_comm(comm);
        if (err != IPMPI_EMPI && !spawned)
            MPI_Finalize(); /* all have failed alike */
        return err;
    }
    if (comm->awake != NULL)
        comm->crowded = ipmpi_awake_crowded(comm->awake);
    comm->spin_us = comm->crowded ? 0 : SPIN_START_US;
    *comm_out = comm;
    return 0;
}

unsigned ipmpi_comm_progress(struct ipmpi_comm *comm, unsigned budget,
                             ipmpi_receive_fn *receive, void *ctx)
{
    unsigned did = ipmpi_requests_progress(comm), delivered = 0, probed = 0;

    if (comm->starved) {
        comm->starved = false;
        ipmpi_send_retry(comm);
        ipmpi_receive_retry(comm);
    }
    while (delivered < budget) {
        if (ipmpi_receive_deliver(comm, receive, ctx))
            delivered++;
        else if (probed++ > budget || !ipmpi_receive_probe(comm))
            break;
        else
            did++;
    }
    ipmpi_sleep_ring_owed(comm, false);
    return did + delivered;
}

void ipmpi_comm_set_room(struct ipmpi_comm *comm, const struct ipmpi_room *room)
{
    comm->room = *room;
}

void ipmpi_comm_mark_dead(struct ipmpi_comm *comm, int peer)
{
    if (peer < 0 || peer >= comm->size)
        return;
    comm->peers[peer]->expected = false;
    if (comm->peers[peer]->dead)
        return;
    comm->peers[peer]->dead = true;
    ipmpi_requests_abandon(comm, peer);
    ipmpi_send_abandon(comm, peer);
    ipmpi_receive_abandon(comm, peer);
}

void ipmpi_comm_part(struct ipmpi_comm *comm, int peer)
{
    if (peer < 0 || peer >= comm->size || comm->peers[peer]->dead)
        return;
    if (!comm->peers[peer]->shared)
        ipmpi_send_ack(comm, peer);
    ipmpi_comm_mark_dead(comm, peer);
}

bool ipmpi_comm_is_dead(const struct ipmpi_comm *comm, int peer)
{
    return comm->peers[peer]->dead;
}

int ipmpi_comm_rank(const struct ipmpi_comm *comm)
{
    return comm->rank;
}

int ipmpi_comm_number(const struct ipmpi_comm *comm)
{
    return comm->rank == 0 ? 0 : comm->first + comm->rank - 1;
}

int ipmpi_comm_size(const struct ipmpi_comm *comm)
{
    return comm->size;
}

int ipmpi_comm_place(const struct ipmpi_comm *comm, int number, int *rank_out)
{
    const struct peer *peer = comm->peers[number];
    int world = 0;

    while (world < comm->n_worlds && comm->worlds[world].comm != peer->world)
        world++;
    if (world == comm->n_worlds)
        return -1;
    *rank_out = peer->rank;
    return world;
}

const struct ipmpi_bell_address *
ipmpi_comm_address(const struct ipmpi_comm *comm, int rank)
{
    return &comm->peers[rank]->address;
}

struct ipmpi_comm_spot ipmpi_comm_spot_of(const struct ipmpi_comm *comm,
                                          int rank)
{
    return comm->peers[rank]->spot;
}

size_t ipmpi_comm_unsent_bytes(const struct ipmpi_comm *comm, int peer)
{
    return peer < 0 ? comm->unsent : comm->peers[peer]->unsent;
}

uintptr_t ipmpi_comm_user_world(const struct ipmpi_comm *comm)
{
    return comm->engines == MPI_COMM_NULL ? 0 : (uintptr_t)comm->engines;
}

uintptr_t ipmpi_comm_collective_world(const struct ipmpi_comm *comm)
{
    return comm->collectives == MPI_COMM_NULL ? 0
                                              : (uintptr_t)comm->collectives;
}

void ipmpi_comm_counters(const struct ipmpi_comm *comm,
                         struct ipmpi_comm_counters *counters_out)
{
    *counters_out = comm->counters;
}

static void discard(void *ctx, int source, struct ipmpi_frames *frames)
{
    (void)ctx;
    (void)source;
    ipmpi_frames_clear(frames);
}

/* See ipmpi_comm_part. */
static bool has_arrived(struct ipmpi_comm *comm, int64_t goodbye_us)
{
    return comm->n_worlds < 2 || ipmpi_clock_now_us() >= goodbye_us ||
           ipmpi_sleep_all_taken(comm);
}

/* Lets what was sent leave, as long as there is time. */
static void flush(struct ipmpi_comm *comm, int64_t deadline_us)
{
    const int64_t goodbye_us = ipmpi_clock_now_us() + GOODBYE_US;

    while (comm->requests.n > 0 || comm->unsent > 0 ||
           !has_arrived(comm, goodbye_us)) {
        const int64_t left_ms = (deadline_us - ipmpi_clock_now_us()) / 1000;
        struct pollfd fds[2];
        int at[2], n, wait;

        if (left_ms <= 0)
            return;
        wait = ipmpi_comm_before_sleep(comm);
        n = ipmpi_comm_fds(comm, at);
        for (int i = 0; i < n; i++)
            fds[i] = (struct pollfd){.fd = at[i], .events = POLLIN};
        poll(fds, (nfds_t)n, wait < left_ms ? wait : (int)left_ms);
        ipmpi_comm_after_sleep(comm, NULL, NULL);
        ipmpi_comm_progress(comm, 64, discard, NULL);
    }
}

int ipmpi_comm_close(struct ipmpi_comm **comm, int wait_ms)
{
    struct ipmpi_comm *c = *comm;
    const int64_t deadline_us = ipmpi_clock_now_us() + (int64_t)wait_ms * 1000;
    int err;

    *comm = NULL;
    if (c == NULL)
        return 0;
    flush(c, deadline_us);
    if (c->spawns != NULL) /* a thread is inside MPI, or its ranks wait for
                            * what nobody will say to them */
        return IPMPI_ETIMEOUT;
    ipmpi_worlds_free(c);
    err = ipmpi_life_end(deadline_us);
    if (err == 0)
        free_comm(c);
    /* Otherwise MPI may still read and write what c holds: it stays until the
     * process ends, which is next. */
    return err;
}

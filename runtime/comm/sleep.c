/* Going to sleep and waking others.
 *
 * A rank sleeps when there is nothing to hand out, nothing moved for a while,
 * and its flag says so (note [sleep] in awake.c). What a bell cannot promise,
 * the re-check does: packets not yet counted as taken by their receiver, and
 * requests in flight, shorten the sleep to 1, 4, 16, .. ms (up to 100 ms with
 * requests in flight, else 5 s), and each time the bell is rung again. With
 * nothing of that kind a rank wakes only every 5 s, for good measure.
 *
 * Peers without the shared page (other nodes): their bell is rung at most
 * once in 100 us, and in any case before we sleep; they acknowledge what they
 * have taken with their next packet, or with an empty one before they sleep. */
#include "runtime/comm/internal.h"

#include <sched.h>

#include "runtime/base/clock.h"

#define SPIN_MAX_US    50
#define RING_EVERY_US  100
#define RECHECK_CAP_MS 5000
#define MOVING_CAP_MS  100 /* with requests in flight */
#define LOOKS_IN_ASLEEP                                   \
    3 /* an MPI probe may only see what the one before it \
       * took from the network */

static void add_peer(struct peer_list *list, bool *in_list, int peer)
{
    if (*in_list)
        return;
    *in_list = true;
    list->at[list->n++] = peer;
}

static void ring(struct ipmpi_comm *comm, int dest)
{
    ipmpi_bell_ring(comm->bell, &comm->peers[dest]->address);
    comm->counters.bells_rung++;
}

/* To a peer without shared flag. */
static void ring_remote(struct ipmpi_comm *comm, int dest)
{
    struct peer *peer = comm->peers[dest];
    const int64_t now = ipmpi_clock_now_us();

    if (now - peer->rung_us < RING_EVERY_US) {
        add_peer(&comm->owed, &peer->ring_owed, dest);
        return;
    }
    peer->rung_us = now;
    ring(comm, dest);
}

void ipmpi_sleep_ring_owed(struct ipmpi_comm *comm, bool all)
{
    const int64_t now = comm->owed.n > 0 ? ipmpi_clock_now_us() : 0;
    int kept = 0;

    for (int i = 0; i < comm->owed.n; i++) {
        const int dest = comm->owed.at[i];
        struct peer *peer = comm->peers[dest];

        if (!all && now - peer->rung_us < RING_EVERY_US) {
            comm->owed.at[kept++] = dest;
            continue;
        }
        peer->ring_owed = false;
        if (peer->dead)
            continue;
        peer->rung_us = now;
        ring(comm, dest);
    }
    comm->owed.n = kept;
}

void ipmpi_sleep_nudge(struct ipmpi_comm *comm, int peer)
{
    if (comm->peers[peer]->dead || peer == comm->rank)
        return;
    if (!comm->peers[peer]->shared)
        ring_remote(comm, peer);
    else if (ipmpi_awake_must_ring(comm->awake, peer))
        ring(comm, peer);
}

void ipmpi_sleep_sent(struct ipmpi_comm *comm, int dest)
{
    struct peer *peer = comm->peers[dest];

    peer->sent++;
    add_peer(&comm->watched, &peer->watched, dest);
    comm->recheck_ms = 0;
    ipmpi_sleep_nudge(comm, dest);
}

void ipmpi_sleep_taken(struct ipmpi_comm *comm, int source)
{
    struct peer *peer = comm->peers[source];

    peer->taken++;
    if (peer->shared)
        ipmpi_awake_put_taken(comm->awake, source, peer->taken);
    else
        add_peer(&comm->acks, &peer->ack_owed, source);
}

void ipmpi_sleep_busy(struct ipmpi_comm *comm, int64_t for_us)
{
    const int64_t until = ipmpi_clock_now_us() + for_us;

    if (until > comm->busy_until_us)
        comm->busy_until_us = until;
    comm->recheck_ms = 0;
}

static bool confirmed(const struct ipmpi_comm *comm, int dest)
{
    const struct peer *peer = comm->peers[dest];

    if (peer->dead)
        return true;
    return peer->sent == (peer->shared
                              ? ipmpi_awake_get_taken(comm->awake, dest)
                              : peer->confirmed);
}

/* Forgets the peers that have taken all. */
static void sift_watched(struct ipmpi_comm *comm)
{
    int kept = 0;

    for (int i = 0; i < comm->watched.n; i++) {
        const int dest = comm->watched.at[i];

        if (confirmed(comm, dest))
            comm->peers[dest]->watched = false;
        else
            comm->watched.at[kept++] = dest;
    }
    comm->watched.n = kept;
}

bool ipmpi_sleep_all_taken(struct ipmpi_comm *comm)
{
    sift_watched(comm);
    return comm->watched.n == 0;
}

static void ring_watched(struct ipmpi_comm *comm)
{
    for (int i = 0; i < comm->watched.n; i++) {
        const int dest = comm->watched.at[i];

        if (comm->peers[dest]->shared && !ipmpi_awake_sleeps(comm->awake, dest))
            continue;
        ring(comm, dest);
        comm->counters.bells_again++;
    }
}

static void send_acks(struct ipmpi_comm *comm)
{
    for (int i = 0; i < comm->acks.n; i++) {
        const int source = comm->acks.at[i];
        struct peer *peer = comm->peers[source];

        peer->ack_owed = false;
        if (!peer->dead && peer->told != peer->taken)
            ipmpi_send_ack(comm, source);
    }
    comm->acks.n = 0;
}

bool ipmpi_sleep_look(struct ipmpi_comm *comm)
{
    bool moved = ipmpi_requests_progress(comm) > 0;

    moved |= ipmpi_receive_probe(comm);
    return moved;
}

/* Looks for a short while before sleep is worth its price. The while is
 * learned: a sleep that turns out shorter than the longest spin opens it
 * (after_sleep), a spin in vain halves it. */
static bool spin(struct ipmpi_comm *comm)
{
    const int64_t start = ipmpi_clock_now_us();

    do {
        if (ipmpi_sleep_look(comm)) {
            comm->counters.spins_hit++;
            return true;
        }
    } while (ipmpi_clock_now_us() - start < comm->spin_us);
    comm->spin_us /= 2;
    return false;
}

/* How long the sleep may last, ringing again where the last one was in vain. */
static int choose_wait(struct ipmpi_comm *comm)
{
    const int64_t now = ipmpi_clock_now_us();

    const int cap_ms = comm->requests.n > 0 ? MOVING_CAP_MS : RECHECK_CAP_MS;

    sift_watched(comm);
    if (comm->watched.n == 0 && comm->requests.n == 0 && !comm->starved)
        return RECHECK_CAP_MS;
    if (comm->recheck_ms == 0) {
        comm->recheck_ms = 1;
        comm->recheck_at_us = now + 1000;
    } else if (now >= comm->recheck_at_us) {
        ring_watched(comm);
        comm->recheck_ms *= 4;
        if (comm->recheck_ms > cap_ms)
            comm->recheck_ms = cap_ms;
        comm->recheck_at_us = now + (int64_t)comm->recheck_ms * 1000;
    }
    return (int)((comm->recheck_at_us - now + 999) / 1000);
}

int ipmpi_comm_before_sleep(struct ipmpi_comm *comm)
{
    if (comm->ready_first != NULL || spin(comm))
        return 0;
    ipmpi_sleep_ring_owed(comm, true);
    if (comm->requests.n > 0 && ipmpi_clock_now_us() < comm->busy_until_us) {
        if (comm->crowded)
            sched_yield();
        return 0;
    }
    send_acks(comm);
    if (comm->awake != NULL)
        ipmpi_awake_announce_sleep(comm->awake);
    for (int i = 0; i < LOOKS_IN_ASLEEP; i++)
        if (ipmpi_sleep_look(comm)) {
            if (comm->awake != NULL)
                ipmpi_awake_announce_awake(comm->awake);
            return 0;
        }
    comm->asleep = true;
    comm->counters.sleeps++;
    comm->slept_at_us = ipmpi_clock_now_us();
    return choose_wait(comm);
}

int ipmpi_comm_fds(const struct ipmpi_comm *comm, int fds_out[2])
{
    return ipmpi_bell_fds(comm->bell, fds_out);
}

void ipmpi_comm_after_sleep(struct ipmpi_comm *comm, ipmpi_notice_fn *notice_fn,
                            void *ctx)
{
    if (comm->asleep) {
        const int64_t now = ipmpi_clock_now_us();

        comm->asleep = false;
        if (comm->awake != NULL)
            ipmpi_awake_announce_awake(comm->awake);
        if (!comm->crowded && now - comm->slept_at_us < SPIN_MAX_US)
            comm->spin_us = SPIN_MAX_US;
        /* Woken before the re-check is due: a peer wants us to work on what
         * is in flight, which may take many turns to complete. */
        if (comm->requests.n > 0 && now < comm->recheck_at_us)
            comm->busy_until_us = now + IPMPI_BUSY_PIECE_US;
    }
    ipmpi_bell_drain(comm->bell, notice_fn, ctx);
}

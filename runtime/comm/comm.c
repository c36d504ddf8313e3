/* The transport's life: MPI from start to end, the job's token, bells, page of
 * flags, and one turn of work.
 *
 * Opening costs few collectives, since each is slow when many ranks share few
 * cores: a broadcast of what rank 0 chose, an exchange of addresses (which
 * also carries the versions and anybody's failure), and the communicators. */
#include "runtime/comm/internal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

#define TRANSPORT_VERSION 1
#define SPIN_START_US     20

/* What rank 0 chose for all. The same in every version. */
struct decree {
    uint32_t transport, protocol;
    char build[32];
    uint8_t token[IPMPI_TOKEN_LEN];
};

/* What each rank tells all. The same size in every version. */
union card {
    struct {
        int32_t err;
        struct ipmpi_bell_address address;
    } is;
    uint8_t bytes[512];
};

_Static_assert(sizeof(((union card *)0)->is) <= 512, "a card fits");

static int start_mpi(void)
{
    int provided = MPI_THREAD_SINGLE;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);

    if (code != MPI_SUCCESS) {
        ipmpi_log_error("COMM-INIT", "MPI_Init_thread failed (%d)", code);
        return IPMPI_EMPI;
    }
    if (provided < MPI_THREAD_MULTIPLE) {
        ipmpi_log_error("COMM-THREADS", "this MPI library is built without "
                                        "MPI_THREAD_MULTIPLE, which is needed");
        MPI_Finalize();
        return IPMPI_EMPI;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    return 0;
}

static int new_comm(struct ipmpi_comm **comm_out)
{
    struct ipmpi_comm *comm = calloc(1, sizeof(*comm));

    if (comm == NULL)
        return IPMPI_ENOMEM;
    comm->runtime = comm->engines = MPI_COMM_NULL;
    MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
    comm->ready_end = &comm->ready_first;
    comm->peers = calloc((size_t)comm->size, sizeof(*comm->peers));
    comm->watched.at = calloc((size_t)comm->size, 3 * sizeof(int));
    if (comm->peers == NULL || comm->watched.at == NULL) {
        free(comm->peers);
        free(comm->watched.at);
        free(comm);
        return IPMPI_ENOMEM;
    }
    comm->owed.at = comm->watched.at + comm->size;
    comm->acks.at = comm->owed.at + comm->size;
    for (int i = 0; i < comm->size; i++) {
        struct peer *peer = &comm->peers[i];

        peer->queue_end = &peer->queue_first;
        peer->stream_end = &peer->stream_first;
        peer->end = &peer->first;
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
    free(comm->watched.at);
    free(comm->peers);
    free(comm);
}

/* Rank 0 decides, all compare. IPMPI_EVERSION on whoever differs. */
static int hear_decree(struct ipmpi_comm *comm, uint32_t protocol,
                       uint8_t token_out[IPMPI_TOKEN_LEN])
{
    const struct decree mine = {
        TRANSPORT_VERSION, protocol, IPMPI_VERSION, {0}};
    struct decree decree = mine;
    int err = 0;

    if (comm->rank == 0 && getrandom(decree.token, sizeof(decree.token), 0) !=
                               sizeof(decree.token))
        err = IPMPI_ESYS;
    if (MPI_Bcast(&decree, sizeof(decree), MPI_BYTE, 0, MPI_COMM_WORLD) !=
        MPI_SUCCESS)
        return IPMPI_EMPI;
    memcpy(token_out, decree.token, sizeof(decree.token));
    if (decree.transport != mine.transport || decree.protocol != protocol ||
        memcmp(decree.build, mine.build, sizeof(mine.build)) != 0) {
        ipmpi_log_error("COMM-VERSION",
                        "rank %d runs ipmpi %s (protocol %u.%u), rank 0 "
                        "runs %.31s (protocol %u.%u): install one version on "
                        "all hosts",
                        comm->rank, IPMPI_VERSION, TRANSPORT_VERSION, protocol,
                        decree.build, decree.transport, decree.protocol);
        err = IPMPI_EVERSION;
    }
    return err;
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
static int meet(struct ipmpi_comm *comm, int err)
{
    union card mine = {.bytes = {0}};
    union card *all = calloc((size_t)comm->size, sizeof(*all));
    int code;

    if (all == NULL)
        return IPMPI_ENOMEM; /* cannot even take part: the job must end */
    mine.is.err = err;
    if (comm->bell != NULL)
        ipmpi_bell_address(comm->bell, &mine.is.address);
    code = MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, all, sizeof(mine),
                         MPI_BYTE, MPI_COMM_WORLD);
    if (comm->awake != NULL)
        ipmpi_awake_hide(comm->awake);
    if (code != MPI_SUCCESS)
        err = IPMPI_EMPI;
    for (int i = 0; i < comm->size && code == MPI_SUCCESS; i++) {
        if (err == 0)
            err = all[i].is.err;
        comm->peers[i].address = all[i].is.address;
        comm->peers[i].shared =
            comm->awake != NULL && ipmpi_awake_shared(comm->awake, i);
    }
    free(all);
    return err;
}

int ipmpi_comm_open(const struct ipmpi_comm_options *options,
                    struct ipmpi_comm **comm_out)
{
    const struct ipmpi_comm_options none = {0};
    uint8_t token[IPMPI_TOKEN_LEN];
    struct ipmpi_comm *comm;
    int err = start_mpi();

    if (err != 0)
        return err;
    if (options == NULL)
        options = &none;
    err = new_comm(&comm);
    if (err != 0) {
        ipmpi_log_error("COMM-MEMORY", "no memory to start with");
        return err;
    }
    err = hear_decree(comm, options->protocol, token);
    if (err == 0)
        err = hang_bell(comm, token, options->bell_ipv4_be);
    err = meet(comm, err);
    if (err == 0)
        err = ipmpi_worlds_open(comm);
    if (err != 0) {
        free_comm(comm);
        if (err != IPMPI_EMPI)
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

void ipmpi_comm_mark_dead(struct ipmpi_comm *comm, int peer)
{
    if (peer < 0 || peer >= comm->size || comm->peers[peer].dead)
        return;
    comm->peers[peer].dead = true;
    ipmpi_requests_abandon(comm, peer);
    ipmpi_send_abandon(comm, peer);
    ipmpi_receive_abandon(comm, peer);
}

bool ipmpi_comm_is_dead(const struct ipmpi_comm *comm, int peer)
{
    return comm->peers[peer].dead;
}

int ipmpi_comm_rank(const struct ipmpi_comm *comm)
{
    return comm->rank;
}

int ipmpi_comm_size(const struct ipmpi_comm *comm)
{
    return comm->size;
}

const struct ipmpi_bell_address *
ipmpi_comm_address(const struct ipmpi_comm *comm, int rank)
{
    return &comm->peers[rank].address;
}

size_t ipmpi_comm_unsent_bytes(const struct ipmpi_comm *comm, int peer)
{
    return peer < 0 ? comm->unsent : comm->peers[peer].unsent;
}

uintptr_t ipmpi_comm_user_world(const struct ipmpi_comm *comm)
{
    return comm->engines == MPI_COMM_NULL ? 0 : (uintptr_t)comm->engines;
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

/* Lets what was sent leave, as long as there is time. */
static void flush(struct ipmpi_comm *comm, int64_t deadline_us)
{
    while (comm->requests.n > 0 || comm->unsent > 0) {
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

/* MPI_Finalize in a thread of its own: with dead peers it may never return.
 * Open MPI asks only that no other thread is inside MPI. */
struct finalizer {
    pthread_mutex_t lock; /* guards done and left */
    pthread_cond_t ended;
    bool done;
    bool left; /* the caller has given up: the thread cleans up */
};

static void drop_finalizer(struct finalizer *f)
{
    pthread_cond_destroy(&f->ended);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void *finalize(void *arg)
{
    struct finalizer *f = arg;
    bool left;

    pthread_setname_np(pthread_self(), "mpi-finalize");
    MPI_Finalize();
    pthread_mutex_lock(&f->lock);
    f->done = true;
    left = f->left;
    pthread_cond_signal(&f->ended);
    pthread_mutex_unlock(&f->lock);
    if (left)
        drop_finalizer(f);
    return NULL;
}

static int finalize_until(int64_t deadline_us)
{
    struct finalizer *f = calloc(1, sizeof(*f));
    const struct timespec until = {.tv_sec = deadline_us / 1000000,
                                   .tv_nsec = deadline_us % 1000000 * 1000};
    pthread_condattr_t clock;
    pthread_t thread;
    bool done;

    if (f == NULL)
        return IPMPI_ENOMEM;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->ended, &clock);
    pthread_condattr_destroy(&clock);
    if (pthread_create(&thread, NULL, finalize, f) != 0) {
        drop_finalizer(f);
        return IPMPI_ESYS;
    }
    pthread_mutex_lock(&f->lock);
    while (!f->done && pthread_cond_timedwait(&f->ended, &f->lock, &until) == 0)
        ;
    done = f->done;
    f->left = !done;
    pthread_mutex_unlock(&f->lock);
    if (!done) {
        pthread_detach(thread);
        return IPMPI_ETIMEOUT;
    }
    pthread_join(thread, NULL);
    drop_finalizer(f);
    return 0;
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
    err = finalize_until(deadline_us);
    if (err == 0)
        free_comm(c);
    /* Otherwise MPI may still read and write what c holds: it stays until the
     * process ends, which is next. */
    return err;
}

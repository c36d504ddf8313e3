/* Starting more ranks: MPI_Comm_spawn and the meeting with the new world, in a
 * thread, for both block until the processes are there.
 *
 * Invariant: a spawn belongs to its thread until `ended`, then to the runtime
 *            thread. MPI_Comm_spawn is called over MPI_COMM_SELF: the engines
 *            that are there take no part.
 * Threads:   the runtime thread, and one for each spawn under way. */
#include "runtime/comm/internal.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/comm/meet.h"

struct spawn {
    struct spawn *next;
    pthread_t thread;
    int event_fd; /* lent */
    char *command;
    char **argv;
    char *host; /* or NULL */
    uint32_t protocol;
    struct ipmpi_bell_address address; /* rank 0's */

    struct ipmpi_spawned result;
    MPI_Comm all;            /* rank 0 and the new ranks */
    union ipmpi_card *cards; /* of all */
    atomic_bool ended;
};

/* --- in the thread --------------------------------------------------- */

static int fail(struct spawn *spawn, const char *what, int code)
{
    char text[MPI_MAX_ERROR_STRING];

    snprintf(spawn->result.why, sizeof(spawn->result.why), "%s: %s", what,
             ipmpi_mpi_text(code, text));
    return IPMPI_EMPI;
}

/* What MPI is to know of where they go; MPI_INFO_NULL: nothing. */
static MPI_Info make_info(const struct spawn *spawn)
{
    MPI_Info info = MPI_INFO_NULL;

    if (spawn->host != NULL && MPI_Info_create(&info) == MPI_SUCCESS)
        MPI_Info_set(info, "add-host", spawn->host);
    return info;
}

static int start_ranks(struct spawn *spawn)
{
    MPI_Info info = make_info(spawn);
    MPI_Comm inter;
    int code;

    code = MPI_Comm_spawn(spawn->command, spawn->argv, spawn->result.n, info, 0,
                          MPI_COMM_SELF, &inter, MPI_ERRCODES_IGNORE);
    if (info != MPI_INFO_NULL)
        MPI_Info_free(&info);
    if (code != MPI_SUCCESS)
        return fail(spawn,
                    "MPI cannot start more processes (see what mpirun says; "
                    "with --oversubscribe it allows more than it has slots "
                    "for)",
                    code);
    MPI_Comm_set_errhandler(inter, MPI_ERRORS_RETURN);
    code = MPI_Intercomm_merge(inter, 0, &spawn->all);
    if (code != MPI_SUCCESS)
        return fail(spawn, "the new processes cannot join", code);
    MPI_Comm_set_errhandler(spawn->all, MPI_ERRORS_RETURN);
    MPI_Comm_free(&inter);
    return 0;
}

static int meet(struct spawn *spawn)
{
    struct ipmpi_decree decree;
    int err = ipmpi_meet_decree(spawn->all, spawn->protocol,
                                spawn->result.first, &decree);

    if (err != IPMPI_EMPI)
        err = ipmpi_meet_cards(spawn->all, err, &spawn->address,
                               (struct ipmpi_comm_spot){-1, -1}, spawn->cards);
    if (err != 0)
        snprintf(spawn->result.why, sizeof(spawn->result.why),
                 "the new processes cannot join: %s", ipmpi_strerror(err));
    return err;
}

static void *run(void *arg)
{
    struct spawn *spawn = arg;
    const uint64_t one = 1;
    const int event_fd = spawn->event_fd;
    int err = start_ranks(spawn);

    if (err == 0)
        err = meet(spawn);
    spawn->result.err = err;
    atomic_store(&spawn->ended, true);
    if (write(event_fd, &one, sizeof(one)) < 0)
        ipmpi_log_error("COMM-SPAWN", "cannot tell of the new processes");
    return NULL;
}

/* --- in the runtime thread ------------------------------------------- */

static void destroy(struct spawn *spawn)
{
    for (char **each = spawn->argv; each != NULL && *each != NULL; each++)
        free(*each);
    free(spawn->argv);
    free(spawn->command);
    free(spawn->host);
    free(spawn->cards);
    free(spawn);
}

static int copy_command(struct spawn *spawn, const char *command,
                        char *const *argv)
{
    size_t n = 0;

    while (argv[n] != NULL)
        n++;
    spawn->command = strdup(command);
    spawn->argv = calloc(n + 1, sizeof(*spawn->argv));
    if (spawn->command == NULL || spawn->argv == NULL)
        return IPMPI_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        spawn->argv[i] = strdup(argv[i]);
        if (spawn->argv[i] == NULL)
            return IPMPI_ENOMEM;
    }
    return 0;
}

static int create(struct ipmpi_comm *comm, const char *command,
                  char *const *argv, int n, const char *host,
                  struct spawn **spawn_out)
{
    struct spawn *spawn = calloc(1, sizeof(*spawn));

    if (spawn == NULL)
        return IPMPI_ENOMEM;
    spawn->event_fd = comm->spawn_fd;
    spawn->protocol = comm->protocol;
    spawn->all = MPI_COMM_NULL;
    spawn->result.first = comm->size;
    spawn->result.n = n;
    ipmpi_bell_address(comm->bell, &spawn->address);
    spawn->cards = calloc((size_t)n + 1, sizeof(*spawn->cards));
    if (host != NULL)
        spawn->host = strdup(host);
    if (spawn->cards == NULL || (host != NULL && spawn->host == NULL) ||
        copy_command(spawn, command, argv) != 0) {
        destroy(spawn);
        return IPMPI_ENOMEM;
    }
    *spawn_out = spawn;
    return 0;
}

/* Signals are for the loop's descriptor. */
static int start_thread(struct spawn *spawn)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&spawn->thread, NULL, run, spawn);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return IPMPI_ESYS;
    pthread_setname_np(spawn->thread, "mpi-spawn");
    return 0;
}

int ipmpi_comm_spawn(struct ipmpi_comm *comm, const char *command,
                     char *const *argv, int n, const char *host)
{
    const int first = comm->size;
    struct spawn *spawn;
    int err;

    if (n < 1 || comm->rank != 0)
        return IPMPI_EINVAL;
    if (comm->spawn_fd < 0) {
        comm->spawn_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (comm->spawn_fd < 0)
            return IPMPI_ESYS;
        MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    }
    err = create(comm, command, argv, n, host, &spawn);
    if (err != 0)
        return err;
    err = ipmpi_peers_grow(comm, n);
    if (err == 0)
        err = start_thread(spawn);
    for (int i = first; i < comm->size; i++)
        comm->peers[i]->dead = comm->peers[i]->expected = true;
    if (err != 0) { /* the numbers, if there are any, stay unused */
        destroy(spawn);
        return err;
    }
    spawn->next = comm->spawns;
    comm->spawns = spawn;
    return 0;
}

int ipmpi_comm_spawn_fd(const struct ipmpi_comm *comm)
{
    return comm->spawn_fd;
}

static int adopt(struct ipmpi_comm *comm, const struct spawn *spawn)
{
    const struct ipmpi_spawned *result = &spawn->result;

    if (ipmpi_worlds_add(comm, spawn->all, result->first) != 0)
        return IPMPI_ENOMEM;
    for (int i = 0; i < result->n; i++) {
        struct peer *peer = comm->peers[result->first + i];

        peer->world = spawn->all;
        peer->rank = i + 1;
        peer->address = spawn->cards[i + 1].is.address;
        peer->spot = spawn->cards[i + 1].is.spot;
        peer->dead = !peer->expected;
        peer->expected = false;
    }
    return 0;
}

/* Takes the oldest that has ended out of the list. */
static struct spawn *take_ended(struct ipmpi_comm *comm)
{
    struct spawn **found = NULL, *spawn;

    for (struct spawn **at = &comm->spawns; *at != NULL; at = &(*at)->next)
        if (atomic_load(&(*at)->ended))
            found = at;
    if (found == NULL)
        return NULL;
    spawn = *found;
    *found = spawn->next;
    return spawn;
}

int ipmpi_comm_spawned(struct ipmpi_comm *comm, struct ipmpi_spawned *out)
{
    struct spawn *spawn;
    uint64_t count;

    if (comm->spawns == NULL)
        return IPMPI_EEMPTY;
    if (read(comm->spawn_fd, &count, sizeof(count)) < 0)
        count = 0; /* the list knows better */
    spawn = take_ended(comm);
    if (spawn == NULL)
        return IPMPI_EEMPTY;
    pthread_join(spawn->thread, NULL);
    if (spawn->result.err == 0) {
        spawn->result.err = adopt(comm, spawn);
        if (spawn->result.err != 0)
            snprintf(spawn->result.why, sizeof(spawn->result.why), "%s",
                     ipmpi_strerror(spawn->result.err));
    }
    *out = spawn->result;
    destroy(spawn);
    return 0;
}

int ipmpi_comm_await_spawns(struct ipmpi_comm *comm, int wait_ms)
{
    const int64_t deadline_us = ipmpi_clock_now_us() + (int64_t)wait_ms * 1000;
    struct pollfd item = {.fd = comm->spawn_fd, .events = POLLIN};
    struct ipmpi_spawned spawned;

    while (comm->spawns != NULL) {
        const int64_t left_ms = (deadline_us - ipmpi_clock_now_us()) / 1000;

        if (ipmpi_comm_spawned(comm, &spawned) == 0)
            continue;
        if (left_ms <= 0)
            return IPMPI_ETIMEOUT;
        poll(&item, 1, (int)left_ms);
    }
    return 0;
}

void ipmpi_spawn_free(struct ipmpi_comm *comm)
{
    if (comm->spawn_fd >= 0)
        close(comm->spawn_fd);
}

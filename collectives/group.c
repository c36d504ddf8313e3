/* A group: its messages, its waiting, its temporary memory.
 *
 * Invariant: a message carries its group's tag, so that what a failed group
 *            left behind is never taken for another's; what it left is drained
 *            when the next groups open.
 * Threads:   one at a time. */
#include "collectives/internal.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum {
    TAGS = 1 << 20, /* an MPI library may have no more than 2^22 */
    POLL_US = 5000,
    SPIN_US = 200,
    BUSY_US = 20000, /* data that moves is seldom silent for longer */
    NAP_US = 50,
    LONG_NAP_US = 1000,
    DRAIN_US = 50000,
    DRAIN_MOST = 2048,
    FAILED_CAP = 16,
};
#define CHUNK ((size_t)1 << 30) /* of a message: MPI counts are ints */

struct block {
    struct block *next;
    _Alignas(16) uint8_t data[];
};

/* Tags of the last groups that failed here: their messages may still come. */
static int failed_tags[FAILED_CAP];
static unsigned n_failed;
static bool plain_broken; /* a plain collective failed here */

void *ipmpi_group_alloc(struct ipmpi_group *group, size_t size)
{
    struct block *block = malloc(sizeof(*block) + size);

    if (block == NULL)
        return NULL;
    block->next = group->blocks;
    group->blocks = block;
    return block->data;
}

/* ---- opening and closing -------------------------------------------- */

/* Only what has come whole: libraries send up to some KiB at once, but more
 * only when it is received, and then its sender may be dead. Such a message
 * stays where it is, which is a few bytes. */
static bool drain_one(MPI_Comm comm, int tag)
{
    uint8_t room[DRAIN_MOST];
    MPI_Status status;
    int found = 0, len = 0;

    if (MPI_Iprobe(MPI_ANY_SOURCE, tag, comm, &found, &status) != MPI_SUCCESS ||
        !found)
        return false;
    MPI_Get_count(&status, MPI_BYTE, &len);
    if (len > DRAIN_MOST)
        return false;
    return MPI_Recv(room, len, MPI_BYTE, status.MPI_SOURCE, tag, comm,
                    MPI_STATUS_IGNORE) == MPI_SUCCESS;
}

static void drain_failed(MPI_Comm comm, int but)
{
    const unsigned n = n_failed < FAILED_CAP ? n_failed : FAILED_CAP;

    for (unsigned i = 0; i < n; i++) {
        while (failed_tags[i] != but && drain_one(comm, failed_tags[i]))
            ;
    }
}

static int find_me(struct ipmpi_group *group, const int *ranks)
{
    int me, size, err = 0;
    bool *seen;

    if (MPI_Comm_rank(group->comm, &me) != MPI_SUCCESS ||
        MPI_Comm_size(group->comm, &size) != MPI_SUCCESS)
        return IPMPI_EMPI;
    seen = calloc((size_t)size, sizeof(*seen));
    if (seen == NULL)
        return IPMPI_ENOMEM;
    for (int i = 0; i < group->n && err == 0; i++) {
        if (ranks[i] < 0 || ranks[i] >= size || seen[ranks[i]]) {
            err = IPMPI_EINVAL;
            break;
        }
        seen[ranks[i]] = true;
        group->rank[i] = ranks[i];
        if (ranks[i] == me)
            group->me = i;
    }
    free(seen);
    group->plain = group->n == size;
    return err == 0 && group->me < 0 ? IPMPI_EINVAL : err;
}

int ipmpi_group_open(uintptr_t world, const int *ranks, int n, uint64_t id,
                     ipmpi_group_poll_fn *poll, void *ctx,
                     struct ipmpi_group **group_out)
{
    struct ipmpi_group *group = calloc(1, sizeof(*group));
    int err = IPMPI_ENOMEM;

    if (n <= 0) {
        free(group);
        return IPMPI_EINVAL;
    }
    if (group == NULL)
        return IPMPI_ENOMEM;
    group->comm = (MPI_Comm)world;
    group->n = n;
    group->me = -1;
    group->id = id;
    group->tag = 1 + (int)(id % TAGS);
    group->poll = poll;
    group->ctx = ctx;
    group->rank = malloc((size_t)n * sizeof(*group->rank));
    if (group->rank != NULL)
        err = find_me(group, ranks);
    if (err != 0) {
        free(group->rank);
        free(group);
        return err;
    }
    for (int i = 0; i < n; i++) /* plain ones are in the order of the world */
        group->plain = group->plain && group->rank[i] == i;
    drain_failed(group->comm, group->tag);
    *group_out = group;
    return 0;
}

bool ipmpi_group_close(struct ipmpi_group **group)
{
    struct ipmpi_group *g = *group;
    const bool clean = g->n_requests == 0;
    struct block *block;

    *group = NULL;
    if (g->failed)
        failed_tags[n_failed++ % FAILED_CAP] = g->tag;
    if (clean) {
        while ((block = g->blocks) != NULL) {
            g->blocks = block->next;
            free(block);
        }
        ipmpi_buffer_release(&g->kept);
        free(g->requests);
    } /* else MPI may still use all this: it stays */
    free(g->rank);
    free(g);
    return clean;
}

int ipmpi_group_size(const struct ipmpi_group *group)
{
    return group->n;
}

int ipmpi_group_rank(const struct ipmpi_group *group)
{
    return group->me;
}

/* ---- messages ------------------------------------------------------- */

static int reserve(struct ipmpi_group *group)
{
    const int cap = group->cap == 0 ? 16 : 2 * group->cap;
    MPI_Request *more;

    if (group->n_requests < group->cap)
        return 0;
    more = realloc(group->requests, (size_t)cap * sizeof(*more));
    if (more == NULL)
        return IPMPI_ENOMEM;
    group->requests = more;
    group->cap = cap;
    return 0;
}

/* Gives up: what has not been matched is taken back, what is moving gets a
 * moment to end. */
static int give_up(struct ipmpi_group *group, int err)
{
    const int64_t until = ipmpi_clock_now_us() + DRAIN_US;
    int done = 0;

    group->failed = true;
    plain_broken = plain_broken || group->in_plain;
    for (int i = 0; i < group->n_requests && !group->in_plain; i++) {
        if (group->requests[i] != MPI_REQUEST_NULL)
            MPI_Cancel(&group->requests[i]);
    }
    while (!done && ipmpi_clock_now_us() < until) {
        if (MPI_Testall(group->n_requests, group->requests, &done,
                        MPI_STATUSES_IGNORE) != MPI_SUCCESS)
            break;
        sched_yield();
    }
    if (done)
        group->n_requests = 0;
    return err;
}

int ipmpi_group_send(struct ipmpi_group *group, const void *data, size_t len,
                     int to)
{
    const uint8_t *at = data;

    while (len > 0) {
        const size_t part = len < CHUNK ? len : CHUNK;

        if (reserve(group) != 0)
            return give_up(group, IPMPI_ENOMEM);
        if (MPI_Isend(at, (int)part, MPI_BYTE, group->rank[to], group->tag,
                      group->comm,
                      &group->requests[group->n_requests]) != MPI_SUCCESS)
            return give_up(group, IPMPI_EMPI);
        group->n_requests++;
        at += part;
        len -= part;
    }
    return 0;
}

int ipmpi_group_receive(struct ipmpi_group *group, void *data, size_t len,
                        int from)
{
    uint8_t *at = data;

    while (len > 0) {
        const size_t part = len < CHUNK ? len : CHUNK;

        if (reserve(group) != 0)
            return give_up(group, IPMPI_ENOMEM);
        if (MPI_Irecv(at, (int)part, MPI_BYTE, group->rank[from], group->tag,
                      group->comm,
                      &group->requests[group->n_requests]) != MPI_SUCCESS)
            return give_up(group, IPMPI_EMPI);
        group->n_requests++;
        at += part;
        len -= part;
    }
    return 0;
}

/* ---- waiting -------------------------------------------------------- */

static void nap(int64_t waited_us, bool patient)
{
    struct timespec time = {0};

    if (waited_us < (patient ? SPIN_US : BUSY_US)) {
        sched_yield();
        return;
    }
    time.tv_nsec = NAP_US * 1000;
    if (patient && waited_us / 16 > NAP_US)
        time.tv_nsec =
            (waited_us / 16 < LONG_NAP_US ? waited_us / 16 : LONG_NAP_US) *
            1000;
    nanosleep(&time, NULL);
}

static int wait_for(struct ipmpi_group *group, int first, bool patient)
{
    const int64_t start = ipmpi_clock_now_us();
    int64_t now, poll_at = start + POLL_US;
    int done, err;

    for (;;) {
        if (MPI_Testall(group->n_requests - first, group->requests + first,
                        &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS)
            return give_up(group, IPMPI_EMPI);
        if (done) {
            group->n_requests = first;
            return 0;
        }
        now = ipmpi_clock_now_us();
        if (now >= poll_at) {
            err = group->poll(group->ctx);
            if (err != 0)
                return give_up(group, err);
            poll_at = now + POLL_US;
        }
        nap(now - start, patient);
    }
}

int ipmpi_group_wait(struct ipmpi_group *group, bool patient)
{
    return wait_for(group, 0, patient);
}

int ipmpi_group_wait_from(struct ipmpi_group *group, int first)
{
    return wait_for(group, first, false);
}

int ipmpi_group_exchange(struct ipmpi_group *group, const void *out,
                         size_t out_len, int to, void *in, size_t in_len,
                         int from)
{
    int err = ipmpi_group_receive(group, in, in_len, from);

    if (err == 0)
        err = ipmpi_group_send(group, out, out_len, to);
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

bool ipmpi_group_may_plain(const struct ipmpi_group *group)
{
    return group->plain && !plain_broken;
}

MPI_Request *ipmpi_group_plain_request(struct ipmpi_group *group)
{
    return reserve(group) == 0 ? &group->requests[group->n_requests] : NULL;
}

int ipmpi_group_plain_wait(struct ipmpi_group *group)
{
    int err;

    group->n_requests++;
    group->in_plain = true;
    err = ipmpi_group_wait(group, false);
    group->in_plain = false;
    return err;
}

int ipmpi_group_plain_failed(struct ipmpi_group *group)
{
    group->failed = plain_broken = true;
    return IPMPI_EMPI;
}

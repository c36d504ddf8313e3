/* The page of flags, a POSIX shared memory file with a name that only this
 * job knows, taken away as soon as all ranks of the node have mapped it.
 *
 * Layout: a slot for each rank of the job (also of other nodes: tmpfs gives
 * no memory to what is never touched), then a row of counts for each rank.
 *
 * Note [sleep]. A rank that goes to sleep (1) announces it by an exchange on
 * its flag, (2) looks for messages once more, (3) sleeps. A sender (a) sends,
 * (b) sets RUNG by a read-modify-write of the same flag, (c) rings if that
 * found ASLEEP without RUNG. All changes of a flag have one order. If (b)
 * comes before (1), then (1) reads what (b) wrote or a later change of it, so
 * it synchronises with (b): the look in (2) sees the message. If (b) comes
 * after (1), it finds ASLEEP and rings, unless RUNG says that another sender
 * does so already: that bell stays in the socket until the sleeper drains it,
 * which it does only after it has cleared the flag. No fence is needed, and
 * ThreadSanitizer can follow.
 *
 * Note [announced]. An MPI probe in vain is dear: on a crowded node it yields
 * the processor, and others have it for a while. So a sender counts each
 * packet before it gives it to MPI, and a receiver that has matched as many as
 * were counted does not probe. A sender that dies in between leaves a count too
 * high, which costs probes and loses nothing. The count is raised before (b),
 * so (2) sees it as it sees the message.
 *
 * That a message is visible to (2) once MPI_Isend has returned is not promised
 * by MPI: a fragment may wait in the sender for room, a connection for its
 * other end, another thread of the sleeper may be in MPI just then. So a
 * sender that has not seen its packets counted as taken looks again after 1,
 * 4, 16, .. ms, in the end every 5 s, and rings once more (sleep.c). */
#include "runtime/comm/awake.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/error.h"

#define ASLEEP 1u
#define RUNG   2u
#define LINE   64

struct slot {
    _Alignas(LINE) atomic_uint flag;
    _Alignas(LINE) atomic_uint announced; /* packets */
    _Alignas(LINE) atomic_uint present;   /* rank + 1 */
    cpu_set_t cpus;
};

struct ipmpi_awake {
    int rank, size;
    struct slot *slots;
    atomic_uint *counts; /* [who took][from whom] */
    size_t row, bytes;
    char name[48];
    bool named;
};

static void name_page(const uint8_t token[16], char name[48])
{
    int at = snprintf(name, 48, "/ipmpi-");

    for (int i = 0; i < 16; i++)
        at += snprintf(name + at, (size_t)(48 - at), "%02x", token[i]);
}

static int map_page(struct ipmpi_awake *awake)
{
    const int fd = shm_open(awake->name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int err = IPMPI_ESYS;
    void *page;

    if (fd < 0)
        return IPMPI_ESYS;
    awake->named = true;
    if (ftruncate(fd, (off_t)awake->bytes) != 0)
        goto close_fd;
    page = mmap(NULL, awake->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        goto close_fd;
    awake->slots = page;
    awake->counts = (atomic_uint *)(awake->slots + awake->size);
    err = 0;

close_fd:
    close(fd);
    return err;
}

int ipmpi_awake_open(const uint8_t token[16], int rank, int size,
                     struct ipmpi_awake **awake_out)
{
    struct ipmpi_awake *awake = calloc(1, sizeof(*awake));
    const size_t per_line = LINE / sizeof(atomic_uint);
    int err;

    if (awake == NULL)
        return IPMPI_ENOMEM;
    awake->rank = rank;
    awake->size = size;
    awake->row = ((size_t)size + per_line - 1) / per_line * per_line;
    awake->bytes =
        (size_t)size * (sizeof(struct slot) + awake->row * sizeof(atomic_uint));
    name_page(token, awake->name);
    err = map_page(awake);
    if (err != 0) {
        ipmpi_awake_close(&awake);
        return err;
    }
    CPU_ZERO(&awake->slots[rank].cpus);
    sched_getaffinity(0, sizeof(cpu_set_t), &awake->slots[rank].cpus);
    atomic_store(&awake->slots[rank].present, (unsigned)rank + 1);
    *awake_out = awake;
    return 0;
}

void ipmpi_awake_hide(struct ipmpi_awake *awake)
{
    if (awake->named)
        shm_unlink(awake->name);
    awake->named = false;
}

void ipmpi_awake_close(struct ipmpi_awake **awake)
{
    struct ipmpi_awake *a = *awake;

    *awake = NULL;
    if (a == NULL)
        return;
    ipmpi_awake_hide(a);
    if (a->slots != NULL)
        munmap(a->slots, a->bytes);
    free(a);
}

bool ipmpi_awake_shared(const struct ipmpi_awake *awake, int peer)
{
    return atomic_load(&awake->slots[peer].present) == (unsigned)peer + 1;
}

bool ipmpi_awake_crowded(const struct ipmpi_awake *awake)
{
    cpu_set_t all;
    int ranks = 0;

    CPU_ZERO(&all);
    for (int i = 0; i < awake->size; i++)
        if (ipmpi_awake_shared(awake, i)) {
            CPU_OR(&all, &all, &awake->slots[i].cpus);
            ranks++;
        }
    return ranks > CPU_COUNT(&all);
}

void ipmpi_awake_announce_sleep(struct ipmpi_awake *awake)
{
    atomic_exchange(&awake->slots[awake->rank].flag, ASLEEP);
}

void ipmpi_awake_announce_awake(struct ipmpi_awake *awake)
{
    atomic_exchange(&awake->slots[awake->rank].flag, 0);
}

bool ipmpi_awake_must_ring(struct ipmpi_awake *awake, int peer)
{
    return atomic_fetch_or(&awake->slots[peer].flag, RUNG) == ASLEEP;
}

void ipmpi_awake_announce(struct ipmpi_awake *awake, int peer)
{
    atomic_fetch_add(&awake->slots[peer].announced, 1);
}

uint32_t ipmpi_awake_announced(const struct ipmpi_awake *awake)
{
    return atomic_load(&awake->slots[awake->rank].announced);
}

bool ipmpi_awake_sleeps(const struct ipmpi_awake *awake, int peer)
{
    return atomic_load(&awake->slots[peer].flag) & ASLEEP;
}

void ipmpi_awake_put_taken(struct ipmpi_awake *awake, int source,
                           uint32_t taken)
{
    atomic_store_explicit(
        &awake->counts[(size_t)awake->rank * awake->row + (size_t)source],
        taken, memory_order_release);
}

uint32_t ipmpi_awake_get_taken(const struct ipmpi_awake *awake, int peer)
{
    return atomic_load_explicit(
        &awake->counts[(size_t)peer * awake->row + (size_t)awake->rank],
        memory_order_acquire);
}

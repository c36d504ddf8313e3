/* What Open MPI's TCP transport sees of a peer that has died.
 *
 * Note [hang-up]. While it has something queued for a peer whose connection
 * breaks, Open MPI 4.1 ends the process that lives ("TSW - FIX" in
 * pml_ob1_sendreq.c: ompi_rte_abort): an engine on another node, or one that
 * was added, would take rank 0 and so the whole job along if it was killed
 * while much was on its way to it. Nothing that MPI offers keeps it from that.
 *
 * So the programs of this project have a writev and a readv of their own, which
 * come before libc's for all libraries of the process. For everybody but that
 * transport they are libc's. To the transport a broken connection takes all
 * that is written to it; and what is to be read ends a little later, when the
 * rest has been written that way. Then nothing is queued, and the connection
 * is closed without harm. That the peer is dead we hear from its nanny.
 *
 * Threads: any; async-signal-safe but for what the transport calls. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/base/clock.h"

/* An end of file is held back so long, and for so many looks. */
enum { HOLD_US = 50 * 1000, HOLD_LOOKS = 3, STALE_US = 5 * 1000 * 1000 };

enum { HELD_CAP = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static struct held {
    int fd;
    int looks;
    int64_t since_us; /* 0: this one is unused */
} held[HELD_CAP];
static unsigned next_held;

/* Its own module, or the library that has it built in. */
static bool is_transport(const void *caller)
{
    Dl_info info;

    return dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
           (strstr(info.dli_fname, "mca_btl_tcp") != NULL ||
            strstr(info.dli_fname, "libopen-pal") != NULL);
}

static bool is_broken(int error)
{
    return error == EPIPE || error == ECONNRESET || error == ETIMEDOUT ||
           error == EHOSTUNREACH || error == ENETUNREACH;
}

static ssize_t total(const struct iovec *iov, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return (ssize_t)sum;
}

#define EXPORTED __attribute__((visibility("default")))

EXPORTED ssize_t writev(int fd, const struct iovec *iov, int n)
{
    const ssize_t done = syscall(SYS_writev, fd, iov, n);

    if (done >= 0 || !is_broken(errno))
        return done;
    return is_transport(__builtin_return_address(0)) ? total(iov, n) : done;
}

/* Under the lock. */
static struct held *find(int fd, int64_t now_us)
{
    struct held *entry;

    for (unsigned i = 0; i < HELD_CAP; i++)
        if (held[i].since_us != 0 && held[i].fd == fd &&
            now_us - held[i].since_us < STALE_US)
            return &held[i];
    entry = &held[next_held++ % HELD_CAP];
    *entry = (struct held){fd, 0, now_us};
    return entry;
}

/* Whether the end of what this descriptor has to read is to be told later. */
static bool hold_back(int fd)
{
    const int64_t now = ipmpi_clock_now_us();
    struct held *entry;
    bool hold;

    pthread_mutex_lock(&lock);
    entry = find(fd, now);
    hold = ++entry->looks <= HOLD_LOOKS || now - entry->since_us < HOLD_US;
    if (!hold)
        entry->since_us = 0;
    pthread_mutex_unlock(&lock);
    return hold;
}

EXPORTED ssize_t readv(int fd, const struct iovec *iov, int n)
{
    const ssize_t done = syscall(SYS_readv, fd, iov, n);

    if (done > 0 || (done < 0 && !is_broken(errno)))
        return done;
    if (!is_transport(__builtin_return_address(0)))
        return done;
    if (hold_back(fd)) {
        errno = EWOULDBLOCK;
        return -1;
    }
    return 0; /* the reason has been read before */
}

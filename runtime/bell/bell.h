/* Doorbells and notices: datagrams between the processes of a job. MPI has no
 * descriptor to wait on, so a rank sleeps in poll() on its bell; whoever sends
 * to it by MPI rings. A bell is only a hint: a lost one costs a bounded delay.
 * Notices carry what MPI cannot, because the sender is no rank: a nanny
 * telling rank 0 how its rank ended. They are repeated until acknowledged.
 *
 * Same host: abstract Unix datagram sockets. Other hosts: UDP. Every datagram
 * carries the job's token, so that a stray one is ignored.
 *
 * Threads: one bell belongs to one thread, but ring is safe from any. */
#ifndef IPMPI_BELL_BELL_H
#define IPMPI_BELL_BELL_H

#include <stdint.h>

#define IPMPI_TOKEN_LEN 16

struct ipmpi_bell; /* opaque */

/* Where a bell hangs; plain bytes, to be copied between processes and hosts. */
struct ipmpi_bell_address {
    uint8_t token[IPMPI_TOKEN_LEN];
    char host[64];      /* gethostname(), for people */
    char boot[40];      /* the same boot id ... */
    uint64_t netns;     /* ... and network namespace: Unix sockets reach */
    char unix_name[64]; /* abstract name, without the leading NUL */
    uint32_t ipv4_be;   /* for other hosts; 0 if there is none */
    uint16_t udp_port_be;
    uint16_t reserved;
};

/* How many of the works begun last a notice names. */
#define IPMPI_BEGUN_CAP 32

/* Which work a rank had begun, by its ref in protocol.h: the last ones, in a
 * ring. Works begin and end one after the other. */
struct ipmpi_begun {
    uint64_t n; /* begun in all; the last is at (n - 1) % IPMPI_BEGUN_CAP */
    uint64_t refs[IPMPI_BEGUN_CAP]; /* | IPMPI_BEGUN_ENDED */
    uint64_t step; /* of the last: its items before this one have begun */
};

/* Bit of a ref: the work had run to its end. */
#define IPMPI_BEGUN_ENDED (UINT64_C(1) << 63)

enum ipmpi_exit_flag {
    IPMPI_EXIT_COUNTED = 1,   /* `begun` is known */
    IPMPI_EXIT_NO_MEMORY = 2, /* the kernel has killed for lack of memory, on
                               * this host and during the rank's life */
};

/* How a rank ended, as its nanny saw it. */
struct ipmpi_exit_notice {
    int32_t rank;
    int32_t pid;
    int32_t wait_status; /* as of waitpid(); -1: not known */
    uint32_t flags;      /* enum ipmpi_exit_flag */
    char host[64];
    struct ipmpi_begun begun;
};

typedef void ipmpi_notice_fn(void *ctx, const struct ipmpi_exit_notice *notice);

/* Opens a bell. `token` (lent) is the job's. UDP is bound to `ipv4_be`
 * (0: the address that other hosts would use is chosen by the caller; then no
 * UDP socket is made). IPMPI_ESYS with errno. */
int ipmpi_bell_open(const uint8_t token[IPMPI_TOKEN_LEN], uint32_t ipv4_be,
                    struct ipmpi_bell **bell_out);
void ipmpi_bell_close(struct ipmpi_bell **bell);

void ipmpi_bell_address(const struct ipmpi_bell *bell,
                        struct ipmpi_bell_address *address_out);

/* Descriptors to poll for reading: one or two. Returns how many. */
int ipmpi_bell_fds(const struct ipmpi_bell *bell, int fds_out[2]);

/* Rings; never blocks, never fails visibly. */
void ipmpi_bell_ring(struct ipmpi_bell *bell,
                     const struct ipmpi_bell_address *whose);

/* Reads what waits (of a flood only a part: poll again); notices are
 * acknowledged and handed to `notice_fn`, repeated ones only once. With NULL
 * they are dropped without acknowledgement. Never blocks. */
void ipmpi_bell_drain(struct ipmpi_bell *bell, ipmpi_notice_fn *notice_fn,
                      void *ctx);

/* Tells `whose` of an exit. Repeats until acknowledged or `wait_ms` passed:
 * IPMPI_ETIMEOUT. IPMPI_EDEAD: the bell is gone. IPMPI_ENOENT: no way leads
 * there. IPMPI_ESYS. Blocks. Needs no bell of its own. Any thread. */
int ipmpi_notice_send(const struct ipmpi_bell_address *whose,
                      const struct ipmpi_exit_notice *notice, int wait_ms);

/* Asks whether the bell still hangs: 0, or as ipmpi_notice_send. A timeout
 * means only that its owner did not drain it meanwhile. */
int ipmpi_bell_probe(const struct ipmpi_bell_address *whose, int wait_ms);

#endif

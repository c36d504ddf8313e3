/* Who is awake: a page of flags that the ranks of one node share, so that no
 * bell is rung in a busy exchange; counts of what each rank has taken, so that
 * a sender knows when a bell need not be rung again; and counts of what is
 * coming, so that nobody asks MPI in vain.
 *
 * Threads: the runtime thread of each rank; other ranks read and write the
 *          shared page at the same time. */
#ifndef IPMPI_COMM_AWAKE_H
#define IPMPI_COMM_AWAKE_H

#include <stdbool.h>
#include <stdint.h>

struct ipmpi_awake; /* opaque */

/* Maps the page of the job that `token` (16 bytes) names, and enters this
 * rank. The file stays visible until ipmpi_awake_hide(). IPMPI_ESYS. */
int ipmpi_awake_open(const uint8_t token[16], int rank, int size,
                     struct ipmpi_awake **awake_out);

/* All ranks of the node have mapped it: takes its name away. */
void ipmpi_awake_hide(struct ipmpi_awake *awake);
void ipmpi_awake_close(struct ipmpi_awake **awake);

/* Whether this rank shares the page with `peer`. After open on both. */
bool ipmpi_awake_shared(const struct ipmpi_awake *awake, int peer);

/* More ranks here than cores that they may run on. */
bool ipmpi_awake_crowded(const struct ipmpi_awake *awake);

/* See note [sleep] in awake.c. */
void ipmpi_awake_announce_sleep(struct ipmpi_awake *awake);
void ipmpi_awake_announce_awake(struct ipmpi_awake *awake);

/* After a send to `peer` (shared): whether its bell must be rung. */
bool ipmpi_awake_must_ring(struct ipmpi_awake *awake, int peer);
/* Before a packet is given to MPI for `peer` (shared): it will come. */
void ipmpi_awake_announce(struct ipmpi_awake *awake, int peer);
/* How many packets have been announced to this rank, modulo 2^32. See note
 * [announced] in awake.c. */
uint32_t ipmpi_awake_announced(const struct ipmpi_awake *awake);

/* Whether `peer` says that it sleeps, rung or not. */
bool ipmpi_awake_sleeps(const struct ipmpi_awake *awake, int peer);

/* Counts of packets: `taken` by this rank from `source`; by `peer` from this
 * rank. */
void ipmpi_awake_put_taken(struct ipmpi_awake *awake, int source,
                           uint32_t taken);
uint32_t ipmpi_awake_get_taken(const struct ipmpi_awake *awake, int peer);

#endif

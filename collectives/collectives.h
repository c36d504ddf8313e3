/* Collectives over a group of engines, on memory; no Python, no rank 0.
 *
 * Every member calls the same function with the same sizes; who the members
 * are and what the sizes are they agree on first (ipmpi_agree). While a member
 * waits, the group's poll function is asked whether to give up.
 *
 * Memory is lent for a call. After a call that failed MPI may still read and
 * write it: see ipmpi_group_close.
 *
 * Errors: IPMPI_ENOMEM, IPMPI_EMPI, IPMPI_EINVAL, or what poll returned.
 * Threads: one at a time; calls block. */
#ifndef IPMPI_COLLECTIVES_COLLECTIVES_H
#define IPMPI_COLLECTIVES_COLLECTIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buffer.h"

struct ipmpi_group; /* opaque */

/* Asked every few milliseconds: 0, or the error to give up with. */
typedef int ipmpi_group_poll_fn(void *ctx);

/* What numbers are made of, and how two of them become one. */
enum ipmpi_number {
    IPMPI_INT8,
    IPMPI_INT16,
    IPMPI_INT32,
    IPMPI_INT64,
    IPMPI_UINT8,
    IPMPI_UINT16,
    IPMPI_UINT32,
    IPMPI_UINT64,
    IPMPI_FLOAT,
    IPMPI_DOUBLE,
    IPMPI_LONG_DOUBLE,
    IPMPI_FLOAT_COMPLEX,
    IPMPI_DOUBLE_COMPLEX,
    IPMPI_LONG_DOUBLE_COMPLEX,
    IPMPI_BOOL,
    IPMPI_NUMBERS
};

enum ipmpi_operation {
    IPMPI_SUM,
    IPMPI_PROD,
    IPMPI_MIN,
    IPMPI_MAX,
    IPMPI_LAND,
    IPMPI_LOR,
    IPMPI_LXOR,
    IPMPI_BAND,
    IPMPI_BOR,
    IPMPI_BXOR,
    IPMPI_OPERATIONS
};

/* `count` numbers and what to do with them. */
struct ipmpi_numbers {
    enum ipmpi_number number;
    enum ipmpi_operation operation;
    size_t count;
};

/* `world` is the value of an MPI_Comm that nobody else uses; `ranks` (copied)
 * are the members' in it, in the group's order, and hold ours. All members
 * pass the same `id`, another for each group. IPMPI_EINVAL: a rank is out of
 * range, there twice, or ours is not there. */
int ipmpi_group_open(uintptr_t world, const int *ranks, int n, uint64_t id,
                     ipmpi_group_poll_fn *poll, void *ctx,
                     struct ipmpi_group **group_out);

/* True: MPI is done with all memory. False: a call failed, and MPI may go on
 * using what was lent to it; it must stay valid until the process ends. */
bool ipmpi_group_close(struct ipmpi_group **group);

int ipmpi_group_size(const struct ipmpi_group *group);
int ipmpi_group_rank(const struct ipmpi_group *group); /* our place in it */

/* The first thing in every group, the only one that may wait for long: for
 * members that are not here yet. Each gives `len` bytes, all get all, in the
 * group's order. Moreover all learn whether plain MPI collectives may be used
 * (all ranks of the world are here, and none of their groups has failed). */
int ipmpi_agree(struct ipmpi_group *group, const void *mine, size_t len,
                void *all_out);

/* Afterwards any of these, each choosing its algorithm (choose.c). `sizes` are
 * bytes, one for each member, laid one behind the other in `all`. */
int ipmpi_bcast(struct ipmpi_group *group, void *data, size_t len, int root);

/* A broadcast that lands once on each node (runtime/base/segment.h): all get a
 * view of it that must not be written to, also the root. `node` has a number
 * for each member, the same for those that share memory. Where there is no
 * segment to be had a member gets memory of its own, and a debug note says so.
 */
int ipmpi_bcast_shared(
    struct ipmpi_group *group, const void *data, size_t len, int root,
    const int *node, struct ipmpi_buffer **buffer_out); /* data: root's only */

int ipmpi_gather(struct ipmpi_group *group, const void *mine, void *all_out,
                 const size_t *sizes, int root); /* all_out: root's only */
int ipmpi_scatter(struct ipmpi_group *group, const void *all, void *mine_out,
                  const size_t *sizes, int root); /* all: root's only */
int ipmpi_allgather(struct ipmpi_group *group, const void *mine, void *all_out,
                    const size_t *sizes);
int ipmpi_alltoall(struct ipmpi_group *group, const void *all,
                   const size_t *sizes, void *all_out, const size_t *sizes_out);
int ipmpi_barrier(struct ipmpi_group *group);

/* In place; allreduce takes its numbers from `mine` unless that is NULL, which
 * saves a copy. IPMPI_EINVAL: the operation is not for these numbers. After
 * reduce only root's are the result, the others' are undefined; scan gives
 * member i the result of members 0 .. i. */
int ipmpi_reduce(struct ipmpi_group *group, void *data,
                 const struct ipmpi_numbers *numbers, int root);
int ipmpi_allreduce(struct ipmpi_group *group, const void *mine, void *data,
                    const struct ipmpi_numbers *numbers);
/* An allreduce whose result is there once on each node, by segments as
 * ipmpi_bcast_shared has them: all get a view of it that they may write to,
 * which makes a private copy of that page. `mine` is not empty. */
int ipmpi_allreduce_shared(struct ipmpi_group *group, const void *mine,
                           const struct ipmpi_numbers *numbers, const int *node,
                           struct ipmpi_buffer **buffer_out);

int ipmpi_scan(struct ipmpi_group *group, void *data,
               const struct ipmpi_numbers *numbers);

/* Whether MPI has the operation for these numbers, and their size in bytes
 * (0: no such number). */
bool ipmpi_numbers_can(enum ipmpi_number number, enum ipmpi_operation op);
size_t ipmpi_number_size(enum ipmpi_number number);

#endif

/* What the algorithms share. Each posts messages, then waits for all of them.
 * Nobody outside this directory includes this. */
#ifndef IPMPI_COLLECTIVES_INTERNAL_H
#define IPMPI_COLLECTIVES_INTERNAL_H

#include <mpi.h>

#include "collectives/collectives.h"

struct block; /* temporary memory of a group */

struct ipmpi_group {
    MPI_Comm comm;
    int n, me;
    int *rank; /* in comm, of each member */
    uint64_t id;
    int tag;
    bool plain;    /* plain MPI collectives may be used: all agree on that */
    bool spread;   /* the members are on nodes of their own */
    bool in_plain; /* the request is of one */
    bool failed;   /* requests may be left: memory must stay */
    ipmpi_group_poll_fn *poll;
    void *ctx;
    MPI_Request *requests;
    int n_requests, cap;
    struct block *blocks;
    struct ipmpi_buffer *kept; /* MPI may use it; NULL: nothing */
};

/* Memory that lives as long as the group (longer if it failed); NULL without.
 */
void *ipmpi_group_alloc(struct ipmpi_group *group, size_t size);

/* Posts to or from a member; `len` 0 posts nothing. Messages between two
 * members match in the order posted. After a failure: no further calls. */
int ipmpi_group_send(struct ipmpi_group *group, const void *data, size_t len,
                     int to);
int ipmpi_group_receive(struct ipmpi_group *group, void *data, size_t len,
                        int from);

/* Whether this member would use plain MPI collectives: all ranks of the world
 * are in the group, and none has failed here. */
bool ipmpi_group_may_plain(const struct ipmpi_group *group);

/* A plain MPI collective: where its request goes (NULL: no memory), then
 * waiting for it, or what its failure means. */
MPI_Request *ipmpi_group_plain_request(struct ipmpi_group *group);
int ipmpi_group_plain_wait(struct ipmpi_group *group);
int ipmpi_group_plain_failed(struct ipmpi_group *group);

/* Waits for all that was posted. `patient`: it may take long, be idle. */
int ipmpi_group_wait(struct ipmpi_group *group, bool patient);

/* Waits for what was posted when n_requests had been `first`; what was posted
 * before that goes on. */
int ipmpi_group_wait_from(struct ipmpi_group *group, int first);

/* Both at once, then waits. */
int ipmpi_group_exchange(struct ipmpi_group *group, const void *out,
                         size_t out_len, int to, void *in, size_t in_len,
                         int from);

/* Note [saturation]. Open MPI's vector code (4.1, op/avx) saturates sums of 8
 * and 16 bits, where C and numpy wrap. So these sums are ours. */
bool ipmpi_sum_is_ours(const struct ipmpi_numbers *numbers);

/* inout = in op inout. */
int ipmpi_combine(const void *in, void *inout,
                  const struct ipmpi_numbers *numbers, size_t count);
MPI_Datatype ipmpi_mpi_type(enum ipmpi_number number);
MPI_Op ipmpi_mpi_op(enum ipmpi_operation op);

/* The member that does what is to be done once for the node of member i: the
 * root on its own node, else the first. `node` as in ipmpi_bcast_shared. */
int ipmpi_leader_of(const int *node, int i, int root);

/* Makes a group one of the nodes' leaders alone, the caller among them, and
 * the whole again; messages of both match in the order posted. IPMPI_ENOMEM. */
int ipmpi_group_narrow(struct ipmpi_group *group, const int *node, int root,
                       int *root_out, struct ipmpi_group *whole_out);
void ipmpi_group_widen(struct ipmpi_group *group,
                       const struct ipmpi_group *whole);

/* The bytes before member i in a row of sizes. */
size_t ipmpi_offset(const size_t *sizes, int i);

/* The algorithms, a file each. */
int ipmpi_bcast_knomial(struct ipmpi_group *group, void *data, size_t len,
                        int root);
int ipmpi_bcast_scatter_ring(struct ipmpi_group *group, void *data, size_t len,
                             int root);
int ipmpi_gather_binomial(struct ipmpi_group *group, const void *mine,
                          void *all_out, const size_t *sizes, int root);
int ipmpi_gather_linear(struct ipmpi_group *group, const void *mine,
                        void *all_out, const size_t *sizes, int root);
int ipmpi_scatter_binomial(struct ipmpi_group *group, const void *all,
                           void *mine_out, const size_t *sizes, int root);
int ipmpi_scatter_linear(struct ipmpi_group *group, const void *all,
                         void *mine_out, const size_t *sizes, int root);
int ipmpi_allgather_bruck(struct ipmpi_group *group, const void *mine,
                          size_t len, void *all_out, bool patient);
int ipmpi_allgather_ring(struct ipmpi_group *group, void *all,
                         const size_t *sizes); /* ours is in its place */
int ipmpi_alltoall_pairwise(struct ipmpi_group *group, const void *all,
                            const size_t *sizes, void *all_out,
                            const size_t *sizes_out);
int ipmpi_barrier_dissemination(struct ipmpi_group *group);
int ipmpi_reduce_binomial(struct ipmpi_group *group, void *data,
                          const struct ipmpi_numbers *numbers, int root);
int ipmpi_allreduce_doubling(struct ipmpi_group *group, void *data,
                             const struct ipmpi_numbers *numbers);
int ipmpi_allreduce_ring(struct ipmpi_group *group, const void *mine,
                         void *data, const struct ipmpi_numbers *numbers);
int ipmpi_scan_doubling(struct ipmpi_group *group, void *data,
                        const struct ipmpi_numbers *numbers);

/* plain.c: the same by MPI's own, on the world's communicator. */
int ipmpi_plain_bcast(struct ipmpi_group *group, void *data, size_t len,
                      int root);
int ipmpi_plain_allreduce(struct ipmpi_group *group, const void *mine,
                          void *data, const struct ipmpi_numbers *numbers);
int ipmpi_plain_scan(struct ipmpi_group *group, void *data,
                     const struct ipmpi_numbers *numbers);
int ipmpi_plain_barrier(struct ipmpi_group *group);

#endif

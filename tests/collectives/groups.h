/* What the tests of collectives share: groups of ranks of one world, and bytes
 * that say whose they are. */
#ifndef IPMPI_TESTS_COLLECTIVES_GROUPS_H
#define IPMPI_TESTS_COLLECTIVES_GROUPS_H

#include <mpi.h>

#include "collectives/internal.h"
#include "tests/check.h"

enum { MEMBERS_CAP = 64 };

/* Around all tests: MPI, and the world whose ranks are the members. */
void groups_begin(int *argc, char ***argv);
void groups_end(void);

int groups_rank(void);

/* The members: every `stride`th rank, in rising or falling order; NULL for
 * ranks that are none. The caller closes it. */
struct ipmpi_group *groups_open(int stride, bool falling);

/* That these are no members. */
void groups_refuse(const int *ranks, int n);

/* The last rank never comes: the others give up. */
void groups_miss_one(void);

/* Members on one node, on nodes of their own, on two. */
enum { GROUPS_NODES = 3 };
void groups_nodes(const struct ipmpi_group *group, int how, int *node_out);

typedef void check_fn(struct ipmpi_group *group, size_t len);

/* Small and large groups, plain and others, with a length on each side of the
 * cross-over points. */
void groups_check(check_fn *check);

/* The bytes of a member, from a place on; the caller frees them. */
uint8_t byte_of(int member, size_t at);
uint8_t *filled(int member, size_t from, size_t len);
bool is_filled(const uint8_t *data, int member, size_t from, size_t len);

/* Room for a result, which holds none yet: memory as malloc leaves it could
 * hold the one before. The caller frees it. */
uint8_t *blank(size_t len);

#endif

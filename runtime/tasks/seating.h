/* Who is near whom: the ranks of a world, ordered by host, package and cache,
 * and the order in which one of them looks for work among the others: a few
 * that share its cache, a few of its package, of its node, and a few elsewhere,
 * each time beginning somewhere else.
 *
 * Threads: none of its own. Nothing blocks. */
#ifndef IPMPI_TASKS_SEATING_H
#define IPMPI_TASKS_SEATING_H

#include <stdbool.h>
#include <stdint.h>

/* Where a rank runs. Ranks for which a number is unknown (-1) count as near
 * to each other as far as the numbers before it are equal. */
struct ipmpi_seat {
    uint64_t host;   /* any number that is the host's alone */
    int32_t package; /* socket; -1: not bound to one */
    int32_t cache;   /* the largest cache that some of its cores share */
};

enum ipmpi_nearness {
    IPMPI_NEAR_CACHE,
    IPMPI_NEAR_PACKAGE,
    IPMPI_NEAR_NODE,
    IPMPI_NEAR_NOT,
    IPMPI_NEARNESSES
};

struct ipmpi_seating; /* opaque */

/* `seats` (lent) are those of the members 0 .. n - 1. IPMPI_ENOMEM.
 * Cost: n log n, and 32 bytes a member. */
int ipmpi_seating_create(const struct ipmpi_seat *seats, int n,
                         struct ipmpi_seating **seating_out);
void ipmpi_seating_destroy(struct ipmpi_seating **seating);

int ipmpi_seating_size(const struct ipmpi_seating *seating);

/* How near two members are. */
enum ipmpi_nearness ipmpi_seating_nearness(const struct ipmpi_seating *seating,
                                           int a, int b);

/* A member is gone: no search finds it any more. */
void ipmpi_seating_leave(struct ipmpi_seating *seating, int member);
bool ipmpi_seating_is_gone(const struct ipmpi_seating *seating, int member);

/* One member's look around. It may be copied; `seed` makes it repeatable. */
struct ipmpi_search {
    int self;
    unsigned seed;
    int level;        /* enum ipmpi_nearness */
    int tried, start; /* in this level */
};

/* At most so many are found in one search, by nearness. */
extern const int ipmpi_search_tries[IPMPI_NEARNESSES];

/* Begins anew. Only self and seed need be set before the first time. */
void ipmpi_search_begin(struct ipmpi_search *search);

/* The next member to ask, never self, none twice; -1: none is left. */
int ipmpi_search_next(struct ipmpi_search *search,
                      const struct ipmpi_seating *seating);

#endif

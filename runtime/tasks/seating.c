/* Members in one sorted row; those that share something are neighbours in it.
 *
 * Invariant: group[level] of a place in the row is the range of places that
 *            share that much with it; each contains the one before. */
#include "runtime/tasks/seating.h"

#include <stdlib.h>

#include "runtime/base/error.h"

/* Where one rank has many peers at hand, a few tries tell enough: rank 0 and
 * the lifelines see to the rest. */
const int ipmpi_search_tries[IPMPI_NEARNESSES] = {4, 2, 2, 3};

struct range {
    int first, end;
};

struct ipmpi_seating {
    int n;
    int *member;                         /* by place */
    int *place;                          /* by member */
    struct range *group[IPMPI_NEAR_NOT]; /* by place */
    bool *gone;                          /* by member */
};

struct seated {
    struct ipmpi_seat seat;
    int member;
};

static int order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_seat(const void *x, const void *y)
{
    const struct seated *a = x, *b = y;
    int result = order(a->seat.host, b->seat.host);

    if (result == 0)
        result = order((uint32_t)a->seat.package, (uint32_t)b->seat.package);
    if (result == 0)
        result = order((uint32_t)a->seat.cache, (uint32_t)b->seat.cache);
    return result != 0 ? result : a->member - b->member;
}

static bool share(const struct ipmpi_seat *a, const struct ipmpi_seat *b,
                  int level)
{
    return a->host == b->host &&
           (level == IPMPI_NEAR_NODE || a->package == b->package) &&
           (level != IPMPI_NEAR_CACHE || a->cache == b->cache);
}

static void fill_groups(struct ipmpi_seating *seating, const struct seated *row,
                        int level)
{
    for (int first = 0, end; first < seating->n; first = end) {
        for (end = first + 1;
             end < seating->n && share(&row[first].seat, &row[end].seat, level);
             end++)
            ;
        for (int i = first; i < end; i++)
            seating->group[level][i] = (struct range){first, end};
    }
}

static int allocate(struct ipmpi_seating *seating)
{
    const size_t n = (size_t)seating->n;
    bool failed = false;

    seating->member = calloc(n, sizeof(int));
    seating->place = calloc(n, sizeof(int));
    seating->gone = calloc(n, sizeof(bool));
    for (int level = 0; level < IPMPI_NEAR_NOT; level++) {
        seating->group[level] = calloc(n, sizeof(struct range));
        failed = failed || seating->group[level] == NULL;
    }
    failed = failed || seating->member == NULL || seating->place == NULL ||
             seating->gone == NULL;
    return failed ? IPMPI_ENOMEM : 0;
}

static void fill(struct ipmpi_seating *seating, const struct ipmpi_seat *seats,
                 struct seated *row)
{
    const int n = seating->n;

    for (int i = 0; i < n; i++)
        row[i] = (struct seated){seats[i], i};
    qsort(row, (size_t)n, sizeof(*row), by_seat);
    for (int i = 0; i < n; i++) {
        seating->member[i] = row[i].member;
        seating->place[row[i].member] = i;
    }
    for (int level = 0; level < IPMPI_NEAR_NOT; level++)
        fill_groups(seating, row, level);
}

int ipmpi_seating_create(const struct ipmpi_seat *seats, int n,
                         struct ipmpi_seating **seating_out)
{
    struct ipmpi_seating *seating = calloc(1, sizeof(*seating));
    struct seated *row = calloc((size_t)n, sizeof(*row));

    if (seating == NULL || row == NULL) {
        free(seating);
        free(row);
        return IPMPI_ENOMEM;
    }
    seating->n = n;
    if (allocate(seating) != 0) {
        free(row);
        ipmpi_seating_destroy(&seating);
        return IPMPI_ENOMEM;
    }
    fill(seating, seats, row);
    free(row);
    *seating_out = seating;
    return 0;
}

void ipmpi_seating_destroy(struct ipmpi_seating **seating)
{
    if (*seating == NULL)
        return;
    for (int level = 0; level < IPMPI_NEAR_NOT; level++)
        free((*seating)->group[level]);
    free((*seating)->member);
    free((*seating)->place);
    free((*seating)->gone);
    free(*seating);
    *seating = NULL;
}

int ipmpi_seating_size(const struct ipmpi_seating *seating)
{
    return seating->n;
}

void ipmpi_seating_leave(struct ipmpi_seating *seating, int member)
{
    seating->gone[member] = true;
}

bool ipmpi_seating_is_gone(const struct ipmpi_seating *seating, int member)
{
    return seating->gone[member];
}

static struct range group_of(const struct ipmpi_seating *seating, int member,
                             int level)
{
    if (level == IPMPI_NEAR_NOT)
        return (struct range){0, seating->n};
    return seating->group[level][seating->place[member]];
}

enum ipmpi_nearness ipmpi_seating_nearness(const struct ipmpi_seating *seating,
                                           int a, int b)
{
    const int place = seating->place[b];
    int level = 0;

    while (level < IPMPI_NEAR_NOT) {
        const struct range group = group_of(seating, a, level);

        if (group.first <= place && place < group.end)
            break;
        level++;
    }
    return (enum ipmpi_nearness)level;
}

/* ---- searching ------------------------------------------------------ */

void ipmpi_search_begin(struct ipmpi_search *search)
{
    search->level = IPMPI_NEAR_CACHE;
    search->tried = 0;
}

/* The ring around self at one level: the group without the group inside it,
 * which has been searched before. */
static struct range inside(const struct ipmpi_search *search,
                           const struct ipmpi_seating *seating)
{
    const int self = seating->place[search->self];

    if (search->level == IPMPI_NEAR_CACHE)
        return (struct range){self, self + 1};
    return group_of(seating, search->self, search->level - 1);
}

/* Tries are spread evenly over the ring, from a random place on. */
static int member_at(struct ipmpi_search *search,
                     const struct ipmpi_seating *seating, struct range ring,
                     struct range hole, int count)
{
    const int tries = ipmpi_search_tries[search->level];
    const int stride = count > tries ? count / tries : 1;
    int at;

    if (search->tried == 0)
        search->start = rand_r(&search->seed) % count;
    at = ring.first + (search->start + search->tried * stride) % count;
    if (at >= hole.first)
        at += hole.end - hole.first;
    return seating->member[at];
}

int ipmpi_search_next(struct ipmpi_search *search,
                      const struct ipmpi_seating *seating)
{
    while (search->level < IPMPI_NEARNESSES) {
        const struct range ring =
            group_of(seating, search->self, search->level);
        const struct range hole = inside(search, seating);
        const int count = ring.end - ring.first - (hole.end - hole.first);

        while (search->tried < count &&
               search->tried < ipmpi_search_tries[search->level]) {
            const int member = member_at(search, seating, ring, hole, count);

            search->tried++;
            if (!seating->gone[member])
                return member;
        }
        search->level++;
        search->tried = 0;
    }
    return -1;
}

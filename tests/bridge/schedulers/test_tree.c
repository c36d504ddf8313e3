/* Trees of every size over nodes of every kind: each place gets the body once,
 * from one that has it before, and each node gets it once from outside. */
#include <stdio.h>
#include <stdlib.h>

#include "bridge/schedulers/tree.h"
#include "tests/check.h"

enum { MOST = 70 };

static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};

/* Place i is on node: all on one, by turns on `nodes`, or each on its own. */
static void make(struct ipmpi_tree_place *places, size_t n, size_t nodes)
{
    for (size_t i = 0; i < n; i++)
        places[i] = (struct ipmpi_tree_place){names[i * 31 % nodes],
                                              (int)(n - i), n - i};
}

/* Follows the legs as the engines do. Returns the tree's depth. */
static unsigned walk(const struct ipmpi_tree_place *places,
                     const struct ipmpi_leg *legs, const size_t *parent,
                     size_t at, unsigned *visits)
{
    const size_t end = at + legs[at].size;
    unsigned depth = 0;

    visits[at]++;
    CHECK_EQ(legs[at].rank, places[at].rank);
    for (size_t child = at + 1; child < end; child += legs[child].size) {
        unsigned deep;

        CHECK(legs[child].size > 0 && child + legs[child].size <= end);
        CHECK_EQ(parent[child], at);
        CHECK_EQ(legs[child].local,
                 strcmp(places[child].node, places[at].node) == 0);
        deep = 1 + walk(places, legs, parent, child, visits);
        depth = deep > depth ? deep : depth;
    }
    return depth;
}

static unsigned digits(size_t n)
{
    unsigned d = 0;

    for (size_t most = 1; most < n; most *= 4)
        d++;
    return d;
}

static void every_tree_is_whole(void **state)
{
    (void)state;
    for (size_t n = 1; n <= MOST; n++) {
        for (size_t nodes = 1; nodes <= 7; nodes++) {
            struct ipmpi_tree_place places[MOST];
            struct ipmpi_leg legs[MOST];
            size_t parent[MOST];
            unsigned visits[MOST] = {0}, outside = 0;

            make(places, n, nodes);
            ipmpi_tree_lay(places, n, legs, parent);
            CHECK_EQ(legs[0].size, n);
            CHECK(parent[0] == IPMPI_TREE_ROOT);
            CHECK(walk(places, legs, parent, 0, visits) <=
                  digits(nodes) + digits(n));
            for (size_t i = 0; i < n; i++) {
                CHECK_EQ(visits[i], 1);
                CHECK_EQ(places[i].member, (size_t)places[i].rank);
                outside += !legs[i].local;
            }
            CHECK(outside <= nodes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tree_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

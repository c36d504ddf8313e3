/* All algorithms that reckon, at any number of ranks, over the whole world and
 * subsets, against what arithmetic says. */
#include "tests/collectives/groups.h"

#include <complex.h>
#include <stdlib.h>

#include "runtime/base/error.h"

typedef int reduce_fn(struct ipmpi_group *, void *,
                      const struct ipmpi_numbers *);

static int reduce_at_last(struct ipmpi_group *group, void *data,
                          const struct ipmpi_numbers *numbers)
{
    return ipmpi_reduce(group, data, numbers, group->n - 1);
}

static int reduce_by_tree(struct ipmpi_group *group, void *data,
                          const struct ipmpi_numbers *numbers)
{
    return ipmpi_reduce_binomial(group, data, numbers, group->n - 1);
}

static int allreduce(struct ipmpi_group *group, void *data,
                     const struct ipmpi_numbers *numbers)
{
    return ipmpi_allreduce(group, NULL, data, numbers);
}

static int allreduce_ring(struct ipmpi_group *group, void *data,
                          const struct ipmpi_numbers *numbers)
{
    return ipmpi_allreduce_ring(group, NULL, data, numbers);
}

/* From memory of its own. */
static int allreduce_apart(struct ipmpi_group *group, void *data,
                           const struct ipmpi_numbers *numbers)
{
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    void *mine = malloc(len + 1);
    int err;

    memcpy(mine, data, len);
    memset(data, 0x77, len);
    err = ipmpi_allreduce(group, mine, data, numbers);
    free(mine);
    return err;
}

static const struct {
    reduce_fn *reduce;
    bool at_last_only, scans;
} reductions[] = {
    {allreduce, false, false},
    {allreduce_apart, false, false},
    {ipmpi_allreduce_doubling, false, false},
    {allreduce_ring, false, false},
    {reduce_at_last, true, false},
    {reduce_by_tree, true, false},
    {ipmpi_scan, false, true},
    {ipmpi_scan_doubling, false, true},
};

static void check_sum(struct ipmpi_group *group, size_t i, size_t count)
{
    const struct ipmpi_numbers numbers = {IPMPI_INT64, IPMPI_SUM, count};
    const int members = reductions[i].scans ? group->me + 1 : group->n;
    int64_t *data = malloc(count * sizeof(*data) + 1);
    size_t wrong = 0;

    for (size_t k = 0; k < count; k++)
        data[k] = (group->me + 1) * (int64_t)(k + 3);
    CHECK_EQ(reductions[i].reduce(group, data, &numbers), 0);
    for (size_t k = 0; k < count; k++)
        wrong += data[k] != (int64_t)(k + 3) * members * (members + 1) / 2;
    if (!reductions[i].at_last_only || group->me == group->n - 1)
        CHECK_EQ(wrong, 0);
    free(data);
}

static void check_reductions(struct ipmpi_group *group, size_t len)
{
    for (size_t i = 0; i < sizeof(reductions) / sizeof(reductions[0]); i++)
        check_sum(group, i, len / 8);
}

static void reduce(void **state)
{
    (void)state;
    groups_check(check_reductions);
}

/* ---- one result for a node ------------------------------------------- */

/* What came is right, and what one writes to it the others do not see. */
static void check_shared_result(struct ipmpi_group *group,
                                struct ipmpi_buffer *buffer, size_t count)
{
    const int n = group->n;
    int64_t *data = ipmpi_buffer_data(buffer);
    size_t wrong = 0;

    CHECK_EQ(ipmpi_buffer_len(buffer), count * sizeof(*data));
    data[count / 2] += group->me;
    CHECK_EQ(ipmpi_barrier(group), 0);
    for (size_t k = 0; k < count; k++)
        wrong += data[k] != (int64_t)(k + 3) * n * (n + 1) / 2 +
                                (k == count / 2 ? group->me : 0);
    CHECK_EQ(wrong, 0);
}

/* Pieces of several blocks, too. */
static void check_shared(struct ipmpi_group *group, size_t len)
{
    const struct ipmpi_numbers numbers = {IPMPI_INT64, IPMPI_SUM, len * 2 / 3};
    int64_t *mine = malloc(numbers.count * sizeof(*mine) + 1);

    for (size_t k = 0; k < numbers.count; k++)
        mine[k] = (group->me + 1) * (int64_t)(k + 3);
    for (int how = 0; how < GROUPS_NODES; how++) {
        struct ipmpi_buffer *buffer = NULL;
        int node[MEMBERS_CAP];
        int err;

        groups_nodes(group, how, node);
        err = ipmpi_allreduce_shared(group, mine, &numbers, node, &buffer);
        CHECK_EQ(err, numbers.count == 0 ? IPMPI_EINVAL : 0);
        if (err == 0)
            check_shared_result(group, buffer, numbers.count);
        ipmpi_buffer_release(&buffer);
    }
    CHECK(group->kept == NULL);
    free(mine);
}

static void shared(void **state)
{
    (void)state;
    groups_check(check_shared);
    if (groups_rank() % 2 == 1) /* some have none, or all */
        setenv("IPMPI_SHARE", "no", 1);
    groups_check(check_shared);
    setenv("IPMPI_SHARE", "no", 1);
    groups_check(check_shared);
    unsetenv("IPMPI_SHARE");
}

/* ---- every number with every operation ------------------------------- */

/* Small enough for a product over all members in any number. */
static int value_of(int member, size_t k)
{
    return k % 2 == 0 ? (member + (int)(k / 2)) % 3
                      : 1 + (member + (int)(k / 2)) % 2;
}

/* One line for each number: what it is in C. */
#define EACH_NUMBER(X)                                \
    X(IPMPI_INT8, int8_t)                             \
    X(IPMPI_INT16, int16_t)                           \
    X(IPMPI_INT32, int32_t)                           \
    X(IPMPI_INT64, int64_t)                           \
    X(IPMPI_UINT8, uint8_t)                           \
    X(IPMPI_UINT16, uint16_t)                         \
    X(IPMPI_UINT32, uint32_t)                         \
    X(IPMPI_UINT64, uint64_t)                         \
    X(IPMPI_FLOAT, float)                             \
    X(IPMPI_DOUBLE, double)                           \
    X(IPMPI_LONG_DOUBLE, long double)                 \
    X(IPMPI_FLOAT_COMPLEX, float complex)             \
    X(IPMPI_DOUBLE_COMPLEX, double complex)           \
    X(IPMPI_LONG_DOUBLE_COMPLEX, long double complex) \
    X(IPMPI_BOOL, bool)

static void put(void *data, enum ipmpi_number number, size_t k,
                double complex value)
{
    switch (number) {
#define PUT(name, type)                  \
    case name:                           \
        ((type *)data)[k] = (type)value; \
        break;
        EACH_NUMBER(PUT)
#undef PUT
    default:
        fail();
    }
}

static double complex get(const void *data, enum ipmpi_number number, size_t k)
{
    switch (number) {
#define GET(name, type) \
    case name:          \
        return (double complex)((const type *)data)[k];
        EACH_NUMBER(GET)
#undef GET
    default:
        fail();
        return 0;
    }
}

/* What member i has at k: in the plane where numbers are complex. */
static double complex has(enum ipmpi_number number, int member, size_t k)
{
    const int value = value_of(member, k);

    if (number == IPMPI_BOOL)
        return value != 0;
    if (number >= IPMPI_FLOAT_COMPLEX && number <= IPMPI_LONG_DOUBLE_COMPLEX)
        return CMPLX(value, 1 - value);
    return value;
}

static double complex combined(enum ipmpi_operation op, double complex a,
                               double complex b)
{
    const int x = (int)creal(a), y = (int)creal(b);

    switch (op) {
    case IPMPI_SUM:
        return a + b;
    case IPMPI_PROD:
        return a * b;
    case IPMPI_MIN:
        return x < y ? x : y;
    case IPMPI_MAX:
        return x > y ? x : y;
    case IPMPI_LAND:
        return x && y;
    case IPMPI_LOR:
        return x || y;
    case IPMPI_LXOR:
        return !x != !y;
    case IPMPI_BAND:
        return x & y;
    case IPMPI_BOR:
        return x | y;
    case IPMPI_BXOR:
        return x ^ y;
    default:
        fail();
        return 0;
    }
}

static void check_result(const struct ipmpi_group *group, const void *data,
                         const struct ipmpi_numbers *numbers)
{
    for (size_t k = 0; k < numbers->count; k++) {
        double complex want = has(numbers->number, 0, k);

        for (int i = 1; i < group->n; i++)
            want =
                combined(numbers->operation, want, has(numbers->number, i, k));
        CHECK(get(data, numbers->number, k) == want);
    }
}

typedef void fill_fn(uint8_t *data, const struct ipmpi_numbers *numbers,
                     int member);

static void fill_small(uint8_t *data, const struct ipmpi_numbers *numbers,
                       int member)
{
    for (size_t k = 0; k < numbers->count; k++)
        put(data, numbers->number, k, has(numbers->number, member, k));
}

/* All bits of integers are used: sums and products do not fit. */
static void fill_large(uint8_t *data, const struct ipmpi_numbers *numbers,
                       int member)
{
    const enum ipmpi_number number = numbers->number;
    const size_t len = numbers->count * ipmpi_number_size(number);
    const uint8_t mask = number == IPMPI_BOOL ? 1 : 0xff;

    if (number > IPMPI_UINT64 && number != IPMPI_BOOL)
        return;
    for (size_t k = 0; k < len; k++)
        data[k] = byte_of(member, k) & mask;
}

static void check_shared_numbers(struct ipmpi_group *group, const void *want,
                                 const void *mine,
                                 const struct ipmpi_numbers *numbers)
{
    struct ipmpi_buffer *buffer = NULL;
    int node[MEMBERS_CAP] = {0};

    CHECK_EQ(ipmpi_allreduce_shared(group, mine, numbers, node, &buffer), 0);
    CHECK_MEM(ipmpi_buffer_data(buffer), want, ipmpi_buffer_len(buffer));
    ipmpi_buffer_release(&buffer);
}

/* All algorithms must agree, on small numbers with the arithmetic above, too;
 * operations that are not for these numbers are refused. */
static void check_numbers(struct ipmpi_group *group, size_t len,
                          const struct ipmpi_numbers *numbers, fill_fn *fill)
{
    uint8_t *a = calloc(1, len + 1), *b = calloc(1, len + 1);
    const bool can = ipmpi_numbers_can(numbers->number, numbers->operation);

    fill(a, numbers, group->me);
    fill(b, numbers, group->me);
    CHECK_EQ(ipmpi_allreduce(group, NULL, a, numbers), can ? 0 : IPMPI_EINVAL);
    if (can) {
        CHECK_EQ(ipmpi_allreduce_ring(group, NULL, b, numbers), 0);
        CHECK_MEM(a, b, len);
        fill(b, numbers, group->me);
        check_shared_numbers(group, a, b, numbers);
        if (fill == fill_small)
            check_result(group, a, numbers);
    }
    free(a);
    free(b);
}

static void numbers_and_operations(void **state)
{
    struct ipmpi_group *group = groups_open(1, false);

    (void)state;
    for (int number = 0; number < IPMPI_NUMBERS; number++) {
        for (int op = 0; op < IPMPI_OPERATIONS; op++) {
            const size_t size = ipmpi_number_size(number);
            const struct ipmpi_numbers numbers = {number, op, 1000 / size};

            check_numbers(group, numbers.count * size, &numbers, fill_small);
            check_numbers(group, numbers.count * size, &numbers, fill_large);
        }
    }
    CHECK_EQ(ipmpi_group_close(&group), true);
    CHECK_EQ(ipmpi_number_size(IPMPI_NUMBERS), 0);
}

/* Groups after one that gave up work. */
static void one_is_missing(void **state)
{
    (void)state;
    groups_miss_one();
    groups_check(check_reductions);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduce),
        cmocka_unit_test(shared),
        cmocka_unit_test(numbers_and_operations),
        cmocka_unit_test(one_is_missing),
    };
    int failed;

    groups_begin(&argc, &argv);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    groups_end();
    return failed;
}

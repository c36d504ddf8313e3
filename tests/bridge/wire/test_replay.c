/* The memory of signatures against a plain model of it. */
#include "bridge/wire/replay.h"

#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"

enum { CAP = 64, DIGESTS = 256, STEPS = 20000 };

/* Only 8 homes among 128 slots, some at the wrap: long clusters. */
static void make_digest(unsigned n, uint8_t digest[IPMPI_DIGEST_LEN])
{
    memset(digest, 0, IPMPI_DIGEST_LEN);
    digest[0] = (uint8_t)(0x7c + n % 8);
    digest[20] = (uint8_t)n;
    digest[21] = (uint8_t)(n >> 8);
}

static void it_forgets_the_oldest_first(void **state)
{
    struct ipmpi_replay *r;
    uint8_t digest[IPMPI_DIGEST_LEN];
    unsigned last_seen[DIGESTS] = {0}, remembered = 0;
    uint32_t random = 1;

    (void)state;
    CHECK_EQ(ipmpi_replay_create(CAP, &r), 0);
    for (int step = 0; step < STEPS; step++) {
        unsigned n;
        bool want;

        random = random * 1664525 + 1013904223;
        n = (random >> 16) % DIGESTS;
        make_digest(n, digest);
        /* numbers start at 1; 0 is never */
        want = last_seen[n] != 0 && remembered - last_seen[n] < CAP;
        CHECK_EQ(ipmpi_replay_seen(r, digest), want);
        if (!want)
            last_seen[n] = ++remembered;
        ipmpi_replay_remember(r, digest); /* twice is once */
        CHECK(ipmpi_replay_seen(r, digest));
    }
    ipmpi_replay_destroy(&r);
}

static void the_real_size_holds_that_many(void **state)
{
    struct ipmpi_replay *r;
    uint8_t digest[IPMPI_DIGEST_LEN] = {0};

    (void)state;
    CHECK_EQ(ipmpi_replay_create(IPMPI_REPLAY_CAP, &r), 0);
    for (uint64_t i = 0; i < 2 * IPMPI_REPLAY_CAP; i++) {
        uint64_t spread = i * 0x9e3779b97f4a7c15;

        memcpy(digest, &spread, sizeof(spread));
        memcpy(digest + 8, &i, sizeof(i));
        ipmpi_replay_remember(r, digest);
    }
    for (uint64_t i = 0; i < 2 * IPMPI_REPLAY_CAP; i++) {
        uint64_t spread = i * 0x9e3779b97f4a7c15;

        memcpy(digest, &spread, sizeof(spread));
        memcpy(digest + 8, &i, sizeof(i));
        CHECK_EQ(ipmpi_replay_seen(r, digest), i >= IPMPI_REPLAY_CAP);
    }
    ipmpi_replay_destroy(&r);
    ipmpi_replay_destroy(&r); /* NULL is fine */
}

static void odd_sizes_are_refused(void **state)
{
    struct ipmpi_replay *r;

    (void)state;
    CHECK_EQ(ipmpi_replay_create(0, &r), IPMPI_EINVAL);
    CHECK_EQ(ipmpi_replay_create(3, &r), IPMPI_EINVAL);
    CHECK_EQ(ipmpi_replay_create((size_t)1 << 31, &r), IPMPI_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_forgets_the_oldest_first),
        cmocka_unit_test(the_real_size_holds_that_many),
        cmocka_unit_test(odd_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The origin's account and the thief's limbo: every order in which the phases
 * of a theft can come, and deaths between them. */
#include "runtime/tasks/holdings.h"
#include "runtime/tasks/limbo.h"

#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"
#include "tests/fault.h"

static void moves(void **state)
{
    struct ipmpi_holder victim = {0}, thief = {0};
    struct ipmpi_held a = {0}, b = {0};

    (void)state;
    ipmpi_hold(&victim, &a);
    ipmpi_hold(&victim, &b);
    CHECK(victim.first == &a && victim.n == 2);
    CHECK_EQ(ipmpi_hand_over(&a, &victim, &thief), IPMPI_HANDOVER_GRANTED);
    CHECK(thief.first == &a && victim.first == &b && a.holder == &thief);
    CHECK_EQ(ipmpi_hand_over(&a, &victim, &thief), IPMPI_HANDOVER_STALE);
    CHECK(a.holder == &thief);
    CHECK_EQ(ipmpi_hand_over(&b, &victim, NULL), IPMPI_HANDOVER_BACK);
    CHECK(b.holder == NULL && victim.n == 0);
    ipmpi_release(&a);
    ipmpi_release(&a); /* nobody holds it: nothing happens */
    CHECK(thief.first == NULL && thief.n == 0);
}

static void refusals(void **state)
{
    struct ipmpi_holder victim = {0}, thief = {0}, dead = {.gone = true};
    struct ipmpi_held withdrawn = {.withdrawn = true}, started = {0},
                      orphan = {0};

    (void)state;
    ipmpi_hold(&victim, &withdrawn);
    ipmpi_hold(&victim, &started);
    ipmpi_hold(&victim, &orphan);
    started.started = true;
    CHECK_EQ(ipmpi_hand_over(&withdrawn, &victim, &thief), IPMPI_HANDOVER_BACK);
    CHECK_EQ(ipmpi_hand_over(&started, &victim, &thief), IPMPI_HANDOVER_STALE);
    CHECK_EQ(ipmpi_hand_over(&orphan, &victim, &dead), IPMPI_HANDOVER_BACK);
    CHECK(victim.first == &started && victim.n == 1 && thief.n == 0);
}

static void both_halves(void **state)
{
    struct ipmpi_limbo limbo = {0};
    int task, other;
    void *what = NULL;

    (void)state;
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 1, 5, &task), IPMPI_LIMBO_WAIT);
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 1, 5, &other), IPMPI_LIMBO_DROP);
    CHECK_EQ(ipmpi_limbo_granted(&limbo, 1, 5, &what), IPMPI_LIMBO_RUN);
    CHECK(what == &task);
    CHECK_EQ(ipmpi_limbo_granted(&limbo, 2, 5, &what), IPMPI_LIMBO_WAIT);
    CHECK_EQ(ipmpi_limbo_granted(&limbo, 2, 5, &what), IPMPI_LIMBO_WAIT);
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 2, 5, &task), IPMPI_LIMBO_RUN);
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 3, 5, &task), IPMPI_LIMBO_WAIT);
    CHECK_EQ(ipmpi_limbo_refused(&limbo, 3, 5, &what), IPMPI_LIMBO_DROP);
    CHECK_EQ(ipmpi_limbo_refused(&limbo, 4, 5, &what), IPMPI_LIMBO_WAIT);
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 4, 5, &task), IPMPI_LIMBO_DROP);
    CHECK_EQ(limbo.n, 0);
}

static void withdrawn(void **state)
{
    struct ipmpi_limbo limbo = {0};
    void *what = NULL;
    int task;

    (void)state;
    CHECK(!ipmpi_limbo_withdraw(&limbo, 1));
    CHECK_EQ(ipmpi_limbo_granted(&limbo, 1, 5, &what), IPMPI_LIMBO_WAIT);
    CHECK(ipmpi_limbo_withdraw(&limbo, 1));
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 1, 5, &task), IPMPI_LIMBO_ABORT);
    /* not ours yet: its origin withdraws it at the victim's */
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 2, 5, &task), IPMPI_LIMBO_WAIT);
    CHECK(!ipmpi_limbo_withdraw(&limbo, 2));
    CHECK_EQ(ipmpi_limbo_refused(&limbo, 2, 5, &what), IPMPI_LIMBO_DROP);
}

/* What is left of a victim that died: a task without grant, a grant without
 * task; and another victim's, which stays. */
static void orphans(void **state)
{
    struct ipmpi_limbo limbo = {0};
    void *what = NULL;
    uint64_t ref = 0;
    int task, other;

    (void)state;
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 1, 5, &task), IPMPI_LIMBO_WAIT);
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 2, 6, &other), IPMPI_LIMBO_WAIT);
    CHECK_EQ(ipmpi_limbo_granted(&limbo, 3, 5, &what), IPMPI_LIMBO_WAIT);
    CHECK_EQ(ipmpi_limbo_refused(&limbo, 4, 5, &what), IPMPI_LIMBO_WAIT);
    CHECK(ipmpi_limbo_orphan(&limbo, 5, &ref, &what));
    CHECK(ref == 1 && what == &task);
    CHECK(ipmpi_limbo_orphan(&limbo, 5, &ref, &what));
    CHECK(ref == 3 && what == NULL);
    CHECK(!ipmpi_limbo_orphan(&limbo, 5, &ref, &what));
    CHECK_EQ(limbo.n, 1);
    CHECK(ipmpi_limbo_take(&limbo, &what) && what == &other);
    CHECK(!ipmpi_limbo_take(&limbo, &what));
}

static void without_memory(void **state)
{
    struct ipmpi_limbo limbo = {0};
    void *what = NULL;
    int task;

    (void)state;
    fault_arm(1);
    CHECK_EQ(ipmpi_limbo_arrived(&limbo, 1, 5, &task), IPMPI_ENOMEM);
    fault_disarm();
    fault_arm(1);
    CHECK_EQ(ipmpi_limbo_granted(&limbo, 1, 5, &what), IPMPI_ENOMEM);
    fault_disarm();
    CHECK_EQ(limbo.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),       cmocka_unit_test(refusals),
        cmocka_unit_test(both_halves), cmocka_unit_test(withdrawn),
        cmocka_unit_test(orphans),     cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

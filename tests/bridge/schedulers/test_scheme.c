/* Schemes: who is chosen, and that every scheme keeps to the free engines. */
#include "bridge/schedulers/scheme.h"

#include <stdlib.h>
#include <utlist.h>

#include "tests/check.h"

enum { ENGINES = 5 };

static struct ipmpi_engine engines[ENGINES];

static struct ipmpi_slots make_slots(size_t hwm)
{
    struct ipmpi_slots slots;

    ipmpi_slots_init(&slots, hwm);
    slots.seed = 7;
    for (int i = 0; i < ENGINES; i++) {
        engines[i].id = i;
        CHECK_EQ(ipmpi_slots_add(&slots, &engines[i]), 0);
    }
    return slots;
}

static void free_slots(struct ipmpi_slots *slots)
{
    while (slots->lru != NULL) {
        struct ipmpi_slot *slot = slots->lru;

        ipmpi_slots_remove(slots, &slot);
    }
    CHECK_EQ(ipmpi_slots_nfree(slots), 0);
}

static bool any(void *ctx, const struct ipmpi_slot *slot)
{
    (void)ctx;
    (void)slot;
    return true;
}

static bool odd(void *ctx, const struct ipmpi_slot *slot)
{
    (void)ctx;
    return slot->engine->id % 2 == 1;
}

static void leastload_takes_turns(void **state)
{
    struct ipmpi_slots slots = make_slots(0);

    (void)state;
    for (int i = 0; i < 3 * ENGINES; i++) {
        struct ipmpi_slot *slot =
            ipmpi_scheme_choose(&slots, IPMPI_SCHEME_LEASTLOAD, any, NULL);

        /* the last that came is the first, then by least recent use */
        CHECK_EQ(slot->engine->id, ENGINES - 1 - i % ENGINES);
        ipmpi_slots_assign(&slots, slot);
    }
    free_slots(&slots);
}

static void full_engines_are_not_chosen(void **state)
{
    (void)state;
    for (int scheme = 0; scheme <= IPMPI_SCHEME_WEIGHTED; scheme++) {
        struct ipmpi_slots slots = make_slots(2);

        for (int i = 0; i < 2 * 2; i++) { /* engines 1 and 3 */
            struct ipmpi_slot *slot =
                ipmpi_scheme_choose(&slots, scheme, odd, NULL);

            CHECK(slot != NULL && slot->engine->id % 2 == 1);
            ipmpi_slots_assign(&slots, slot);
        }
        CHECK(ipmpi_scheme_choose(&slots, scheme, odd, NULL) == NULL);
        CHECK_EQ(ipmpi_slots_nfree(&slots), ENGINES - 2);
        CHECK(ipmpi_scheme_choose(&slots, scheme, any, NULL) != NULL);
        CHECK(ipmpi_slots_unassign(&slots, engines[1].task_slot));
        CHECK(!ipmpi_slots_unassign(&slots, engines[1].task_slot));
        free_slots(&slots);
    }
}

static void random_schemes_reach_everybody(void **state)
{
    static const int schemes[] = {IPMPI_SCHEME_PLAINRANDOM, IPMPI_SCHEME_TWOBIN,
                                  IPMPI_SCHEME_WEIGHTED};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        struct ipmpi_slots slots = make_slots(0);
        int times[ENGINES] = {0};

        for (int i = 0; i < 1000; i++) {
            struct ipmpi_slot *slot =
                ipmpi_scheme_choose(&slots, schemes[s], any, NULL);

            times[slot->engine->id]++;
            ipmpi_slots_assign(&slots, slot);
        }
        for (int i = 0; i < ENGINES; i++)
            CHECK(times[i] > 100 && times[i] < 350); /* 200 is even */
        free_slots(&slots);
    }
}

/* As ahead.h wants it, found the long way. */
static struct ipmpi_slot *fewest_ahead(const struct ipmpi_slots *slots)
{
    struct ipmpi_slot *slot, *best = NULL;

    DL_FOREACH (slots->lru, slot) {
        if (!slot->leaves && (best == NULL || slot->ahead < best->ahead))
            best = slot;
    }
    return best;
}

static void do_something(struct ipmpi_slots *slots, struct ipmpi_slot *slot,
                         int what)
{
    if (what == 0 && ipmpi_slot_is_free(slots, slot))
        ipmpi_slots_assign(slots, slot);
    else if (what == 1 && slot->load > 0)
        ipmpi_slots_unassign(slots, slot);
    else if (what == 2)
        ipmpi_slots_add_ahead(slots, slot);
    else if (what == 3 && slot->ahead > 0)
        ipmpi_slots_drop_ahead(slots, slot);
    else if (what == 4)
        ipmpi_slots_keep(slots, slot, !slot->kept);
    else if (what == 5 && slot->npieces == 0)
        ipmpi_slots_add_piece(slots, slot);
    else if (what == 6 && slot->npieces > 0)
        ipmpi_slots_drop_piece(slots, slot);
}

/* Whatever happens to them, the engine at hand is the one that a pass over all
 * of them finds. */
static void the_first_is_at_hand(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct ipmpi_slots slots = make_slots(seed % 3);
        unsigned random = seed;

        for (int i = 0; i < 500; i++) {
            struct ipmpi_slot *slot =
                engines[rand_r(&random) % ENGINES].task_slot;

            do_something(&slots, slot, rand_r(&random) % 7);
            if (i == 400)
                ipmpi_slots_leave(&slots, slot);
            CHECK(
                ipmpi_scheme_choose(&slots, IPMPI_SCHEME_LEASTLOAD, NULL,
                                    NULL) ==
                ipmpi_scheme_choose(&slots, IPMPI_SCHEME_LEASTLOAD, any, NULL));
            CHECK(ipmpi_slot_heap_first(&slots.by_ahead) ==
                  fewest_ahead(&slots));
        }
        free_slots(&slots);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leastload_takes_turns),
        cmocka_unit_test(full_engines_are_not_chosen),
        cmocka_unit_test(random_schemes_reach_everybody),
        cmocka_unit_test(the_first_is_at_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Gangs between a fake client and fake engines. */
#include "bridge/schedulers/gang.h"

#include <stdio.h>

#include "bridge/schedulers/abort.h"
#include "bridge/schedulers/balanced.h"
#include "tests/bridge/fake_hub.h"

static void id_of_share(struct fake_hub *fake, int engine, char *out,
                        size_t cap)
{
    snprintf(out, cap, "g_%s",
             ipmpi_registry_by_id(&fake->hub.registry, engine)->uuid);
}

/* Whether the engine has a share of the gang "g". */
static bool has_share(struct fake_hub *fake, int engine)
{
    char id[64];

    id_of_share(fake, engine, id, sizeof(id));
    return ipmpi_job_by_id(&fake->hub.ledger, id) != NULL;
}

static void reply_share(struct fake_hub *fake, int engine,
                        enum ipmpi_status status)
{
    char id[64];

    id_of_share(fake, engine, id, sizeof(id));
    fake_reply(fake, id, status);
}

static struct fake_hub *open_with(int engines)
{
    struct fake_hub *fake = fake_hub_open(1);

    for (int i = 0; i < engines; i++)
        fake_engine(fake);
    return fake;
}

static void it_waits_for_all_and_answers_once(void **state)
{
    struct fake_hub *fake = open_with(2);

    (void)state;
    fake_task(fake, "a", NULL);
    fake_task(fake, "g", "{\"ipmpi_mpi\":2}");
    fake_task(fake, "b", NULL);
    CHECK_EQ(fake_where(fake, "a"), 1);
    CHECK_EQ(fake_where(fake, "b"), -1); /* engine 0 is kept */
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "task apply_reply a ok");
    CHECK(has_share(fake, 0) && has_share(fake, 1));
    reply_share(fake, 1, IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "b"), 1); /* it need not wait for the other */
    CHECK_STR(fake_answer(fake), "");
    reply_share(fake, 0, IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "iopub status g ");
    CHECK_STR(fake_answer(fake), "task apply_reply g ok");
    fake_reply(fake, "b", IPMPI_STATUS_OK);
    CHECK(fake->hub.ledger.by_ref == NULL);
    fake_hub_close(fake);
}

static void one_failure_is_everyones(void **state)
{
    struct fake_hub *fake = open_with(3);

    (void)state;
    fake_task(fake, "g", "{\"ipmpi_mpi\":3}");
    while (fake_told(fake, NULL, NULL) != 0)
        ;
    reply_share(fake, 1, IPMPI_STATUS_ERROR);
    CHECK(strstr(fake_answer(fake), " Boom") != NULL); /* at once */
    CHECK_EQ(fake_told(fake, NULL, NULL), IPMPI_MSG_CANCEL);
    CHECK_EQ(fake_told(fake, NULL, NULL), IPMPI_MSG_CANCEL);
    CHECK_EQ(fake_told(fake, NULL, NULL), 0);
    reply_share(fake, 0, IPMPI_STATUS_ERROR); /* nobody's any more */
    reply_share(fake, 2, IPMPI_STATUS_OK);
    CHECK_STR(fake_answer(fake), "iopub status g ");
    CHECK_STR(fake_answer(fake), "");
    fake_hub_close(fake);
}

static void a_death_is_everyones(void **state)
{
    struct fake_hub *fake = open_with(2);

    (void)state;
    fake_task(fake, "g", "{\"ipmpi_mpi\":2}");
    while (fake_told(fake, NULL, NULL) != 0)
        ;
    fake_engine_dies(fake, 0);
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task apply_reply g EngineError");
    CHECK_EQ(fake_told(fake, NULL, NULL), IPMPI_MSG_CANCEL);
    reply_share(fake, 1, IPMPI_STATUS_ERROR);
    fake_task(fake, "a", NULL);
    CHECK_EQ(fake_where(fake, "a"), 1);
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void too_many_engines_are_refused(void **state)
{
    struct fake_hub *fake = open_with(2);

    (void)state;
    fake_task(fake, "g", "{\"ipmpi_mpi\":3}");
    CHECK_STR(fake_answer(fake), "task apply_reply g EngineError");
    fake_task(fake, "a", NULL);
    fake_task(fake, "h", "{\"ipmpi_mpi\":2}");
    fake_engine_dies(fake, 0); /* it was kept */
    CHECK_STR(fake_answer(fake), "notification unregistration_notification - ");
    CHECK_STR(fake_answer(fake), "task apply_reply h EngineError");
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void nonsense_is_refused(void **state)
{
    static const char *const rows[] = {
        "{\"ipmpi_mpi\":0}",
        "{\"ipmpi_mpi\":-1}",
        "{\"ipmpi_mpi\":\"2\"}",
        "{\"ipmpi_mpi\":1e9}",
        "{\"ipmpi_mpi\":9223372036854775807}",
        "{\"ipmpi_mpi\":[1]}",
    };
    struct fake_hub *fake = open_with(1);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fake_task(fake, "g", rows[i]);
        CHECK_STR(fake_answer(fake), "task apply_reply g ValueError");
    }
    fake_hub_close(fake);
}

static void engines_are_not_kept_for_ever(void **state)
{
    enum { HOLD_US = 5000000, REST_US = 1000000 };
    struct fake_hub *fake = open_with(2);

    (void)state;
    fake_task(fake, "long", NULL);
    fake_task(fake, "g", "{\"ipmpi_mpi\":2}");
    fake_task(fake, "short", NULL);
    CHECK_EQ(fake_where(fake, "short"), -1);
    CHECK_EQ(ipmpi_balanced_deadline_us(&fake->hub), fake->now_us + HOLD_US);
    fake->now_us += HOLD_US;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK_EQ(fake_where(fake, "short"), 0); /* let go */
    fake_reply(fake, "short", IPMPI_STATUS_OK);
    fake->now_us += REST_US;
    ipmpi_balanced_fire_timers(&fake->hub);
    CHECK_EQ(ipmpi_balanced_deadline_us(&fake->hub),
             fake->now_us + 2 * HOLD_US);
    fake_reply(fake, "long", IPMPI_STATUS_OK);
    CHECK(has_share(fake, 0) && has_share(fake, 1));
    reply_share(fake, 0, IPMPI_STATUS_OK);
    reply_share(fake, 1, IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void gangs_and_tasks_take_turns(void **state)
{
    struct fake_hub *fake = open_with(1);

    (void)state;
    fake_task(fake, "g", "{\"ipmpi_mpi\":1}");
    fake_task(fake, "h", "{\"ipmpi_mpi\":1}");
    fake_task(fake, "a", NULL);
    reply_share(fake, 0, IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "a"), 0); /* before h */
    fake_task(fake, "b", NULL);
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    CHECK_EQ(fake_where(fake, "b"), -1); /* after h */
    ipmpi_abort(&fake->hub, NULL, "b");
    fake_hub_close(fake);
}

static void an_abort_lets_go(void **state)
{
    struct fake_hub *fake = open_with(2);

    (void)state;
    fake_task(fake, "long", NULL);
    fake_task(fake, "g", "{\"ipmpi_mpi\":2}");
    fake_task(fake, "a", NULL);
    ipmpi_abort(&fake->hub, NULL, "g");
    CHECK_STR(fake_answer(fake), "task apply_reply g aborted");
    CHECK_EQ(fake_where(fake, "a"), 0);
    fake_reply(fake, "a", IPMPI_STATUS_OK);
    fake_reply(fake, "long", IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

static void only_targets_are_kept(void **state)
{
    struct fake_hub *fake = open_with(3);
    char metadata[256];

    (void)state;
    snprintf(metadata, sizeof(metadata),
             "{\"ipmpi_mpi\":2,\"targets\":[\"%s\",\"%s\"]}",
             ipmpi_registry_by_id(&fake->hub.registry, 0)->uuid,
             ipmpi_registry_by_id(&fake->hub.registry, 2)->uuid);
    fake_task(fake, "g", metadata);
    CHECK(has_share(fake, 0) && !has_share(fake, 1) && has_share(fake, 2));
    reply_share(fake, 0, IPMPI_STATUS_OK);
    reply_share(fake, 2, IPMPI_STATUS_OK);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_for_all_and_answers_once),
        cmocka_unit_test(one_failure_is_everyones),
        cmocka_unit_test(a_death_is_everyones),
        cmocka_unit_test(too_many_engines_are_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(engines_are_not_kept_for_ever),
        cmocka_unit_test(gangs_and_tasks_take_turns),
        cmocka_unit_test(an_abort_lets_go),
        cmocka_unit_test(only_targets_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Memory of engines elsewhere: who is asked, when it is over. */
#include "bridge/requests/survey.h"
#include "bridge/engines.h"
#include "runtime/base/error.h"
#include "tests/bridge/fake_hub.h"

#include <string.h>

static uint64_t done_number; /* of the last survey that is over */
static int ndone;

static void on_done(struct ipmpi_hub *hub, struct ipmpi_request *request,
                    uint64_t number)
{
    (void)hub;
    CHECK(request != NULL);
    done_number = number;
    ndone++;
}

static struct fake_hub *open_with(const char *first, const char *second)
{
    struct fake_hub *fake = fake_hub_open(1);

    CHECK_EQ(ipmpi_survey_create(on_done, &fake->hub.survey), 0);
    strcpy(fake_engine(fake)->host, first);
    strcpy(fake_engine(fake)->host, second);
    ndone = 0;
    return fake;
}

static void close_all(struct fake_hub *fake)
{
    ipmpi_survey_destroy(&fake->hub.survey);
    fake_hub_close(fake);
}

static int begin(struct fake_hub *fake)
{
    struct ipmpi_request *request =
        fake_request(fake, "ipmpi_status_request", "m", NULL, NULL, NULL);
    const int err = ipmpi_survey_begin(&fake->hub, request, "here");

    ipmpi_request_release(&request);
    return err;
}

static void answer(struct fake_hub *fake, int rank, uint64_t number,
                   int64_t rss)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_MEASURED,
                                        .ref = number};
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &rss, sizeof(rss)), 0);
    ipmpi_engines_receive(&fake->hub, rank, &frames);
    ipmpi_frames_clear(&frames);
}

static void nobody_elsewhere(void **state)
{
    struct fake_hub *fake = open_with("here", "here");

    (void)state;
    CHECK_EQ(begin(fake), IPMPI_EEMPTY);
    CHECK_EQ(ipmpi_survey_deadline_us(fake->hub.survey), INT64_MAX);
    close_all(fake);
}

static void those_elsewhere_are_asked(void **state)
{
    struct fake_hub *fake = open_with("here", "there");
    uint64_t number;
    int rank;

    (void)state;
    CHECK_EQ(begin(fake), 0);
    CHECK_EQ(fake_told(fake, &rank, &number), IPMPI_MSG_MEASURE);
    CHECK_EQ(rank, 2);
    CHECK_EQ(fake_told(fake, &rank, &number), 0);
    answer(fake, 2, number, 4096);
    CHECK_EQ(ndone, 1);
    CHECK_EQ(done_number, number);
    CHECK_EQ(ipmpi_registry_by_rank(&fake->hub.registry, 2)->rss, 4096);
    close_all(fake);
}

static void the_silent_are_not_waited_for(void **state)
{
    struct fake_hub *fake = open_with("there", "there");

    (void)state;
    CHECK_EQ(begin(fake), 0);
    answer(fake, 1, 1, 4096);
    ipmpi_survey_turn(&fake->hub);
    CHECK_EQ(ndone, 0);
    fake->now_us = ipmpi_survey_deadline_us(fake->hub.survey);
    ipmpi_survey_turn(&fake->hub);
    CHECK_EQ(ndone, 1);
    answer(fake, 2, 1, 4096); /* too late: noted, and nobody is answered */
    CHECK_EQ(ndone, 1);
    close_all(fake);
}

static void there_is_a_bound(void **state)
{
    struct fake_hub *fake = open_with("there", "there");

    (void)state;
    for (int i = 0; i < IPMPI_SURVEYS_MAX; i++)
        CHECK_EQ(begin(fake), 0);
    CHECK_EQ(begin(fake), IPMPI_EFULL);
    close_all(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_elsewhere),
        cmocka_unit_test(those_elsewhere_are_asked),
        cmocka_unit_test(the_silent_are_not_waited_for),
        cmocka_unit_test(there_is_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

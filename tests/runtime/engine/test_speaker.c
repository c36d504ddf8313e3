/* What an engine says, when memory runs out at any point: an error, nothing
 * leaked, and the next attempt succeeds. */
#include "runtime/engine/speaker.h"

#include "runtime/base/error.h"
#include "tests/check.h"
#include "tests/fault.h"

static struct ipmpi_work *make_work(const char *header)
{
    struct ipmpi_frames frames = {0};
    struct ipmpi_work *work;

    CHECK_EQ(ipmpi_frames_add_static(&frames, "", 0), 0);
    CHECK_EQ(ipmpi_frames_add_static(&frames, header, strlen(header)), 0);
    CHECK_EQ(ipmpi_frames_add_static(&frames, "\"label\":null", 12), 0);
    CHECK_EQ(ipmpi_frames_add_static(&frames, "{}", 2), 0);
    CHECK_EQ(ipmpi_work_create(&frames, &work), 0);
    work->ref = 7;
    work->started_us = 1767323045000006;
    return work;
}

static int say(struct ipmpi_speaker *speaker, const struct ipmpi_work *work,
               int what, struct ipmpi_item **item_out)
{
    const struct ipmpi_frame *header = &work->frames.at[IPMPI_WORK_AT_HEADER];
    struct ipmpi_answer answer = {.status = IPMPI_STATUS_OK};
    struct ipmpi_publication publication = {
        .msg_type = "error",
        .content = {(const uint8_t *)"{}", 2, NULL},
        .parent = {(const uint8_t *)"{}", 2, NULL},
    };

    switch (what) {
    case 0:
        *item_out = ipmpi_speaker_status(speaker, 7, header, IPMPI_IOPUB_BUSY);
        return *item_out == NULL ? IPMPI_ENOMEM : 0;
    case 1:
        return ipmpi_speaker_reply(speaker, work, &answer, IPMPI_MSG_REPLY,
                                   item_out);
    case 2:
        return ipmpi_speaker_aborted(speaker, work, item_out);
    case 3:
        return ipmpi_speaker_publish(speaker, &publication, header, item_out);
    default:
        *item_out = ipmpi_speaker_plain(IPMPI_MSG_LEAVING);
        return *item_out == NULL ? IPMPI_ENOMEM : 0;
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    struct ipmpi_work *work = make_work("{\"msg_type\":\"x_request\"}");

    (void)state;
    for (int what = 0; what < 5; what++) {
        struct ipmpi_speaker speaker;
        unsigned nth = 1;
        int err;

        do {
            struct ipmpi_item *item = NULL;

            fault_arm(nth++);
            err = ipmpi_speaker_init(&speaker, 3, "uu\"id");
            if (err == 0) {
                err = say(&speaker, work, what, &item);
                fault_disarm();
                CHECK_EQ(item == NULL, err != 0);
                ipmpi_item_destroy(&item);
                ipmpi_speaker_clear(&speaker);
            }
            fault_disarm();
        } while (err == IPMPI_ENOMEM);
        CHECK_EQ(err, 0);
        CHECK(nth > 2);
    }
    ipmpi_work_destroy(&work);
}

static void metadata_is_as_clients_expect(void **state)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {IPMPI_STATUS_OK,
         "{\"engine\":\"u\",\"status\":\"ok\",\"started\":"
         "\"2026-01-02T03:04:05.000006Z\",\"dependencies_met\":true,"
         "\"label\":null}"},
        {IPMPI_STATUS_ERROR,
         "{\"engine\":\"u\",\"status\":\"error\",\"started\":"
         "\"2026-01-02T03:04:05.000006Z\",\"dependencies_met\":true,"
         "\"engine_info\":{\"engine_uuid\":\"u\",\"engine_id\":3},"
         "\"label\":null}"},
        {IPMPI_STATUS_UNMET,
         "{\"engine\":\"u\",\"status\":\"error\",\"started\":"
         "\"2026-01-02T03:04:05.000006Z\",\"dependencies_met\":false,"
         "\"engine_info\":{\"engine_uuid\":\"u\",\"engine_id\":3},"
         "\"label\":null}"},
    };
    struct ipmpi_work *work = make_work("{\"msg_type\":\"x_request\"}");
    struct ipmpi_speaker speaker;

    (void)state;
    CHECK_EQ(ipmpi_speaker_init(&speaker, 3, "u"), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_answer answer = {.status = rows[i].status};
        struct ipmpi_item *item;

        CHECK_EQ(ipmpi_frames_add_static(&answer.content, "{}", 2), 0);
        CHECK_EQ(ipmpi_speaker_reply(&speaker, work, &answer, IPMPI_MSG_REPLY,
                                     &item),
                 0);
        CHECK_EQ(item->metadata.len, strlen(rows[i].text));
        CHECK_MEM(item->metadata.data, rows[i].text, strlen(rows[i].text));
        ipmpi_item_destroy(&item);
    }
    ipmpi_speaker_clear(&speaker);
    ipmpi_work_destroy(&work);
}

static void what_cannot_be_answered_is_refused(void **state)
{
    struct ipmpi_work *work = make_work("{\"msg_type\":12}");
    struct ipmpi_work *good = make_work("{\"msg_type\":\"x_request\"}");
    struct ipmpi_answer answer = {.status = IPMPI_STATUS_OK};
    struct ipmpi_speaker speaker;
    struct ipmpi_item *item;

    (void)state;
    CHECK_EQ(ipmpi_speaker_init(&speaker, 3, "u"), 0);
    CHECK_EQ(
        ipmpi_speaker_reply(&speaker, work, &answer, IPMPI_MSG_REPLY, &item),
        IPMPI_EJSON);
    answer.status = IPMPI_STATUS_ERROR;
    CHECK_EQ(
        ipmpi_speaker_reply(&speaker, good, &answer, IPMPI_MSG_REPLY, &item),
        IPMPI_EINVAL);
    ipmpi_speaker_clear(&speaker);
    ipmpi_work_destroy(&work);
    ipmpi_work_destroy(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(metadata_is_as_clients_expect),
        cmocka_unit_test(what_cannot_be_answered_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Each share's header is the request's with another msg_id, whatever that is;
 * and what they all have is there when memory runs out, or nothing is. */
#include "bridge/schedulers/share_text.h"

#include <stdio.h>

#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "tests/bridge/fake_hub.h"

static void check_header(struct ipmpi_request *request, const char *msg_id)
{
    json_t *want = json_copy(ipmpi_request_header(request)), *header;
    struct ipmpi_share_text text;
    struct ipmpi_frame frame;

    CHECK_EQ(ipmpi_share_text_make(request, &text), 0);
    CHECK_EQ(ipmpi_share_text_header(&text, msg_id, &frame), 0);
    CHECK_EQ(ipmpi_json_load(&frame, &header), 0);
    json_object_set_new(want, "msg_id", json_string(msg_id));
    CHECK(json_equal(want, header));
    json_decref(want);
    json_decref(header);
    ipmpi_buffer_release(&frame.owner);
    ipmpi_share_text_clear(&text);
}

static void headers_differ_by_their_ids(void **state)
{
    static const char *const ids[] = {"a", "a_b-c", "", "\"\\\n\x01\xc3\xa9",
                                      "{\"msg_id\":\"x\"}"};
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_request *request =
        fake_request(fake, "apply_request", "a", NULL, NULL, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        check_header(request, ids[i]);
    json_object_clear(ipmpi_request_header(request));
    check_header(request, "alone");
    ipmpi_request_release(&request);
    fake_hub_close(fake);
}

static void the_echo_is_that_of_the_request(void **state)
{
    static const char want[] = "\"label\":\"l\",\"is_broadcast\":true,"
                               "\"is_coalescing\":true,"
                               "\"original_msg_id\":\"a\"";
    struct fake_hub *fake = fake_hub_open(1);
    struct ipmpi_request *request = fake_request(
        fake, "apply_request", "a", NULL,
        "{\"label\":\"l\",\"is_broadcast\":true,\"is_coalescing\":true}", NULL);
    struct ipmpi_share_text text;

    (void)state;
    CHECK_EQ(ipmpi_share_text_make(request, &text), 0);
    CHECK_EQ(text.echo.len, sizeof(want) - 1);
    CHECK_MEM(text.echo.data, want, sizeof(want) - 1);
    ipmpi_share_text_clear(&text);
    ipmpi_request_release(&request);
    fake_hub_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_differ_by_their_ids),
        cmocka_unit_test(the_echo_is_that_of_the_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

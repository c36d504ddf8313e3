/* Borders of characters, and the type of a request. */
#include "runtime/engine/text.h"

#include "runtime/base/error.h"
#include "tests/check.h"

static void text_is_cut_between_characters(void **state)
{
    static const struct {
        const char *text;
        size_t border;
    } rows[] = {
        {"", 0},
        {"abc", 3},
        {"a\xc3\xa9", 3},
        {"a\xc3", 1},
        {"\xe2\x82\xac", 3},
        {"\xe2\x82", 0},
        {"\xe2", 0},
        {"x\xf0\x9f\x98\x80", 5},
        {"x\xf0\x9f\x98", 1},
        {"x\xf0\x9f", 1},
        {"x\xff", 2},             /* begins nothing */
        {"x\x80\x80\x80\x80", 5}, /* belongs to nothing */
        {"\xc3\xa9\x80", 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(ipmpi_utf8_border(rows[i].text, strlen(rows[i].text)),
                 rows[i].border);
}

static void the_type_is_found_at_the_top(void **state)
{
    static const struct {
        const char *header, *type; /* NULL: refused */
    } rows[] = {
        {"{\"msg_type\":\"apply_request\"}", "apply_request"},
        {" { \"a\" : [1, {\"msg_type\": \"x\"}], \"msg_type\" : \"y\" }", "y"},
        {"{\"a\":\"}\\\"\",\"b\":\"msg_type\",\"msg_type\":\"z.1-_\"}",
         "z.1-_"},
        {"{\"a\":1.5e3,\"b\":null,\"c\":{},\"msg_type\":\"t\"}", "t"},
        {"{}", NULL},
        {"", NULL},
        {"{\"msg_type\":3}", NULL},
        {"{\"msg_type\":\"\"}", NULL},
        {"{\"msg_type\":\"a b\"}", NULL},
        {"{\"msg_type\":\"\\u0061\"}", NULL},
        {"{\"msg_type\":\"a", NULL},
        {"{\"msg_type\":\"a\\", NULL},
        {"{\"a\":\"msg_type\"", NULL},
        {"{\"a\":[[[[", NULL},
        {"[\"msg_type\"]", NULL},
        {"{\"msg_type\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaa\"}",
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        /* a copy of exactly its size: reading past it is seen by ASan */
        struct ipmpi_frames f = {0};
        char type[IPMPI_TYPE_CAP];
        int err;

        CHECK_EQ(
            ipmpi_frames_add_copy(&f, rows[i].header, strlen(rows[i].header)),
            0);
        err = ipmpi_header_type(&f.at[0], type);
        CHECK_EQ(err, rows[i].type == NULL ? IPMPI_EJSON : 0);
        if (err == 0)
            CHECK_STR(type, rows[i].type);
        ipmpi_frames_clear(&f);
    }
}

static void replies_are_named_after_requests(void **state)
{
    static const char *const rows[][2] = {
        {"apply_request", "apply_reply"},
        {"comm_msg", "comm_msg_reply"},
        {"_request", "_request_reply"},
    };
    char type[IPMPI_TYPE_CAP], reply[IPMPI_TYPE_CAP + 8];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        strcpy(type, rows[i][0]);
        ipmpi_reply_type(type, reply);
        CHECK_STR(reply, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(the_type_is_found_at_the_top),
        cmocka_unit_test(replies_are_named_after_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

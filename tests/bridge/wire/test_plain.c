/* Plain objects: what counts as one, and what it says. */
#include "bridge/wire/plain.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/check.h"

static void write_down(void *ctx, const struct ipmpi_plain_member *member)
{
    char *out = (char *)ctx + strlen(ctx);
    const char *quote = member->is_string ? "'" : "";

    sprintf(out, "%.*s=%s%.*s%s;", (int)member->name.len, member->name.data,
            quote, (int)member->value.len, member->value.data, quote);
}

static bool is_plain(const char *text, size_t len, char *out)
{
    /* exact size, so that AddressSanitizer sees a step past the end */
    char *exact = malloc(len > 0 ? len : 1);
    const struct ipmpi_frame frame = {(const uint8_t *)exact, len, NULL};
    bool plain;

    out[0] = '\0';
    memcpy(exact, text, len);
    plain = ipmpi_plain_read(&frame, write_down, out);
    CHECK_EQ(ipmpi_plain_read(&frame, NULL, NULL), plain);
    free(exact);
    return plain;
}

static void what_is_plain(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"{}", ""},
        {" \t\r\n{ } ", ""},
        {"{\"a\":\"b\"}", "a='b';"},
        {"{ \"a\" : \"\" , \"\" : null }", "a='';=null;"},
        {"{\"a\": 0, \"b\": 0.0, \"c\": []}", "a=0;b=0.0;c=[];"},
        {"{\"a\": \"1\", \"a\": \"{2}\"}", "a='1';a='{2}';"},
        {"{\"a\": \"\x7f~ \"}", "a='\x7f~ ';"},
    };
    char out[128];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!is_plain(rows[i].text, strlen(rows[i].text), out))
            fail_msg("%s is not plain", rows[i].text);
        CHECK_STR(out, rows[i].want);
    }
}

static void what_is_not(void **state)
{
    static const char *const rows[] = {
        "",
        "[]",
        "{",
        "{} x",
        "{}{}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":\"b\",}",
        "{\"a\":\"b\" \"c\":\"d\"}",
        "{\"a\":\"b\"",
        "{\"a\":\"b",
        "{a:\"b\"}",
        "{'a':\"b\"}",
        "{\"a\":01}",
        "{\"a\":0.00}",
        "{\"a\":nullx}",
        "{\"a\":nul}",
        /* JSON, but not plain */
        "{\"a\":\"\\n\"}",
        "{\"a\\n\":\"\"}",
        "{\"a\":\"\xc3\xa4\"}",
        "{\"a\":1}",
        "{\"a\":-0}",
        "{\"a\":0e1}",
        "{\"a\":true}",
        "{\"a\":[ ]}",
        "{\"a\":{}}",
        /* not even that */
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\t\"}",
    };
    char out[128];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (is_plain(rows[i], strlen(rows[i]), out))
            fail_msg("%s is plain", rows[i]);
    CHECK(!is_plain("{\"a\":\"\0\"}", 9, out));
    CHECK(!is_plain("{}\0", 3, out));
}

static void cut_anywhere(void **state)
{
    static const char text[] = "{\"a\":\"b\",\"c\":null,\"d\":0.0,\"e\":[]}";
    char out[128];

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++)
        CHECK(!is_plain(text, len, out));
    CHECK(is_plain(text, sizeof(text) - 1, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_plain),
        cmocka_unit_test(what_is_not),
        cmocka_unit_test(cut_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* JSON: what Python writes and jansson refuses, and what nobody may send. */
#include "bridge/wire/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"
#include "tests/fault.h"

#define BAD "\xef\xbf\xbd" /* U+FFFD */

static int load(const char *text, size_t len, json_t **value_out)
{
    /* exact size, so that AddressSanitizer sees a step past the end */
    char *exact = malloc(len > 0 ? len : 1);
    const struct ipmpi_frame frame = {(const uint8_t *)exact, len, NULL};
    int err;

    memcpy(exact, text, len);
    err = ipmpi_json_load(&frame, value_out);
    free(exact);
    return err;
}

static void objects_are_read(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"{}", "{}"},
        {" {\"a\" : [1, 2.5, null, true]}\n", "{\"a\":[1,2.5,null,true]}"},
        {"{\"a\":9223372036854775807}", "{\"a\":9223372036854775807}"},
        {"{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775808}"},
        {"{\"a\":9223372036854775808,\"b\":7}",
         "{\"a\":9.2233720368547758e18,\"b\":7}"},
        {"{\"a\":-100000000000000000000}", "{\"a\":-1e20}"},
        {"{\"a\":[18446744073709551616,5.0,1e3,-2.5E-1,0]}",
         "{\"a\":[1.8446744073709552e19,5.0,1000.0,-0.25,0]}"},
        {"{\"a\":\"18446744073709551616\",\"b\":18446744073709551616}",
         "{\"a\":\"18446744073709551616\",\"b\":1.8446744073709552e19}"},
        {"{\"a\":\"x\xffy\"}", "{\"a\":\"x" BAD "y\"}"},
        {"{\"a\":\"\xe2\x82\"}", "{\"a\":\"" BAD "\"}"},
        {"{\"\xff\":1}", "{\"" BAD "\":1}"},
        {"{\"a\":\"\\ud800\"}", "{\"a\":\"" BAD "\"}"},
        {"{\"a\":\"\\udc00\\ud83d\\ude00\"}",
         "{\"a\":\"" BAD "\xf0\x9f\x98\x80\"}"},
        {"{\"a\":\"\\ud83d\\u0041\\\\ud800\"}",
         "{\"a\":\"" BAD "A\\\\ud800\"}"},
        {"{\"a\":\"\\u0000\"}", "{\"a\":\"\\u0000\"}"},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_frame dumped;
        json_t *value;

        if (load(rows[i].text, strlen(rows[i].text), &value) != 0)
            fail_msg("%s was refused", rows[i].text);
        CHECK_EQ(ipmpi_json_dump(value, &dumped), 0);
        CHECK_EQ(dumped.len, strlen(rows[i].want));
        CHECK_MEM(dumped.data, rows[i].want, dumped.len);
        ipmpi_buffer_release(&dumped.owner);
        json_decref(value);
    }
}

static void other_bytes_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "[]",
        "3",
        "null",
        "\"a\"",
        "{",
        "{\"a\":}",
        "{\"a\":1",
        "{} x",
        "{}{}",
        "{\"a\":-}",
        "{\"a\":01}",
        "{'a':1}",
        "{\"a\":nan}",
        "{\"a\":1e}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":\"\\u",
        "{\"a\":\"\\ud8",
        "{\"a\":\"\n\"}",
        "{\xff}",
        "{\"a\":1e999}",
        "{\"a\":\"\xe2",
        "-",
    };
    json_t *value;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (load(rows[i], strlen(rows[i]), &value) != IPMPI_EJSON)
            fail_msg("%s was read", rows[i]);
}

static void an_integer_of_a_thousand_digits(void **state)
{
    char text[1100] = "{\"a\":-";
    size_t at = strlen(text);
    json_t *value;

    (void)state;
    memset(text + at, '7', 1000);
    strcpy(text + at + 1000, "}");
    CHECK_EQ(load(text, strlen(text), &value), 0);
    CHECK(json_real_value(json_object_get(value, "a")) < -1e300);
    json_decref(value);
}

static void nesting_is_bounded(void **state)
{
    static char text[200006];
    json_t *value;

    (void)state;
    for (int depth = 100; depth <= 100000; depth *= 1000) {
        memcpy(text, "{\"a\":", 5);
        memset(text + 5, '[', depth);
        memset(text + 5 + depth, ']', depth);
        text[5 + 2 * depth] = '}';
        CHECK_EQ(load(text, 6 + 2 * (size_t)depth, &value),
                 depth < 2048 ? 0 : IPMPI_EJSON);
        if (depth < 2048)
            json_decref(value);
    }
}

static void an_error_content(void **state)
{
    json_t *content = ipmpi_json_error("KeyError", "'No such \xff'");
    struct ipmpi_frame dumped;
    static const char want[] =
        "{\"status\":\"error\",\"ename\":\"KeyError\",\"evalue\":\"'No "
        "such " BAD "'\",\"traceback\":[],\"engine_info\":{}}";

    (void)state;
    CHECK_EQ(ipmpi_json_dump(content, &dumped), 0);
    CHECK_EQ(dumped.len, strlen(want));
    CHECK_MEM(dumped.data, want, dumped.len);
    ipmpi_buffer_release(&dumped.owner);
    json_decref(content);
}

static void memory_runs_out(void **state)
{
    unsigned nth = 1;
    bool fired;

    (void)state;
    do {
        struct ipmpi_frame dumped = {0};
        json_t *content;
        int err = 0;

        fault_arm(nth++);
        content = ipmpi_json_error("KeyError", "'No such \xff'");
        if (content != NULL)
            err = ipmpi_json_dump(content, &dumped);
        fired = fault_disarm();
        CHECK(fired || (content != NULL && err == 0));
        CHECK_EQ(dumped.owner == NULL, content == NULL || err != 0);
        ipmpi_buffer_release(&dumped.owner);
        json_decref(content);
    } while (fired);
    CHECK(nth > 10);
}

static void *jansson_malloc(size_t len)
{
    return malloc(len);
}

static void a_string_or_the_fallback(void **state)
{
    json_t *object = json_loads("{\"a\":\"x\",\"n\":1,\"z\":\"x\\u0000y\"}",
                                JSON_ALLOW_NUL, NULL);

    (void)state;
    CHECK_STR(ipmpi_json_string(object, "a", "f"), "x");
    CHECK_STR(ipmpi_json_string(object, "n", "f"), "f");
    CHECK_STR(ipmpi_json_string(object, "z", "f"), "f");
    CHECK(ipmpi_json_string(object, "b", NULL) == NULL);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_read),
        cmocka_unit_test(other_bytes_are_refused),
        cmocka_unit_test(an_integer_of_a_thousand_digits),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(an_error_content),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(a_string_or_the_fallback),
    };
    json_set_alloc_funcs(jansson_malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

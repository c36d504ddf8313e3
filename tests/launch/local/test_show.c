/* Texts for people: status, durations, sizes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/local/status_show.h"
#include "tests/check.h"

static void durations_and_sizes(void **state)
{
    static const struct {
        double value;
        const char *duration, *bytes;
    } rows[] = {
        {0.25, "0.2 s", "0 B"},      {12, "12 s", "12 B"},
        {600, "10 min", "600 B"},    {9000, "2.5 h", "8.8 KiB"},
        {259200, "3 d", "253 KiB"},  {-1, "0.0 s", "-1 B"},
        {7e9, "81019 d", "6.5 GiB"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(ipmpi_status_duration(rows[i].value),
                            rows[i].duration);
        assert_string_equal(ipmpi_status_bytes(rows[i].value), rows[i].bytes);
    }
}

static char *shown(const json_t *status)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    ipmpi_status_show(out, status, "profile p");
    fclose(out);
    return text;
}

static void shows_engines_by_node(void **state)
{
    json_t *status = json_loads(
        "{\"unassigned\": 3, \"controller\": {\"host\": \"h0\", \"pid\": 7, "
        "\"rss\": 2097152, \"up_s\": 90}, \"engines\": ["
        "{\"id\": 0, \"host\": \"n1\", \"state\": \"busy\", \"queue\": 1, "
        "\"tasks\": 2, \"completed\": 5, \"rss\": 1048576, \"running\": "
        "{\"msg_id\": \"m1\", \"type\": \"apply\", \"label\": \"fold\\n3\", "
        "\"for_s\": 30}},"
        "{\"id\": 1, \"host\": \"n0\", \"state\": \"starting\", \"rss\": "
        "null, \"running\": null}]}",
        0, NULL);
    char *text = shown(status);

    (void)state;
    assert_non_null(strstr(text, "profile p: 2 engines, 1 busy, 1 starting, "
                                 "5 requests waiting, up 90 s"));
    assert_non_null(strstr(text, "controller: h0, pid 7, memory 2.0 MiB"));
    assert_true(strstr(text, "\nn0\n") < strstr(text, "\nn1\n"));
    assert_non_null(strstr(text, "apply \"fold?3\" m1 for 30 s"));
    free(text);
    json_decref(status);
}

static void shows_what_stock_controllers_tell(void **state)
{
    json_t *status = json_loads("{\"engines\": [{\"id\": 0, \"state\": "
                                "\"idle\"}]}",
                                0, NULL);
    char *text = shown(status);

    (void)state;
    assert_non_null(strstr(text, "1 engine, 0 busy, 0 requests waiting\n"));
    assert_non_null(strstr(text, "node unknown"));
    free(text);
    json_decref(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_and_sizes),
        cmocka_unit_test(shows_engines_by_node),
        cmocka_unit_test(shows_what_stock_controllers_tell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

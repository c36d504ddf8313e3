/* What Marathon says, in words for people: each of its errors, and why nodes
 * are missing. */
#include "launch/marathon/app.h"
#include "launch/marathon/http.h"

#include <stdio.h>

#include "tests/check.h"

static json_t *parse(const char *text)
{
    json_t *json = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    CHECK(text == NULL || json != NULL);
    return json;
}

#define HTML(text) "<html><head><title>Error</title></head>\n" text "</html>"

static void test_each_error(void **state)
{
    static const struct {
        long status;
        const char *body; /* NULL: not JSON */
        const char *text;
        const char *words[3];
    } rows[] = {
        {0,
         NULL,
         "http://m:8080: Couldn't connect to server",
         {"no answer from Marathon", "http://m:8080"}},
        {400,
         "{\"message\":\"Invalid JSON\",\"details\":\"at 3\"}",
         "",
         {"could not read our request [400]", "Invalid JSON", "(at 3)"}},
        {400,
         "{\"message\":\"Please specify data in JSON format\"}",
         "",
         {"could not read", "Please specify"}},
        {422,
         "{\"message\":\"Object is not valid\",\"details\":[{\"path\":"
         "\"/constraints(0)\",\"errors\":[\"UNIQUE does not accept a "
         "value\",\"other\"]}]}",
         "",
         {"refuses the application [422]", "Object is not valid",
          "/constraints(0): UNIQUE does not accept a value; /constraints(0): "
          "other"}},
        {422,
         "{\"message\":\"Invalid JSON\",\"details\":[{\"path\":\"/id\","
         "\"errors\":[\"error.expected.jsstring\"]}]}",
         "",
         {"refuses the application", "/id: error.expected.jsstring"}},
        {401,
         NULL,
         HTML("HTTP ERROR 401"),
         {"wants other credentials", "--header-file", "[401]"}},
        {401,
         "{\"message\":\"Invalid username or password.\"}",
         "",
         {"wants other credentials", "Invalid username"}},
        {403,
         "{\"message\":\"Not Authorized to perform this action!\"}",
         "",
         {"does not allow it [403]", "Not Authorized"}},
        {403,
         "{\"message\":\"Max number (100) of running deployments is "
         "achieved.\"}",
         "",
         {"runs as many deployments as it may [403]", "Max number (100)"}},
        {404,
         "{\"message\":\"App '/x' does not exist\"}",
         "",
         {"knows no such thing [404]", "App '/x' does not exist"}},
        {405,
         "{\"message\":\"HTTP 405 Method Not Allowed\"}",
         "",
         {"method", "[405]"}},
        {415,
         "{\"message\":\"Unsupported Media Type\"}",
         "",
         {"JSON", "[415]"}},
        {409,
         "{\"message\":\"An app with id [/x] already exists.\"}",
         "",
         {"exists already [409]", "/x"}},
        {409,
         "{\"message\":\"App is locked by one or more deployments.\","
         "\"deployments\":[{\"id\":\"d1\"}]}",
         "",
         {"a deployment holds the application [409]", "locked"}},
        {500,
         "{\"message\":\"URI not found\"}",
         "",
         {"Marathon failed [500]", "URI not found"}},
        {502,
         NULL,
         HTML("Could not determine the current leader"),
         {"no leader at the moment [502]", "<html>"}},
        {503,
         NULL,
         HTML("Too many concurrent requests! Allowed: 1."),
         {"too busy", "[503]"}},
        {503, NULL, "", {"too busy", "[503]"}},
        {418, "[1]", "", {"an answer that we do not know [418]"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_marathon_answer answer = {.status = rows[i].status,
                                               .body = parse(rows[i].body)};
        char text[1024];

        snprintf(answer.text, sizeof(answer.text), "%s", rows[i].text);
        ipmpi_marathon_explain(&answer, text, sizeof(text));
        for (size_t k = 0; k < 3 && rows[i].words[k] != NULL; k++)
            if (strstr(text, rows[i].words[k]) == NULL)
                fail_msg("row %zu: \"%s\" is not in \"%s\"", i,
                         rows[i].words[k], text);
        CHECK(strchr(text, '\n') == NULL);
        ipmpi_marathon_clear(&answer);
    }
}

/* However long an answer is, and however short the room for its words. */
static void test_long_answers(void **state)
{
    struct ipmpi_marathon_answer answer = {.status = 422};
    json_t *errors = json_array();
    char text[64];

    (void)state;
    for (int i = 0; i < 1000; i++)
        json_array_append_new(errors, json_string("must not be so"));
    answer.body = json_pack("{s:s, s:[{s:s, s:o}]}", "message", "m", "details",
                            "path", "/p", "errors", errors);
    for (size_t cap = 1; cap <= sizeof(text); cap++) {
        memset(text, 'x', sizeof(text));
        ipmpi_marathon_explain(&answer, text, cap);
        CHECK(memchr(text, 0, cap) != NULL);
    }
    ipmpi_marathon_clear(&answer);
}

#define QUEUE(delay, offers, rejects)                                     \
    "{\"queue\":[{\"app\":{\"id\":\"/other\"}},{\"app\":{\"id\":\"/x\"}," \
    "\"delay\":{\"timeLeftSeconds\":" delay "},"                          \
    "\"processedOffersSummary\":{\"processedOffersCount\":" offers ","    \
    "\"rejectSummaryLastOffers\":[" rejects "]}}]}"
#define REJECT(reason, declined, processed)             \
    "{\"reason\":\"" reason "\",\"declined\":" declined \
    ",\"processed\":" processed "}"

static void test_why_nodes_are_missing(void **state)
{
    static const char unique[] = "{\"instances\":8,\"tasksRunning\":3,"
                                 "\"constraints\":[[\"hostname\",\"UNIQUE\"]]}";
    static const char plain[] = "{\"instances\":8,\"tasksRunning\":3}";
    static const struct {
        const char *app, *queue, *text;
    } rows[] = {
        {plain,
         QUEUE("0", "123",
               REJECT("UnfulfilledRole", "0", "123") "," REJECT(
                   "InsufficientCpus", "75",
                   "123") "," REJECT("InsufficientMemory", "48", "48")),
         "3 of 8 nodes placed; 75 of 123 offers too few cpus"},
        /* Three hosts have theirs: that they are declined says nothing. */
        {unique,
         QUEUE("0", "5",
               REJECT("UnfulfilledConstraint", "3",
                      "5") "," REJECT("InsufficientPorts", "2", "2")),
         "3 of 8 nodes placed; 2 of 5 offers too few ports"},
        {unique, QUEUE("0", "9", REJECT("UnfulfilledConstraint", "7", "9")),
         "3 of 8 nodes placed; 4 of 9 offers excluded by a constraint"},
        {plain, QUEUE("0", "0", ""), "3 of 8 nodes placed; no offers came yet"},
        {plain, QUEUE("12", "4", ""), "3 of 8 nodes placed; next try in 12 s"},
        {plain, QUEUE("0", "1", REJECT("SomethingNew", "1", "1")),
         "3 of 8 nodes placed; 1 of 1 offers SomethingNew"},
        {plain, "{\"queue\":[]}", "3 of 8 nodes placed"},
        {"{\"instances\":2,\"tasksRunning\":1,\"lastTaskFailure\":{\"host\":"
         "\"h1\",\"message\":\"no such image\"}}",
         NULL, "1 of 2 nodes placed; last failure on h1: no such image"},
        {NULL, NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *app = parse(rows[i].app), *queue = parse(rows[i].queue);
        char text[1024];

        for (size_t cap = 1; cap < sizeof(text); cap *= 2)
            ipmpi_app_explain("/x", app, queue, text, cap);
        ipmpi_app_explain("/x", app, queue, text, sizeof(text));
        CHECK_STR(text, rows[i].text);
        json_decref(app);
        json_decref(queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_error),
        cmocka_unit_test(test_long_answers),
        cmocka_unit_test(test_why_nodes_are_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

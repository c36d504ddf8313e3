/* Marathon's errors in words. */
#include <stdio.h>
#include <string.h>

#include "launch/marathon/http.h"

static const char *message_of(const struct ipmpi_marathon_answer *answer)
{
    return json_string_value(json_object_get(answer->body, "message"));
}

/* Details of 422: [{path, errors: [..]}]; of 400: a string. */
static void add_details(json_t *details, char *text, size_t cap)
{
    size_t i, k, at = strlen(text);
    json_t *detail, *error;

    if (json_is_string(details)) {
        snprintf(text + at, cap - at, " (%s)", json_string_value(details));
        return;
    }
    json_array_foreach (details, i, detail) {
        const char *path = json_string_value(json_object_get(detail, "path"));

        json_array_foreach (json_object_get(detail, "errors"), k, error) {
            if (at >= cap)
                return;
            at += (size_t)snprintf(
                text + at, cap - at, "; %s: %s", path ? path : "/",
                json_string_value(error) ? json_string_value(error) : "?");
        }
    }
}

static const struct {
    long status;
    const char *words;
} meanings[] = {
    {400, "Marathon could not read our request"},
    {401, "Marathon wants other credentials (--header-file, --basic-file)"},
    {403, "Marathon does not allow it"},
    {404, "Marathon knows no such thing"},
    {405, "Marathon does not know this method here"},
    {409, "the application exists already"},
    {415, "Marathon did not take our request for JSON"},
    {422, "Marathon refuses the application"},
    {500, "Marathon failed"},
    {502, "Marathon has no leader at the moment"},
    {503, "Marathon is too busy, or its store does not answer"},
};

const char *ipmpi_marathon_lock(const struct ipmpi_marathon_answer *answer)
{
    json_t *list = json_object_get(answer->body, "deployments");

    if (answer->status != 409)
        return NULL;
    return json_string_value(json_object_get(json_array_get(list, 0), "id"));
}

void ipmpi_marathon_explain(const struct ipmpi_marathon_answer *answer,
                            char *text, size_t cap)
{
    const char *words = "Marathon gave an answer that we do not know";
    const char *message = message_of(answer);
    size_t at;

    if (answer->status == 0) {
        snprintf(text, cap, "no answer from Marathon: %s", answer->text);
        return;
    }
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].status == answer->status)
            words = meanings[i].words;
    if (ipmpi_marathon_lock(answer) != NULL)
        words = "a deployment holds the application";
    if (answer->status == 403 && message != NULL &&
        strstr(message, "running deployments") != NULL)
        words = "Marathon runs as many deployments as it may";
    at = (size_t)snprintf(text, cap, "%s [%ld]", words, answer->status);
    if (message != NULL && at < cap)
        at += (size_t)snprintf(text + at, cap - at, ": %s", message);
    else if (answer->body == NULL && answer->text[0] != 0 && at < cap)
        at += (size_t)snprintf(text + at, cap - at, ": %.120s", answer->text);
    if (at < cap)
        add_details(json_object_get(answer->body, "details"), text, cap);
    for (char *p = text; *p; p++) /* HTML has many lines */
        if (*p == '\n' || *p == '\r')
            *p = ' ';
}

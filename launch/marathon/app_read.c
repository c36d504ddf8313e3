/* Applications, read: where their tasks are, and why some are not. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "launch/marathon/app.h"

static bool has_agent(const char *state)
{
    return state != NULL && (strcmp(state, "TASK_RUNNING") == 0 ||
                             strcmp(state, "TASK_UNREACHABLE") == 0);
}

size_t ipmpi_app_places(json_t *tasks, bool container_network,
                        struct ipmpi_place *places, size_t cap)
{
    size_t i, n = 0;
    json_t *task;

    json_array_foreach (tasks, i, task) {
        const char *id = json_string_value(json_object_get(task, "id"));
        const char *host = json_string_value(json_object_get(task, "host"));
        json_int_t port = json_integer_value(
            json_array_get(json_object_get(task, "ports"), 0));

        if (container_network) {
            host = json_string_value(json_object_get(
                json_array_get(json_object_get(task, "ipAddresses"), 0),
                "ipAddress"));
            port = IPMPI_AGENT_PORT;
        }
        if (n == cap || id == NULL || host == NULL || port < 1 ||
            port > UINT16_MAX ||
            !has_agent(json_string_value(json_object_get(task, "state"))))
            continue;
        snprintf(places[n].id, sizeof(places[n].id), "%s", id);
        snprintf(places[n].host, sizeof(places[n].host), "%s", host);
        places[n].port = (uint16_t)port;
        n++;
    }
    return n;
}

static const struct {
    const char *reason, *words;
} reasons[] = {
    {"UnfulfilledRole", "of another role"},
    {"UnfulfilledConstraint", "excluded by a constraint"},
    {"NoCorrespondingReservationFound", "without our reservation"},
    {"AgentMaintenance", "in maintenance"},
    {"InsufficientCpus", "too few cpus"},
    {"InsufficientMemory", "too little memory"},
    {"InsufficientDisk", "too little disk"},
    {"InsufficientGpus", "too few gpus"},
    {"InsufficientPorts", "too few ports"},
    {"DeclinedScarceResources", "kept for scarce resources"},
};

static const char *words_of(const char *reason)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reason != NULL && strcmp(reasons[i].reason, reason) == 0)
            return reasons[i].words;
    return reason ? reason : "?";
}

/* How many hosts are declined only since they have their container. */
static json_int_t count_taken(json_t *app)
{
    json_t *row;
    size_t i;

    json_array_foreach (json_object_get(app, "constraints"), i, row) {
        const char *word = json_string_value(json_array_get(row, 1));

        if (word != NULL && strcasecmp(word, "UNIQUE") == 0)
            return json_integer_value(json_object_get(app, "tasksRunning"));
    }
    return 0;
}

/* The stage of the funnel that declined most, but for the hosts that are
 * `taken`; of equals the last. */
static size_t put_funnel(json_t *summary, json_int_t taken, char *text,
                         size_t cap)
{
    json_int_t most = 0, offers = 0;
    const char *reason = NULL;
    size_t i;
    json_t *row;

    json_array_foreach (json_object_get(summary, "rejectSummaryLastOffers"), i,
                        row) {
        const char *why = json_string_value(json_object_get(row, "reason"));
        json_int_t declined =
            json_integer_value(json_object_get(row, "declined"));
        const json_int_t processed =
            json_integer_value(json_object_get(row, "processed"));

        if (processed > offers)
            offers = processed;
        if (why != NULL && strcmp(why, "UnfulfilledConstraint") == 0)
            declined -= taken;
        if (declined > 0 && declined >= most) {
            most = declined;
            reason = why;
        }
    }
    if (most > 0)
        return (size_t)snprintf(text, cap, "; %lld of %lld offers %s",
                                (long long)most, (long long)offers,
                                words_of(reason));
    if (json_integer_value(json_object_get(summary, "processedOffersCount")) ==
        0)
        return (size_t)snprintf(text, cap, "; no offers came yet");
    return 0;
}

void ipmpi_app_explain(const char *id, json_t *app, json_t *queue, char *text,
                       size_t cap)
{
    json_t *failure = json_object_get(app, "lastTaskFailure"), *item;
    const char *message =
        json_string_value(json_object_get(failure, "message"));
    const char *host = json_string_value(json_object_get(failure, "host"));
    size_t i, at = 0;

    text[0] = 0;
    if (json_is_object(app))
        at = (size_t)snprintf(
            text, cap, "%lld of %lld nodes placed",
            (long long)json_integer_value(json_object_get(app, "tasksRunning")),
            (long long)json_integer_value(json_object_get(app, "instances")));
    json_array_foreach (json_object_get(queue, "queue"), i, item) {
        json_t *delay = json_object_get(item, "delay");
        const char *name = json_string_value(
            json_object_get(json_object_get(item, "app"), "id"));

        if (name == NULL || strcmp(name, id) != 0 || at >= cap)
            continue;
        at += put_funnel(json_object_get(item, "processedOffersSummary"),
                         count_taken(app), text + at, cap - at);
        if (at < cap &&
            json_integer_value(json_object_get(delay, "timeLeftSeconds")) > 0)
            at +=
                (size_t)snprintf(text + at, cap - at, "; next try in %lld s",
                                 (long long)json_integer_value(json_object_get(
                                     delay, "timeLeftSeconds")));
    }
    if (message != NULL && message[0] != 0 && at < cap)
        snprintf(text + at, cap - at, "; last failure on %s: %s",
                 host ? host : "?", message);
}

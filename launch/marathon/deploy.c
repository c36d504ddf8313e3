/* The application in Marathon. */
#include "launch/marathon/deploy.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launch/channel/protocol.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"

enum { GONE_WAIT_S = 60, LOCK_WAIT_S = 30 };

static int report(const char *what, const struct ipmpi_marathon_answer *answer)
{
    char text[1024];

    ipmpi_marathon_explain(answer, text, sizeof(text));
    ipmpi_log_error("MARATHON-ANSWER", "%s: %s", what, text);
    return IPMPI_EXIT_SCHEDULER;
}

static void app_path(const struct ipmpi_launch *m, const char *rest, char *path,
                     size_t cap)
{
    snprintf(path, cap, "/v2/apps%s%s", m->id, rest);
}

int ipmpi_deploy_check_version(struct ipmpi_launch *m)
{
    struct ipmpi_marathon_answer answer;
    const char *version, *prefix;
    int major = 0, minor = 0, status = 0;

    if (ipmpi_marathon_call(m->http, "GET", "/v2/info", NULL, &answer) != 0) {
        status = report("Marathon", &answer);
        ipmpi_marathon_clear(&answer);
        return status;
    }
    version = json_string_value(json_object_get(answer.body, "version"));
    prefix = json_string_value(json_object_get(
        json_object_get(answer.body, "marathon_config"), "env_vars_prefix"));
    if (prefix != NULL)
        snprintf(m->prefix, sizeof(m->prefix), "%s", prefix);
    if (version == NULL || sscanf(version, "%d.%d", &major, &minor) != 2 ||
        major < 1 || (major == 1 && minor < 5)) {
        ipmpi_log_error("MARATHON-VERSION",
                        "Marathon %s is too old: 1.5 or newer is needed",
                        version ? version : "of no version");
        status = IPMPI_EXIT_SCHEDULER;
    }
    ipmpi_marathon_clear(&answer);
    return status;
}

/* Did our request arrive, though its answer did not? The nonce tells. */
static bool is_there(struct ipmpi_launch *m)
{
    struct ipmpi_marathon_answer answer;
    char path[IPMPI_APP_ID_CAP + 32];
    const char *nonce;
    bool same;

    app_path(m, "", path, sizeof(path));
    if (ipmpi_marathon_call(m->http, "GET", path, NULL, &answer) != 0) {
        ipmpi_marathon_clear(&answer);
        return false;
    }
    nonce = json_string_value(json_object_get(
        json_object_get(json_object_get(answer.body, "app"), "labels"),
        "IPMPI_NONCE"));
    same = nonce != NULL && strcmp(nonce, m->nonce) == 0;
    ipmpi_marathon_clear(&answer);
    return same;
}

int ipmpi_deploy_create(struct ipmpi_launch *m)
{
    struct ipmpi_marathon_answer answer;
    json_t *body = ipmpi_app_make(&m->app);
    const int64_t end_us =
        ipmpi_clock_now_us() + (int64_t)LOCK_WAIT_S * IPMPI_SECOND_US;
    int status = 0;

    for (;;) {
        if (ipmpi_marathon_call(m->http, "POST", "/v2/apps", body, &answer) ==
            0)
            break;
        /* No answer, or one that a proxy made up: has it arrived? */
        if ((answer.status == 0 || answer.status >= 500 ||
             answer.status == 409) &&
            is_there(m))
            break;
        if (ipmpi_clock_now_us() < end_us &&
            (answer.status == 0 || answer.status == 502 ||
             answer.status == 503 || ipmpi_marathon_lock(&answer) != NULL)) {
            ipmpi_marathon_clear(&answer);
            usleep(500 * 1000);
            continue;
        }
        status = report("the application is not created", &answer);
        break;
    }
    if (status == 0)
        ipmpi_log_info("MARATHON-APP", "application %s, deployment %s", m->id,
                       answer.deployment[0] ? answer.deployment : "unknown");
    ipmpi_marathon_clear(&answer);
    json_decref(body);
    return status;
}

int ipmpi_deploy_delete(struct ipmpi_launch *m)
{
    const int64_t end_us =
        ipmpi_clock_now_us() + (int64_t)GONE_WAIT_S * IPMPI_SECOND_US;
    struct ipmpi_marathon_answer answer;
    char path[IPMPI_APP_ID_CAP + 32];
    int status = 0;
    bool gone;

    app_path(m, "", path, sizeof(path));
    if (ipmpi_marathon_call(m->http, "DELETE", path, NULL, &answer) != 0 &&
        answer.status != 404)
        status = report("the application is not deleted", &answer);
    gone = status != 0;
    while (!gone && ipmpi_clock_now_us() < end_us) {
        ipmpi_marathon_clear(&answer);
        ipmpi_marathon_call(m->http, "GET", path, NULL, &answer);
        gone = answer.status == 404;
        if (!gone)
            usleep(300 * 1000);
    }
    if (!gone) {
        ipmpi_log_warn("MARATHON-GONE",
                       "application %s is being deleted for over %d s", m->id,
                       GONE_WAIT_S);
        status = IPMPI_EXIT_SCHEDULER;
    } else if (status == 0) {
        ipmpi_log_info("MARATHON-GONE",
                       "application %s and its containers "
                       "are gone",
                       m->id);
    }
    ipmpi_marathon_clear(&answer);
    return status;
}

int ipmpi_deploy_change(struct ipmpi_launch *m, const char *method,
                        const char *rest, const char *forced_rest, json_t *body)
{
    const int64_t end_us =
        ipmpi_clock_now_us() + (int64_t)LOCK_WAIT_S * IPMPI_SECOND_US;
    struct ipmpi_marathon_answer answer;
    char path[1024];
    int err, result = 0;

    for (;;) {
        const bool late = ipmpi_clock_now_us() >= end_us;

        app_path(m, late ? forced_rest : rest, path, sizeof(path));
        err = ipmpi_marathon_call(m->http, method, path, body, &answer);
        if (err == 0 || late || ipmpi_marathon_lock(&answer) == NULL)
            break;
        ipmpi_log_info("MARATHON-LOCK", "waiting for deployment %s",
                       ipmpi_marathon_lock(&answer));
        ipmpi_marathon_clear(&answer);
        usleep(1000 * 1000);
    }
    if (err != 0)
        result = report(m->id, &answer);
    ipmpi_marathon_clear(&answer);
    return result;
}

json_t *ipmpi_deploy_read(struct ipmpi_launch *m, struct ipmpi_place *places,
                          size_t *nplaces)
{
    struct ipmpi_marathon_answer answer;
    char path[IPMPI_APP_ID_CAP + 32];
    json_t *app = NULL;

    app_path(m, "", path, sizeof(path));
    if (ipmpi_marathon_call(m->http, "GET", path, NULL, &answer) == 0)
        app = json_incref(json_object_get(answer.body, "app"));
    else
        report(m->id, &answer);
    ipmpi_marathon_clear(&answer);
    *nplaces = ipmpi_app_places(
        json_object_get(app, "tasks"),
        json_is_true(json_object_get(m->state, "container_network")), places,
        IPMPI_NODES_MAX);
    return app;
}

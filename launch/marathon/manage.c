/* `ipmpi marathon stop`, `status` and `scale`: what is done with a job that
 * another process started. */
#include <stdio.h>

#include "launch/channel/protocol.h"
#include "launch/marathon/actions.h"
#include "launch/marathon/deploy.h"
#include "launch/rendezvous/files.h"
#include "launch/rendezvous/visit.h"
#include "launch/verb.h"
#include "runtime/base/log.h"

enum { VISIT_S = 5 };

static void forget_offers(json_t **offers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_decref(offers[i]);
}

int ipmpi_marathon_stop(struct ipmpi_launch *m)
{
    static struct ipmpi_place places[IPMPI_NODES_MAX];
    static json_t *offers[IPMPI_NODES_MAX];
    size_t n = 0;
    json_t *app = ipmpi_deploy_read(m, places, &n);
    int status;

    /* The job first, so that engines can flush; then what it ran in. */
    ipmpi_visit(&m->spec.job, places, n, true,
                (int64_t)(IPMPI_KILL_GRACE_S + VISIT_S) * IPMPI_SECOND_US,
                offers);
    forget_offers(offers, n);
    json_decref(app);
    status = ipmpi_deploy_delete(m);
    if (status == 0) {
        ipmpi_files_forget(m->spec.job.name);
        ipmpi_files_forget_connection(m->spec.profile_dir, m->spec.cluster_id);
    }
    return status;
}

static const char *does_what(json_t *offer)
{
    if (offer == NULL)
        return "no answer";
    if (json_is_true(json_object_get(offer, "leads")))
        return "leader";
    return json_is_true(json_object_get(offer, "running")) ? "engines"
                                                           : "spare";
}

int ipmpi_marathon_status(struct ipmpi_launch *m)
{
    static struct ipmpi_place places[IPMPI_NODES_MAX];
    static json_t *offers[IPMPI_NODES_MAX];
    struct ipmpi_marathon_answer queue;
    char text[1024];
    size_t n = 0;
    json_t *app = ipmpi_deploy_read(m, places, &n);

    if (app == NULL)
        return IPMPI_EXIT_SCHEDULER;
    ipmpi_marathon_call(m->http, "GET", "/v2/queue", NULL, &queue);
    ipmpi_app_explain(m->id, app, queue.body, text, sizeof(text));
    printf("%s: %s\n", m->id, text);
    ipmpi_visit(&m->spec.job, places, n, false,
                (int64_t)VISIT_S * IPMPI_SECOND_US, offers);
    for (size_t i = 0; i < n; i++)
        printf("  %-24s %5u  %-9s generation %lld  %s\n", places[i].host,
               places[i].port, does_what(offers[i]),
               (long long)json_integer_value(
                   json_object_get(offers[i], "generation")),
               places[i].id);
    ipmpi_marathon_clear(&queue);
    forget_offers(offers, n);
    json_decref(app);
    return IPMPI_EXIT_OK;
}

static int scale_up(struct ipmpi_launch *m, unsigned nodes)
{
    json_t *body = json_pack("{s:i}", "instances", (int)nodes);
    const int result = ipmpi_deploy_change(m, "PUT", "", "?force=true", body);

    json_decref(body);
    if (result == 0)
        printf("%s: %u nodes; new ones are spares, for nodes that are lost\n",
               m->id, nodes);
    return result;
}

/* Marathon would choose any; we choose nodes where nothing of the job runs. */
static int scale_down(struct ipmpi_launch *m, struct ipmpi_place *places,
                      size_t n, unsigned surplus)
{
    static json_t *offers[IPMPI_NODES_MAX];
    int result = 0;
    size_t spares = 0;

    ipmpi_visit(&m->spec.job, places, n, false,
                (int64_t)VISIT_S * IPMPI_SECOND_US, offers);
    for (size_t i = 0; i < n; i++)
        spares += !json_is_true(json_object_get(offers[i], "running"));
    if (spares < surplus && !m->force) {
        ipmpi_log_error("MARATHON-SCALE",
                        "%zu nodes are spare, %u would have to go; --force "
                        "ends engines",
                        spares, surplus);
        result = IPMPI_EXIT_FAILED;
    }
    for (int pass = 0; pass < 2 && result == 0; pass++)
        for (size_t i = 0; i < n && surplus > 0 && result == 0; i++) {
            const bool busy =
                json_is_true(json_object_get(offers[i], "running"));
            char rest[600], forced[640];

            if (busy != (pass == 1) ||
                json_is_true(json_object_get(offers[i], "leads")))
                continue;
            snprintf(rest, sizeof(rest), "/tasks/%.500s?scale=true",
                     places[i].id);
            snprintf(forced, sizeof(forced), "%.600s&force=true", rest);
            result = ipmpi_deploy_change(m, "DELETE", rest, forced, NULL);
            surplus--;
        }
    forget_offers(offers, n);
    return result;
}

int ipmpi_marathon_scale(struct ipmpi_launch *m)
{
    static struct ipmpi_place places[IPMPI_NODES_MAX];
    size_t n = 0;
    json_t *app = ipmpi_deploy_read(m, places, &n);
    const json_int_t now =
        json_integer_value(json_object_get(app, "instances"));
    int result = IPMPI_EXIT_OK;

    if (app == NULL)
        return IPMPI_EXIT_SCHEDULER;
    if (m->spec.max == 0) {
        ipmpi_log_error("MARATHON-SCALE", "--nodes tells how many");
        result = IPMPI_EXIT_USAGE;
    } else if (m->spec.max > now) {
        result = scale_up(m, m->spec.max);
    } else if (m->spec.max < now) {
        result = scale_down(m, places, n, (unsigned)(now - m->spec.max));
    }
    json_decref(app);
    return result;
}

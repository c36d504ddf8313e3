/* Orders for more engines.
 *
 *   WAITING   another order is STARTING
 *   STARTING  the processes are on their way to MPI
 *   JOINING   they are welcomed; the order is done when all are ready
 *
 * Note [late]. What MPI has begun cannot be called off. An order that is given
 * up is answered and forgotten; should its engines come after all, they are
 * engines like others. */
#include "bridge/requests/spawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/requests/requests.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

#define START_US ((int64_t)120 * 1000 * 1000)

enum state { WAITING, STARTING, JOINING };

struct order {
    enum state state;
    struct ipmpi_request *request; /* a share; NULL: nobody waits */
    json_t *environment, *args;    /* references, or NULL */
    char *host;                    /* or NULL */
    int n, first;
    json_t *ids; /* from JOINING on */
    int64_t deadline_us;
    struct order *prev, *next;
};

struct ipmpi_spawn {
    ipmpi_spawn_start_fn *start;
    void *ctx;
    struct order *orders; /* oldest first */
};

int ipmpi_spawn_create(ipmpi_spawn_start_fn *start, void *ctx,
                       struct ipmpi_spawn **spawn_out)
{
    struct ipmpi_spawn *spawn = calloc(1, sizeof(*spawn));

    if (spawn == NULL)
        return IPMPI_ENOMEM;
    spawn->start = start;
    spawn->ctx = ctx;
    *spawn_out = spawn;
    return 0;
}

static void drop(struct ipmpi_spawn *spawn, struct order *order)
{
    DL_DELETE(spawn->orders, order);
    ipmpi_request_release(&order->request);
    json_decref(order->environment);
    json_decref(order->args);
    free(order->host);
    json_decref(order->ids);
    free(order);
}

void ipmpi_spawn_destroy(struct ipmpi_spawn **spawn)
{
    if (*spawn == NULL)
        return;
    while ((*spawn)->orders != NULL)
        drop(*spawn, (*spawn)->orders);
    free(*spawn);
    *spawn = NULL;
}

static void refuse(struct ipmpi_hub *hub, const struct ipmpi_request *request,
                   const char *why)
{
    ipmpi_hub_reply_error(hub, IPMPI_DOOR_QUERY, request, "ipmpi_spawn_reply",
                          "RuntimeError", why);
}

static void give_up(struct ipmpi_hub *hub, struct order *order, const char *why)
{
    ipmpi_log_error("HUB-SPAWN", "%d more engines: %s", order->n, why);
    if (order->request != NULL)
        refuse(hub, order->request, why);
    drop(hub->spawn, order);
}

static void complete(struct ipmpi_hub *hub, struct order *order)
{
    json_t *content = json_pack("{s:s, s:O, s:i}", "status", "ok", "engine_ids",
                                order->ids, "first_rank", order->first);

    ipmpi_log_info("HUB-SPAWN", "%d more engines are ready", order->n);
    if (order->request != NULL)
        ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, order->request,
                        "ipmpi_spawn_reply", NULL, content, NULL);
    json_decref(content);
    drop(hub->spawn, order);
}

/* --- the course of an order ------------------------------------------ */

static const char no_growth[] =
    "srun started this job, and adds no processes to it: ask for all engines "
    "when it is submitted, or submit it with --mpirun";

static void start(struct ipmpi_hub *hub, struct order *order)
{
    struct ipmpi_spawn *spawn = hub->spawn;
    const struct ipmpi_spawn_plan plan = {order->n, order->environment,
                                          order->args, order->host};
    int err = spawn->start(spawn->ctx, &plan, &order->first);

    if (err != 0) {
        give_up(hub, order,
                err == IPMPI_ESTATE ? no_growth : ipmpi_strerror(err));
        return;
    }
    order->state = STARTING;
    order->deadline_us = hub->out.now_us(hub->out.ctx) + START_US;
}

void ipmpi_spawn_started(struct ipmpi_hub *hub, int first, const char *why)
{
    struct order *order;

    DL_FOREACH (hub->spawn->orders, order) {
        if (order->state == STARTING && order->first == first)
            break;
    }
    if (order == NULL)
        return; /* see note [late] */
    if (why != NULL) {
        give_up(hub, order, why);
        return;
    }
    order->state = JOINING;
    order->ids = json_array();
    for (int i = 0; i < order->n; i++) {
        const struct ipmpi_engine *engine =
            ipmpi_registry_by_rank(&hub->registry, first + i);

        if (engine != NULL)
            json_array_append_new(order->ids, json_integer(engine->id));
    }
}

void ipmpi_spawn_lost(struct ipmpi_hub *hub, int rank, const char *why)
{
    struct order *order, *next;
    char text[256];

    DL_FOREACH_SAFE (hub->spawn->orders, order, next) {
        if (order->state != WAITING && rank >= order->first &&
            rank < order->first + order->n) {
            snprintf(text, sizeof(text),
                     "an engine %s before it was ready; the cluster's log may "
                     "tell more",
                     why);
            give_up(hub, order, text);
        }
    }
}

/* How many of the order's engines are ready; -1: some have left. */
static int count_ready(const struct ipmpi_hub *hub, const struct order *order)
{
    int ready = 0;

    for (int i = 0; i < order->n; i++) {
        const struct ipmpi_engine *engine =
            ipmpi_registry_by_rank(&hub->registry, order->first + i);

        if (engine == NULL)
            return -1;
        ready += engine->state != IPMPI_ENGINE_JOINING;
    }
    return ready;
}

static void look_at(struct ipmpi_hub *hub, struct order *order, int64_t now_us)
{
    const int ready = order->state == JOINING ? count_ready(hub, order) : 0;

    if (order->state == JOINING && ready == order->n)
        complete(hub, order);
    else if (ready < 0)
        give_up(hub, order, "an engine left before all were ready");
    else if (order->state != WAITING && now_us >= order->deadline_us)
        give_up(hub, order, "they were not ready within 120 s");
}

void ipmpi_spawn_turn(struct ipmpi_hub *hub)
{
    struct ipmpi_spawn *spawn = hub->spawn;
    struct order *order, *next;

    if (spawn->orders == NULL)
        return;
    DL_FOREACH_SAFE (spawn->orders, order, next)
        look_at(hub, order, hub->out.now_us(hub->out.ctx));
    DL_FOREACH_SAFE (spawn->orders, order, next) {
        if (order->state == STARTING)
            return;
        if (order->state == WAITING) {
            start(hub, order);
            return;
        }
    }
}

int64_t ipmpi_spawn_deadline_us(const struct ipmpi_spawn *spawn)
{
    int64_t next = INT64_MAX;
    const struct order *order;

    DL_FOREACH (spawn->orders, order) {
        if (order->state != WAITING && order->deadline_us < next)
            next = order->deadline_us;
    }
    return next;
}

/* --- orders ---------------------------------------------------------- */

static int add(struct ipmpi_hub *hub, const struct ipmpi_spawn_plan *plan,
               struct ipmpi_request *request)
{
    struct order *order = calloc(1, sizeof(*order));

    if (order == NULL)
        return IPMPI_ENOMEM;
    order->n = plan->n;
    if (plan->host != NULL && (order->host = strdup(plan->host)) == NULL) {
        free(order);
        return IPMPI_ENOMEM;
    }
    order->environment = json_incref((json_t *)plan->environment);
    order->args = json_incref((json_t *)plan->args);
    if (request != NULL)
        order->request = ipmpi_request_share(request);
    DL_APPEND(hub->spawn->orders, order);
    ipmpi_spawn_turn(hub);
    return 0;
}

int ipmpi_spawn_order(struct ipmpi_hub *hub, int n)
{
    const struct ipmpi_spawn_plan plan = {.n = n};

    return add(hub, &plan, NULL);
}

/* Names as programs can use them: a letter or _, then these and digits. */
static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    const size_t first = strspn(name, letters);

    return first > 0 && name[first + strcspn(name + first, "=- \t\n")] == '\0';
}

static bool is_environment(json_t *environment)
{
    const char *name;
    json_t *value;

    if (environment == NULL || json_is_null(environment))
        return true;
    if (!json_is_object(environment))
        return false;
    json_object_foreach(environment, name, value)
    {
        if (!is_name(name) || !json_is_string(value) ||
            strlen(json_string_value(value)) != json_string_length(value))
            return false;
    }
    return true;
}

/* "n7:2", as MPI_Comm_spawn's add-host takes it. */
static bool is_host(const char *host)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
    const size_t len = host != NULL ? strspn(host, name) : 0;

    return len > 0 && host[len] == ':' && host[len + 1] != '\0' &&
           strspn(host + len + 1, "0123456789") == strlen(host + len + 1);
}

static bool is_args(json_t *args)
{
    json_t *value;
    size_t i;

    if (args == NULL)
        return true;
    json_array_foreach(args, i, value)
    {
        if (!json_is_string(value) || json_string_value(value)[0] != '-' ||
            strlen(json_string_value(value)) != json_string_length(value))
            return false;
    }
    return json_is_array(args);
}

void ipmpi_request_spawn(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    json_t *content = ipmpi_request_content(request);
    json_t *environment = json_object_get(content, "environment");
    json_t *args = json_object_get(content, "args");
    const json_t *number = json_object_get(content, "n");
    const json_t *place = json_object_get(content, "host");
    const json_int_t n = json_integer_value(number);
    const struct ipmpi_spawn_plan plan = {
        .n = (int)n,
        .environment = json_is_object(environment) ? environment : NULL,
        .args = args,
        .host = json_string_value(place),
    };

    if (!json_is_integer(number) || n < 1 || n > IPMPI_SPAWN_MAX)
        refuse(hub, request, "n must be a number from 1 to 4096");
    else if (!is_environment(environment))
        refuse(hub, request,
               "environment must be null, or an object of names and strings");
    else if (!is_args(args))
        refuse(hub, request, "args must be a list of options, as \"--a=b\"");
    else if (place != NULL && !is_host(plan.host))
        refuse(hub, request, "host must be a name, a colon and a number");
    else if (add(hub, &plan, request) != 0)
        refuse(hub, request, ipmpi_strerror(IPMPI_ENOMEM));
}

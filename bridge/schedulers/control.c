/* Control requests. */
#include "bridge/schedulers/control.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bridge/schedulers/abort.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

static void tell(struct ipmpi_hub *hub, const struct ipmpi_engine *engine,
                 enum ipmpi_msg_type type, int detail)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = (uint16_t)type,
        .detail = detail,
    };

    ipmpi_hub_tell_engine(hub, engine, &head, NULL);
}

static void reply_ok(struct ipmpi_hub *hub, const struct ipmpi_request *request,
                     const char *msg_type, json_t *content)
{
    json_object_set_new(content, "status", json_string("ok"));
    ipmpi_hub_reply(hub, IPMPI_DOOR_CONTROL, request, msg_type, NULL, content,
                    NULL);
    json_decref(content);
}

/* A number, or a name such as SIGINT; -1 if it is neither. 0 is legal and
 * does nothing. */
static int signal_of(const json_t *sig)
{
    const char *name = json_string_value(sig);

    if (json_is_integer(sig) && json_integer_value(sig) >= 0 &&
        json_integer_value(sig) < NSIG)
        return (int)json_integer_value(sig);
    if (name == NULL || strncmp(name, "SIG", 3) != 0)
        return -1;
    for (int i = 1; i < NSIG; i++) {
        const char *abbreviation = sigabbrev_np(i);

        if (abbreviation != NULL && strcmp(abbreviation, name + 3) == 0)
            return i;
    }
    return -1;
}

static void on_signal(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                      struct ipmpi_request *request)
{
    const json_t *sig = json_object_get(ipmpi_request_content(request), "sig");
    const int number = signal_of(sig);
    char text[128];

    if (number < 0) {
        snprintf(text, sizeof(text), "module 'signal' has no attribute '%.64s'",
                 json_is_string(sig) ? json_string_value(sig) : "?");
        ipmpi_hub_reply_error(hub, IPMPI_DOOR_CONTROL, request, "signal_reply",
                              "AttributeError", text);
        return;
    }
    if (number > 0)
        tell(hub, engine, IPMPI_MSG_SIGNAL, number);
    reply_ok(hub, request, "signal_reply", json_object());
}

static void on_interrupt(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                         struct ipmpi_request *request)
{
    tell(hub, engine, IPMPI_MSG_SIGNAL, SIGINT);
    reply_ok(hub, request, "interrupt_reply", json_object());
}

static void on_abort(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                     struct ipmpi_request *request)
{
    const json_t *ids =
        json_object_get(ipmpi_request_content(request), "msg_ids");
    const json_t *id;
    size_t i;

    if (json_array_size(ids) == 0)
        ipmpi_abort_executes(hub, engine);
    json_array_foreach(ids, i, id)
    {
        if (json_is_string(id))
            ipmpi_abort(hub, engine, json_string_value(id));
    }
    reply_ok(hub, request, "abort_reply", json_object());
}

void ipmpi_control_shut_down(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    if (engine->state == IPMPI_ENGINE_LIVE)
        engine->state = IPMPI_ENGINE_LEAVING;
    ipmpi_balanced_engine_leaves(hub, engine);
    tell(hub, engine, IPMPI_MSG_SHUTDOWN, 0);
}

static void on_shutdown(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                        struct ipmpi_request *request)
{
    ipmpi_control_shut_down(hub, engine);
    reply_ok(hub, request, "shutdown_reply",
             json_pack("{s:b}", "restart", false));
}

/* --- what the engine answers ---------------------------------------- */

static void relay(struct ipmpi_hub *hub, struct ipmpi_job *job,
                  struct ipmpi_engine *engine, struct ipmpi_reply *reply)
{
    if (reply->parts.n > 0)
        ipmpi_hub_relay(hub, IPMPI_DOOR_CONTROL, job->request, engine,
                        &reply->parts);
    ipmpi_job_destroy(&hub->ledger, &job);
}

static void lose(struct ipmpi_hub *hub, struct ipmpi_job *job,
                 struct ipmpi_engine *engine, enum ipmpi_progress progress)
{
    char text[256];

    (void)progress;
    snprintf(text, sizeof(text), "Engine %d %s", engine->id, engine->end);
    ipmpi_dispatch_decide(hub, job, engine, "EngineError", text);
}

static const struct ipmpi_job_owner control = {
    .name = NULL,
    .door = IPMPI_DOOR_CONTROL,
    .decided = relay,
    .lost = lose,
};

static void forward(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                    struct ipmpi_request *request)
{
    struct ipmpi_job *job;
    int err =
        ipmpi_job_create(&hub->ledger, &control, request, NULL, NULL, &job);

    if (err != 0)
        ipmpi_log_warn("CONTROL-REFUSED", "request %s: %s; dropped",
                       request->msg_id, ipmpi_strerror(err));
    else
        ipmpi_dispatch(hub, engine, job);
}

static void refuse(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    const struct ipmpi_frame *ident = &request->ident;
    char text[128];

    snprintf(text, sizeof(text), "No engine %.*s: it has left, or never was",
             (int)(ident->len < 64 ? ident->len : 64),
             (const char *)ident->data);
    ipmpi_hub_reply_error(hub, IPMPI_DOOR_CONTROL, request, "control_reply",
                          "EngineError", text);
}

void ipmpi_control_submit(struct ipmpi_hub *hub, struct ipmpi_request *request)
{
    static const struct {
        const char *msg_type;
        void (*handle)(struct ipmpi_hub *, struct ipmpi_engine *,
                       struct ipmpi_request *);
    } handlers[] = {
        {"signal_request", on_signal},
        {"interrupt_request", on_interrupt},
        {"abort_request", on_abort},
        {"shutdown_request", on_shutdown},
    };
    struct ipmpi_engine *engine = ipmpi_registry_by_uuid(
        &hub->registry, request->ident.data, request->ident.len);

    if (engine == NULL) {
        refuse(hub, request);
        return;
    }
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (strcmp(request->msg_type, handlers[i].msg_type) == 0) {
            handlers[i].handle(hub, engine, request);
            return;
        }
    }
    forward(hub, engine, request);
}

/* How the controller speaks to clients and engines. */
#include "bridge/hub/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/message/date.h"

static void say_no_memory(const char *what)
{
    ipmpi_log_error("HUB-MEMORY", "out of memory; %s is lost", what);
}

/* Dumps a lent object; NULL stands for {}. */
static int add_json(struct ipmpi_frames *out, json_t *value)
{
    struct ipmpi_frame frame;
    int err;

    if (value == NULL)
        return ipmpi_frames_add_static(out, "{}", 2);
    err = ipmpi_json_dump(value, &frame);
    if (err != 0)
        return err;
    err = ipmpi_frames_add_frame(out, &frame);
    ipmpi_buffer_release(&frame.owner);
    return err;
}

/* Appends delimiter, signature and the four signed frames. */
static int add_message(struct ipmpi_hub *hub, const char *msg_type,
                       const struct ipmpi_frame *parent,
                       const struct ipmpi_frame *metadata,
                       const struct ipmpi_frame *content,
                       struct ipmpi_frames *out)
{
    int err = ipmpi_frames_add_static(out, IPMPI_DELIM, IPMPI_DELIM_LEN);

    if (err == 0)
        err = ipmpi_compose(hub->composer, msg_type,
                            hub->out.wall_us(hub->out.ctx), parent, metadata,
                            content, out);
    return err;
}

static void send_reply(struct ipmpi_hub *hub, enum ipmpi_door door,
                       const struct ipmpi_request *request,
                       const char *msg_type, const struct ipmpi_frame *metadata,
                       const struct ipmpi_frame *content,
                       struct ipmpi_frames *buffers)
{
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_frame(&out, &request->routing);

    if (err == 0)
        err = add_message(hub, msg_type, &request->parts.at[IPMPI_PART_HEADER],
                          metadata, content, &out);
    if (err == 0 && buffers != NULL)
        err = ipmpi_frames_add_from(&out, buffers, 0, buffers->n);
    if (buffers != NULL)
        ipmpi_frames_clear(buffers);
    if (err != 0) {
        say_no_memory("a reply");
        ipmpi_frames_clear(&out);
        return;
    }
    hub->out.to_client(hub->out.ctx, door, &out);
}

void ipmpi_hub_reply_frame(struct ipmpi_hub *hub, enum ipmpi_door door,
                           const struct ipmpi_request *request,
                           const char *msg_type,
                           const struct ipmpi_frame *content,
                           struct ipmpi_frames *buffers)
{
    send_reply(hub, door, request, msg_type, NULL, content, buffers);
}

void ipmpi_hub_reply(struct ipmpi_hub *hub, enum ipmpi_door door,
                     const struct ipmpi_request *request, const char *msg_type,
                     json_t *metadata, json_t *content,
                     struct ipmpi_frames *buffers)
{
    struct ipmpi_frames json = {0};

    if (add_json(&json, metadata) == 0 && add_json(&json, content) == 0) {
        send_reply(hub, door, request, msg_type, &json.at[0], &json.at[1],
                   buffers);
    } else {
        say_no_memory("a reply");
        if (buffers != NULL)
            ipmpi_frames_clear(buffers);
    }
    ipmpi_frames_clear(&json);
}

void ipmpi_hub_reply_error(struct ipmpi_hub *hub, enum ipmpi_door door,
                           const struct ipmpi_request *request,
                           const char *msg_type, const char *ename,
                           const char *evalue)
{
    json_t *content = ipmpi_json_error(ename, evalue);

    ipmpi_hub_reply(hub, door, request, msg_type, NULL, content, NULL);
    json_decref(content);
}

void ipmpi_hub_relay(struct ipmpi_hub *hub, enum ipmpi_door door,
                     const struct ipmpi_request *request,
                     const struct ipmpi_engine *engine,
                     struct ipmpi_frames *parts)
{
    const size_t more = engine != NULL ? 3 : 2;

    if (ipmpi_frames_replace_first(parts, 0, more) != 0) {
        say_no_memory("an engine's reply");
        ipmpi_frames_clear(parts);
        return;
    }
    ipmpi_frame_share(&parts->at[0], &request->routing);
    if (engine != NULL)
        ipmpi_frame_share(&parts->at[1], &engine->name);
    parts->at[more - 1] = (struct ipmpi_frame){(const uint8_t *)IPMPI_DELIM,
                                               IPMPI_DELIM_LEN, NULL};
    hub->out.to_client(hub->out.ctx, door, parts);
}

void ipmpi_hub_notify(struct ipmpi_hub *hub, const char *msg_type,
                      const struct ipmpi_frame *parent, json_t *content)
{
    struct ipmpi_frames out = {0}, json = {0};
    int err = add_json(&json, content);

    if (err == 0)
        err = add_message(hub, msg_type, parent, NULL, &json.at[0], &out);
    ipmpi_frames_clear(&json);
    if (err != 0) {
        say_no_memory("a notification");
        ipmpi_frames_clear(&out);
        return;
    }
    hub->out.to_client(hub->out.ctx, IPMPI_DOOR_NOTIFICATION, &out);
}

static void notify_engine(struct ipmpi_hub *hub, const char *msg_type, int id,
                          const char *uuid)
{
    json_t *content = json_pack("{s:i, s:s}", "id", id, "uuid", uuid);

    ipmpi_hub_notify(hub, msg_type, NULL, content);
    json_decref(content);
}

void ipmpi_hub_notify_registration(struct ipmpi_hub *hub,
                                   const struct ipmpi_engine *engine)
{
    notify_engine(hub, "registration_notification", engine->id, engine->uuid);
}

void ipmpi_hub_notify_unregistration(struct ipmpi_hub *hub, int id,
                                     const char *uuid)
{
    notify_engine(hub, "unregistration_notification", id, uuid);
}

void ipmpi_hub_tell_idle(struct ipmpi_hub *hub,
                         const struct ipmpi_frame *parent)
{
    static const char topic[] = "controller.status";
    static const char idle[] = "{\"execution_state\":\"idle\"}";
    const struct ipmpi_frame metadata = {(const uint8_t *)"{}", 2, NULL};
    const struct ipmpi_frame content = {(const uint8_t *)idle, sizeof(idle) - 1,
                                        NULL};
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_static(&out, topic, sizeof(topic) - 1);

    if (err == 0)
        err = ipmpi_frames_add_static(&out, IPMPI_DELIM, IPMPI_DELIM_LEN);
    if (err == 0)
        err = ipmpi_compose(hub->composer, "status",
                            hub->out.wall_us(hub->out.ctx), parent, &metadata,
                            &content, &out);
    if (err == 0)
        hub->out.to_client(hub->out.ctx, IPMPI_DOOR_IOPUB, &out);
    ipmpi_frames_clear(&out);
}

void ipmpi_hub_tell_engine(struct ipmpi_hub *hub,
                           const struct ipmpi_engine *engine,
                           const struct ipmpi_msg_head *head,
                           struct ipmpi_frames *more)
{
    struct ipmpi_frames none = {0};
    struct ipmpi_frames *out = more != NULL ? more : &none;
    struct ipmpi_buffer *copy = NULL;
    int err = ipmpi_buffer_alloc(sizeof(*head), &copy);

    if (err == 0)
        err = ipmpi_frames_replace_first(out, 0, 1);
    if (err != 0) {
        say_no_memory("a message to an engine");
        ipmpi_buffer_release(&copy);
        ipmpi_frames_clear(out);
        return;
    }
    memcpy(ipmpi_buffer_data(copy), head, sizeof(*head));
    out->at[0] =
        (struct ipmpi_frame){ipmpi_buffer_data(copy), sizeof(*head), copy};
    hub->out.to_rank(hub->out.ctx, engine->rank, out);
}

/* What of the request's metadata comes back in the reply's. */
static json_t *echo_of(const struct ipmpi_request *request)
{
    json_t *metadata = request->metadata;
    json_t *label = json_object_get(metadata, "label");
    const bool broadcast =
        json_is_true(json_object_get(metadata, "is_broadcast"));
    const bool coalescing =
        json_is_true(json_object_get(metadata, "is_coalescing"));
    /* A share's job has an id of its own, the request the original one. */
    const char *original = broadcast ? request->msg_id : "";

    return json_pack("{s:O?, s:b, s:b, s:s}", "label", label, "is_broadcast",
                     broadcast, "is_coalescing", coalescing, "original_msg_id",
                     original);
}

int ipmpi_hub_add_echo(const struct ipmpi_request *request,
                       struct ipmpi_frames *out)
{
    static const char plain[] =
        "\"label\":null,\"is_broadcast\":false,\"is_coalescing\":false,"
        "\"original_msg_id\":\"\"";
    json_t *metadata = request->metadata;
    json_t *label = json_object_get(metadata, "label");
    json_t *echo;
    char *text;
    int err;

    /* Clients before 9.1 send no label, later ones null where there is none. */
    if (json_object_get(metadata, "is_broadcast") == NULL &&
        (label == NULL || json_is_null(label)))
        return ipmpi_frames_add_static(out, plain, sizeof(plain) - 1);
    echo = echo_of(request);
    text = echo != NULL ? json_dumps(echo, JSON_COMPACT) : NULL;
    json_decref(echo);
    if (text == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_frames_add_copy(out, text + 1, strlen(text) - 2);
    free(text);
    return err;
}

/* "apply_request" -> "apply_reply" */
static void reply_type(const char *msg_type, char *out, size_t cap)
{
    const char *end = strstr(msg_type, "_request");
    const int len =
        (int)(end != NULL ? (size_t)(end - msg_type) : strlen(msg_type));

    snprintf(out, cap, "%.*s_reply", len, msg_type);
}

static json_t *made_metadata(const struct ipmpi_job *job,
                             const struct ipmpi_engine *engine,
                             const char *status, int64_t now_us)
{
    json_t *metadata = echo_of(job->request);
    char date[IPMPI_DATE_LEN + 1];

    ipmpi_date_format(now_us, date);
    json_object_set_new(metadata, "status", json_string(status));
    json_object_set_new(metadata, "started", json_string(date));
    json_object_set_new(metadata, "dependencies_met", json_true());
    if (engine != NULL)
        json_object_set_new(metadata, "engine", json_string(engine->uuid));
    return metadata;
}

int ipmpi_hub_make_reply(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                         const struct ipmpi_engine *engine, const char *ename,
                         const char *evalue, struct ipmpi_reply *reply_out)
{
    const int64_t now_us = hub->out.wall_us(hub->out.ctx);
    const char *status = ename != NULL ? "error" : "aborted";
    struct ipmpi_frames json = {0};
    json_t *metadata = made_metadata(job, engine, status, now_us);
    json_t *content = ename != NULL ? ipmpi_json_error(ename, evalue)
                                    : json_pack("{s:s}", "status", status);
    char type[64];
    int err;

    reply_type(job->request->msg_type, type, sizeof(type));
    *reply_out = (struct ipmpi_reply){
        .status = ename != NULL ? IPMPI_STATUS_ERROR : IPMPI_STATUS_ABORTED,
        .started_us = now_us,
        .completed_us = now_us,
    };
    err = add_json(&json, metadata);
    if (err == 0)
        err = add_json(&json, content);
    if (err == 0)
        err = ipmpi_compose(hub->composer, type, now_us, &job->header,
                            &json.at[0], &json.at[1], &reply_out->parts);
    ipmpi_frames_clear(&json);
    json_decref(metadata);
    json_decref(content);
    return err;
}

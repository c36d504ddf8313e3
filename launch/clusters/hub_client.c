/* A DEALER on the controller's registration port. What is not signed with the
 * cluster's key, or answers another question, is passed over.
 *
 * Invariant: one question at a time; an answer that comes too late is not
 * taken for the next one's, since its parent is another. */
#include "launch/clusters/hub_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/frames.h"
#include "runtime/message/compose.h"
#include "runtime/message/sign.h"

enum { PARTS_MOST = 64, PART_BYTES_MOST = 64 << 20 };

struct ipmpi_hub_client {
    void *ctx, *query, *control;
    struct ipmpi_key *key;
    struct ipmpi_composer *composer;
    json_t *info; /* our copy */
};

/* tcp://ADDRESS:PORT of a channel; the controller's own machine when it
 * listens on all of its addresses. */
static int url_of(const json_t *info, const char *channel, char *url_out,
                  size_t cap)
{
    const char *interface =
        json_string_value(json_object_get(info, "interface"));
    const char *location = json_string_value(json_object_get(info, "location"));
    const json_int_t port = json_integer_value(json_object_get(info, channel));
    const char *address;
    char here[256] = "";

    if (interface == NULL || port <= 0 || port > 65535)
        return IPMPI_EJSON;
    address = strstr(interface, "://");
    if (address == NULL)
        return IPMPI_EJSON;
    address += 3;
    if (strcmp(address, "0.0.0.0") == 0 || strcmp(address, "*") == 0) {
        gethostname(here, sizeof(here) - 1);
        address = location == NULL || strcmp(location, here) == 0 ? "127.0.0.1"
                                                                  : location;
    }
    snprintf(url_out, cap, "%.*s%s:%d",
             (int)(strstr(interface, "://") + 3 - interface), interface,
             address, (int)port);
    return 0;
}

static int use_curve(void *socket, const json_t *info)
{
    const char *server =
        json_string_value(json_object_get(info, "curve_serverkey"));
    char public[41], secret[41];

    if (server == NULL || server[0] == '\0')
        return 0;
    if (zmq_curve_keypair(public, secret) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server, 41) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public, 41) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, 41) != 0)
        return IPMPI_EJSON;
    return 0;
}

static int connect_to(struct ipmpi_hub_client *client, const char *channel,
                      void **socket_out)
{
    const int linger_ms = 500;
    char url[512];
    int err = url_of(client->info, channel, url, sizeof(url));
    void *socket;

    if (err != 0)
        return err;
    socket = zmq_socket(client->ctx, ZMQ_DEALER);
    if (socket == NULL)
        return IPMPI_ESYS;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    err = use_curve(socket, client->info);
    if (err == 0 && zmq_connect(socket, url) != 0)
        err = IPMPI_EJSON;
    if (err != 0) {
        zmq_close(socket);
        return err;
    }
    *socket_out = socket;
    return 0;
}

static int open_session(struct ipmpi_hub_client *client)
{
    const char *key = json_string_value(json_object_get(client->info, "key"));
    const char *user = getenv("USER");
    char session[64];
    int err;

    if (key == NULL)
        return IPMPI_EJSON;
    err = ipmpi_key_create(key, strlen(key), &client->key);
    if (err != 0)
        return err;
    snprintf(session, sizeof(session), "ipmpi-cli-%d-%llx", (int)getpid(),
             (unsigned long long)ipmpi_clock_wall_us());
    return ipmpi_composer_create(
        client->key, session, user != NULL ? user : "ipmpi", &client->composer);
}

int ipmpi_hub_client_open(const json_t *info,
                          struct ipmpi_hub_client **client_out)
{
    struct ipmpi_hub_client *client = calloc(1, sizeof(*client));
    int err = IPMPI_ENOMEM;

    if (client == NULL)
        return err;
    client->info = json_deep_copy(info);
    if (client->info != NULL)
        err = open_session(client);
    if (err == 0) {
        client->ctx = zmq_ctx_new();
        err = client->ctx == NULL ? IPMPI_ESYS : 0;
    }
    if (err == 0)
        err = connect_to(client, "registration", &client->query);
    if (err != 0) {
        ipmpi_hub_client_close(&client);
        return err;
    }
    *client_out = client;
    return 0;
}

void ipmpi_hub_client_close(struct ipmpi_hub_client **client)
{
    struct ipmpi_hub_client *c = *client;

    if (c == NULL)
        return;
    if (c->query != NULL)
        zmq_close(c->query);
    if (c->control != NULL)
        zmq_close(c->control);
    if (c->ctx != NULL)
        zmq_ctx_term(c->ctx);
    ipmpi_composer_destroy(&c->composer);
    ipmpi_key_destroy(&c->key);
    json_decref(c->info);
    free(c);
    *client = NULL;
}

/* --- sending ------------------------------------------------------------ */

static int send_frames(void *socket, const struct ipmpi_frames *frames)
{
    for (size_t i = 0; i < frames->n; i++) {
        const int more = i + 1 < frames->n ? ZMQ_SNDMORE : 0;

        if (zmq_send(socket, frames->at[i].data, frames->at[i].len,
                     more | ZMQ_DONTWAIT) < 0)
            return IPMPI_EIO;
    }
    return 0;
}

/* Sends and gives back the header that was sent, as parsed JSON. */
static int send_request(struct ipmpi_hub_client *client, void *socket,
                        const char *uuid, const char *request, json_t *content,
                        json_t **header_out)
{
    char *text = content != NULL ? json_dumps(content, JSON_COMPACT) : NULL;
    struct ipmpi_frames frames = {0};
    const struct ipmpi_frame body = {.data = (const uint8_t *)text,
                                     .len = text != NULL ? strlen(text) : 0};
    size_t first;
    int err = content != NULL && text == NULL ? IPMPI_ENOMEM : 0;

    if (err == 0 && uuid != NULL)
        err = ipmpi_frames_add_copy(&frames, uuid, strlen(uuid));
    if (err == 0)
        err = ipmpi_frames_add_static(&frames, IPMPI_DELIM, IPMPI_DELIM_LEN);
    first = frames.n;
    if (err == 0)
        err = ipmpi_compose(client->composer, request, 0, NULL, NULL, &body,
                            &frames);
    if (err == 0 && header_out != NULL) {
        *header_out = json_loadb((const char *)frames.at[first + 1].data,
                                 frames.at[first + 1].len, 0, NULL);
        err = *header_out == NULL ? IPMPI_ENOMEM : 0;
    }
    if (err == 0)
        err = send_frames(socket, &frames);
    if (err != 0 && header_out != NULL) {
        json_decref(*header_out);
        *header_out = NULL;
    }
    ipmpi_frames_clear(&frames);
    free(text);
    return err;
}

/* --- receiving ---------------------------------------------------------- */

/* One whole message; parts past the last that fits are read and dropped. */
struct message {
    zmq_msg_t part[PARTS_MOST];
    size_t n;
};

static void message_clear(struct message *message)
{
    while (message->n > 0)
        zmq_msg_close(&message->part[--message->n]);
}

static int message_receive(void *socket, struct message *message)
{
    bool more = true;

    message->n = 0;
    while (more) {
        zmq_msg_t part;

        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            return IPMPI_EIO;
        }
        more = zmq_msg_more(&part) != 0;
        if (message->n < PARTS_MOST && zmq_msg_size(&part) < PART_BYTES_MOST &&
            zmq_msg_init(&message->part[message->n]) == 0)
            zmq_msg_move(&message->part[message->n++], &part);
        zmq_msg_close(&part);
    }
    return 0;
}

static struct ipmpi_frame frame_of(struct message *message, size_t i)
{
    return (struct ipmpi_frame){.data = zmq_msg_data(&message->part[i]),
                                .len = zmq_msg_size(&message->part[i])};
}

static size_t find_delimiter(struct message *message)
{
    for (size_t i = 0; i < message->n; i++) {
        const struct ipmpi_frame frame = frame_of(message, i);

        if (frame.len == IPMPI_DELIM_LEN &&
            memcmp(frame.data, IPMPI_DELIM, IPMPI_DELIM_LEN) == 0)
            return i;
    }
    return message->n;
}

/* The content, if this is signed and answers `header`; else NULL. */
static json_t *answer_in(const struct ipmpi_hub_client *client,
                         struct message *message, const json_t *header)
{
    const size_t at = find_delimiter(message);
    struct ipmpi_frame signature, parts[IPMPI_SIGNED];
    json_t *parent, *content = NULL;
    const char *asked, *answered;

    if (at + 2 + IPMPI_SIGNED > message->n)
        return NULL;
    signature = frame_of(message, at + 1);
    for (size_t i = 0; i < IPMPI_SIGNED; i++)
        parts[i] = frame_of(message, at + 2 + i);
    if (ipmpi_verify(client->key, &signature, parts) != 0)
        return NULL;
    parent = json_loadb((const char *)parts[1].data, parts[1].len, 0, NULL);
    asked = json_string_value(json_object_get(header, "msg_id"));
    answered = json_string_value(json_object_get(parent, "msg_id"));
    if (asked != NULL && answered != NULL && strcmp(asked, answered) == 0)
        content =
            json_loadb((const char *)parts[3].data, parts[3].len, 0, NULL);
    json_decref(parent);
    return content;
}

static int wait_for_answer(struct ipmpi_hub_client *client,
                           const json_t *header, int timeout_ms,
                           json_t **content_out)
{
    const int64_t end_us = ipmpi_clock_now_us() + (int64_t)timeout_ms * 1000;
    zmq_pollitem_t item = {.socket = client->query, .events = ZMQ_POLLIN};

    for (;;) {
        const int64_t left_us = end_us - ipmpi_clock_now_us();
        struct message message;
        json_t *content;

        if (left_us <= 0 || zmq_poll(&item, 1, (long)(left_us / 1000 + 1)) == 0)
            return IPMPI_ETIMEOUT;
        if (message_receive(client->query, &message) != 0)
            continue; /* a signal came first */
        content = answer_in(client, &message, header);
        message_clear(&message);
        if (content != NULL) {
            *content_out = content;
            return 0;
        }
    }
}

int ipmpi_hub_client_ask(struct ipmpi_hub_client *client, const char *request,
                         json_t *content, int timeout_ms, json_t **content_out)
{
    const char *status;
    json_t *header = NULL;
    int err =
        send_request(client, client->query, NULL, request, content, &header);

    if (err == 0)
        err = wait_for_answer(client, header, timeout_ms, content_out);
    json_decref(header);
    if (err != 0)
        return err;
    status = json_string_value(json_object_get(*content_out, "status"));
    return status != NULL && strcmp(status, "error") == 0 ? IPMPI_EINVAL : 0;
}

int ipmpi_hub_client_tell(struct ipmpi_hub_client *client, const char *uuid,
                          const char *request, json_t *content)
{
    int err = 0;

    if (client->control == NULL)
        err = connect_to(client, "control", &client->control);
    if (err == 0)
        err =
            send_request(client, client->control, uuid, request, content, NULL);
    return err;
}

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

#include "launch/clusters/hub_message.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/message/compose.h"
#include "runtime/message/sign.h"

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

static int wait_for_answer(struct ipmpi_hub_client *client,
                           const json_t *header, int timeout_ms,
                           json_t **content_out)
{
    const int64_t end_us = ipmpi_clock_now_us() + (int64_t)timeout_ms * 1000;
    zmq_pollitem_t item = {.socket = client->query, .events = ZMQ_POLLIN};

    for (;;) {
        const int64_t left_us = end_us - ipmpi_clock_now_us();
        json_t *content;

        if (left_us <= 0 || zmq_poll(&item, 1, (long)(left_us / 1000 + 1)) == 0)
            return IPMPI_ETIMEOUT;
        content = ipmpi_hub_message_answer(client->query, client->key, header);
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
    int err = ipmpi_hub_message_send(client->query, client->composer, NULL,
                                     request, content, &header);

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
        err = ipmpi_hub_message_send(client->control, client->composer, uuid,
                                     request, content, NULL);
    return err;
}

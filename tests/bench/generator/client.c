/* DEALER and SUB sockets, and one composer that numbers the tasks.
 *
 * Invariant: a task's msg_id is "<session>_<number>"; nothing else on the wire
 * holds the session followed by an underscore. */
#include "tests/bench/generator/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <zmq.h>

#include "launch/clusters/hub_client.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/message/compose.h"

enum { UUID_CAP = 64, PARTS_MOST = 16 };

struct bench_client {
    json_t *info;
    struct ipmpi_key *key;
    struct ipmpi_composer *composer;
    char session[64]; /* with the underscore */
    size_t session_len;
    void *ctx, *work, *output; /* output: NULL without IOPub */
    bool direct;
    char (*uuid)[UUID_CAP];
    size_t n_engines, next; /* whose turn it is */
};

/* What came, as views into the messages of ZMQ. */
struct arrival {
    zmq_msg_t msg[PARTS_MOST];
    struct ipmpi_frame part[PARTS_MOST];
    size_t n;
};

static int complain(const char *what, int err)
{
    fprintf(stderr, "bench_generator: %s: %s\n", what, ipmpi_strerror(err));
    return err;
}

/* --- opening ------------------------------------------------------------ */

static int open_session(struct bench_client *client)
{
    const char *key = json_string_value(json_object_get(client->info, "key"));
    int err, len;

    if (key == NULL)
        return IPMPI_EJSON;
    len = snprintf(client->session, sizeof(client->session), "bench-%d-%llx_",
                   (int)getpid(), (unsigned long long)ipmpi_clock_wall_us());
    client->session[len - 1] = '\0';
    err = ipmpi_key_create(key, strlen(key), &client->key);
    if (err == 0)
        err = ipmpi_composer_create(client->key, client->session, "bench",
                                    &client->composer);
    client->session[len - 1] = '_';
    client->session_len = (size_t)len;
    return err;
}

static int connect_to(struct bench_client *client, const char *channel,
                      int type, void **socket_out)
{
    const char *interface =
        json_string_value(json_object_get(client->info, "interface"));
    const int port =
        (int)json_integer_value(json_object_get(client->info, channel));
    const int none = 0;
    char url[256];

    if (interface == NULL || port <= 0)
        return IPMPI_EJSON;
    *socket_out = zmq_socket(client->ctx, type);
    if (*socket_out == NULL)
        return IPMPI_ESYS;
    snprintf(url, sizeof(url), "%s:%d", interface, port);
    zmq_setsockopt(*socket_out, ZMQ_LINGER, &none, sizeof(none));
    zmq_setsockopt(*socket_out, ZMQ_SNDHWM, &none, sizeof(none));
    zmq_setsockopt(*socket_out, ZMQ_RCVHWM, &none, sizeof(none));
    if (type == ZMQ_SUB)
        zmq_setsockopt(*socket_out, ZMQ_SUBSCRIBE, "", 0);
    return zmq_connect(*socket_out, url) == 0 ? 0 : IPMPI_EIO;
}

static int open_sockets(struct bench_client *client, bool iopub)
{
    int err;

    client->ctx = zmq_ctx_new();
    if (client->ctx == NULL)
        return IPMPI_ESYS;
    err = connect_to(client, client->direct ? "mux" : "task", ZMQ_DEALER,
                     &client->work);
    if (err == 0 && iopub)
        err = connect_to(client, "iopub", ZMQ_SUB, &client->output);
    return err;
}

static int note_engines(struct bench_client *client, const json_t *engines)
{
    const size_t n = json_object_size(engines);
    const char *id;
    json_t *uuid;

    client->uuid = calloc(n, sizeof(*client->uuid));
    if (client->uuid == NULL)
        return IPMPI_ENOMEM;
    json_object_foreach((json_t *)engines, id, uuid)
        snprintf(client->uuid[client->n_engines++], UUID_CAP, "%s",
                 json_is_string(uuid) ? json_string_value(uuid) : "");
    return 0;
}

/* Asks until there are enough engines. They are in the reply to a
 * connection_request. */
static int ask_for_engines(struct bench_client *client, size_t engines,
                           int timeout_ms)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    const int64_t end_us = ipmpi_clock_now_us() + (int64_t)timeout_ms * 1000;
    struct ipmpi_hub_client *hub;
    int err = ipmpi_hub_client_open(client->info, &hub);

    if (err != 0)
        return err;
    while (err == 0 && client->uuid == NULL) {
        json_t *content = NULL;

        err = ipmpi_hub_client_ask(hub, "connection_request", NULL, timeout_ms,
                                   &content);
        if (json_object_size(json_object_get(content, "engines")) >= engines)
            err = note_engines(client, json_object_get(content, "engines"));
        else if (err == 0 && ipmpi_clock_now_us() > end_us)
            err = IPMPI_ETIMEOUT;
        else
            nanosleep(&pause, NULL);
        json_decref(content);
    }
    ipmpi_hub_client_close(&hub);
    return err;
}

int bench_client_open(const struct bench_client_options *options,
                      struct bench_client **client_out)
{
    struct bench_client *client = calloc(1, sizeof(*client));
    int err;

    if (client == NULL)
        return complain("start", IPMPI_ENOMEM);
    client->direct = options->direct;
    client->info = json_load_file(options->connection_file, 0, NULL);
    err = client->info == NULL ? IPMPI_EJSON : open_session(client);
    if (err == 0)
        err = ask_for_engines(client, options->engines, options->timeout_ms);
    if (err == 0)
        err = open_sockets(client, options->iopub);
    if (err != 0) {
        bench_client_close(&client);
        return complain(options->connection_file, err);
    }
    *client_out = client;
    return 0;
}

void bench_client_close(struct bench_client **client)
{
    struct bench_client *c = *client;

    if (c->output != NULL)
        zmq_close(c->output);
    if (c->work != NULL)
        zmq_close(c->work);
    if (c->ctx != NULL)
        zmq_ctx_term(c->ctx);
    free(c->uuid);
    ipmpi_composer_destroy(&c->composer);
    ipmpi_key_destroy(&c->key);
    json_decref(c->info);
    free(c);
    *client = NULL;
}

size_t bench_client_engines(const struct bench_client *client)
{
    return client->n_engines;
}

/* --- sending ------------------------------------------------------------ */

static int compose(struct bench_client *client, const struct ipmpi_frames *call,
                   struct ipmpi_frames *out)
{
    const char *uuid = client->uuid[client->next];
    int err = 0;

    if (client->direct)
        err = ipmpi_frames_add_static(out, uuid, strlen(uuid));
    if (err == 0)
        err = ipmpi_frames_add_static(out, IPMPI_DELIM, IPMPI_DELIM_LEN);
    if (err == 0)
        err = ipmpi_compose(client->composer, "apply_request", 0, NULL, NULL,
                            NULL, out);
    if (err == 0)
        err = ipmpi_frames_add_from(out, call, 0, call->n);
    client->next = (client->next + 1) % client->n_engines;
    return err;
}

int bench_client_send(struct bench_client *client,
                      const struct ipmpi_frames *call)
{
    struct ipmpi_frames out = {0};
    int err = compose(client, call, &out);

    for (size_t i = 0; err == 0 && i < out.n; i++) {
        const int more = i + 1 < out.n ? ZMQ_SNDMORE : 0;

        if (zmq_send(client->work, out.at[i].data, out.at[i].len,
                     more | ZMQ_DONTWAIT) < 0)
            err = IPMPI_EFULL;
    }
    ipmpi_frames_clear(&out);
    return err;
}

/* --- receiving ---------------------------------------------------------- */

static void clear(struct arrival *arrival)
{
    while (arrival->n > 0)
        zmq_msg_close(&arrival->msg[--arrival->n]);
}

/* Takes a whole message; parts past the last that fits are dropped. */
static bool receive(void *socket, struct arrival *arrival)
{
    bool more = true;

    arrival->n = 0;
    while (more) {
        zmq_msg_t dropped, *msg = &dropped;
        const bool fits = arrival->n < PARTS_MOST;

        if (fits)
            msg = &arrival->msg[arrival->n];
        zmq_msg_init(msg);
        if (zmq_msg_recv(msg, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(msg);
            return false;
        }
        more = zmq_msg_more(msg) != 0;
        if (fits)
            arrival->part[arrival->n++] = (struct ipmpi_frame){
                zmq_msg_data(msg), zmq_msg_size(msg), NULL};
        else
            zmq_msg_close(msg);
    }
    return true;
}

/* The signature is at the place returned, the four parts behind it; 0: this is
 * no message. */
static size_t find_signature(const struct arrival *arrival)
{
    for (size_t i = 0; i + 1 + IPMPI_SIGNED < arrival->n; i++) {
        const struct ipmpi_frame *part = &arrival->part[i];

        if (part->len == IPMPI_DELIM_LEN &&
            memcmp(part->data, IPMPI_DELIM, IPMPI_DELIM_LEN) == 0)
            return i + 1;
    }
    return 0;
}

static bool has(const struct ipmpi_frame *frame, const char *text)
{
    return memmem(frame->data, frame->len, text, strlen(text)) != NULL;
}

/* The number of the task whose header this parent header is. Not by jansson:
 * that would cost more than the rest of the client. */
static bool number_of(const struct bench_client *client,
                      const struct ipmpi_frame *parent, uint64_t *task_out)
{
    const uint8_t *end = parent->data + parent->len;
    const uint8_t *at =
        memmem(parent->data, parent->len, client->session, client->session_len);
    uint64_t number = 0;

    if (at == NULL)
        return false;
    for (at += client->session_len; at < end && *at >= '0' && *at <= '9'; at++)
        number = 10 * number + (uint64_t)(*at - '0');
    *task_out = number;
    return true;
}

static enum bench_event judge_reply(const struct bench_client *client,
                                    const struct arrival *arrival,
                                    uint64_t *task_out)
{
    const size_t at = find_signature(arrival);
    const struct ipmpi_frame *parts = &arrival->part[at + 1];

    if (at == 0 || ipmpi_verify(client->key, &arrival->part[at], parts) != 0 ||
        !number_of(client, &parts[1], task_out))
        return BENCH_FORGED;
    return has(&parts[3], "\"ok\"") ? BENCH_REPLY : BENCH_FAILED;
}

static enum bench_event judge_output(const struct bench_client *client,
                                     const struct arrival *arrival,
                                     uint64_t *task_out)
{
    const size_t at = find_signature(arrival);
    const struct ipmpi_frame *parts = &arrival->part[at + 1];

    if (at == 0 || !number_of(client, &parts[1], task_out) ||
        !has(&parts[3], "\"idle\""))
        return BENCH_OTHER;
    return BENCH_IDLE;
}

enum bench_event bench_client_take(struct bench_client *client,
                                   uint64_t *task_out)
{
    enum bench_event event = BENCH_NOTHING;
    struct arrival arrival;

    if (receive(client->work, &arrival))
        event = judge_reply(client, &arrival, task_out);
    else if (client->output != NULL && receive(client->output, &arrival))
        event = judge_output(client, &arrival, task_out);
    clear(&arrival);
    return event;
}

void bench_client_wait(struct bench_client *client, int wait_ms)
{
    zmq_pollitem_t items[] = {
        {.socket = client->work, .events = ZMQ_POLLIN},
        {.socket = client->output, .events = ZMQ_POLLIN},
    };

    zmq_poll(items, client->output != NULL ? 2 : 1, wait_ms);
}

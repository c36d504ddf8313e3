/* Nothing is parsed before its signature matches. */
#include "launch/clusters/hub_message.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "runtime/base/error.h"
#include "runtime/base/frames.h"

enum { PARTS_MOST = 64, PART_BYTES_MOST = 64 << 20 };

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

int ipmpi_hub_message_send(void *socket, struct ipmpi_composer *composer,
                           const char *uuid, const char *request,
                           const json_t *content, json_t **header_out)
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
        err = ipmpi_compose(composer, request, 0, NULL, NULL, &body, &frames);
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
static json_t *answer_in(struct message *message, const struct ipmpi_key *key,
                         const json_t *header)
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
    if (ipmpi_verify(key, &signature, parts) != 0)
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

json_t *ipmpi_hub_message_answer(void *socket, const struct ipmpi_key *key,
                                 const json_t *header)
{
    struct message message;
    json_t *content = NULL;

    if (message_receive(socket, &message) == 0)
        content = answer_in(&message, key, header);
    message_clear(&message);
    return content;
}

/* Between lists of frames and ZMQ's messages. */
#include "bridge/messages.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

/* ---- receiving ------------------------------------------------------ */

static void close_msg(void *data, void *hint)
{
    (void)data;
    zmq_msg_close(hint);
    free(hint);
}

/* Small frames are copied, so that no 64-byte zmq_msg_t and no allocation of
 * its own is kept for each; ZMQ stores them inside the message anyway. */
static int add_frame(struct ipmpi_frames *frames, zmq_msg_t *msg)
{
    const size_t len = zmq_msg_size(msg);
    struct ipmpi_buffer *buffer;
    zmq_msg_t *kept;
    int err;

    if (len < 1024)
        return ipmpi_frames_add_copy(frames, zmq_msg_data(msg), len);
    kept = malloc(sizeof(*kept));
    if (kept == NULL)
        return IPMPI_ENOMEM;
    zmq_msg_init(kept);
    zmq_msg_move(kept, msg);
    err = ipmpi_buffer_wrap(zmq_msg_data(kept), len, close_msg, kept, &buffer);
    if (err != 0) {
        close_msg(NULL, kept);
        return err;
    }
    err = ipmpi_frames_add_view(frames, buffer, 0, len);
    ipmpi_buffer_release(&buffer);
    return err;
}

int ipmpi_message_receive(void *socket, size_t max_frames,
                          struct ipmpi_frames *frames_out)
{
    bool more = true;
    int err = 0;

    for (size_t n = 0; more; n++) {
        zmq_msg_t msg;

        zmq_msg_init(&msg);
        if (zmq_msg_recv(&msg, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&msg); /* messages come whole: only before frame 0 */
            return IPMPI_EEMPTY;
        }
        more = zmq_msg_more(&msg);
        if (err == 0 && n >= max_frames)
            err = IPMPI_ETOOBIG;
        if (err == 0)
            err = add_frame(frames_out, &msg);
        zmq_msg_close(&msg);
    }
    if (err != 0)
        ipmpi_frames_clear(frames_out);
    return err;
}

/* ---- sending -------------------------------------------------------- */

/* The last frame of a message that is counted. */
struct last_frame {
    struct ipmpi_parcel *parcel;
    struct ipmpi_buffer *owner; /* of `data`; NULL: it is in `copy` */
    char copy[];
};

static void release_last(void *data, void *hint)
{
    struct last_frame *last = hint;

    (void)data;
    ipmpi_buffer_release(&last->owner); /* on a thread of ZMQ's: both may */
    ipmpi_outflow_done(&last->parcel);
    free(last);
}

/* ZMQ sends frames in order, so the message has left when this one has.
 * IPMPI_ENOMEM: the parcel is done. */
static int make_last_msg(const struct ipmpi_frame *frame,
                         struct ipmpi_parcel **parcel, zmq_msg_t *msg)
{
    const bool copied = frame->owner == NULL || frame->len < 1024;
    struct last_frame *last = malloc(sizeof(*last) + (copied ? frame->len : 0));

    if (last == NULL) {
        ipmpi_outflow_done(parcel);
        return IPMPI_ENOMEM;
    }
    *last = (struct last_frame){.parcel = *parcel};
    *parcel = NULL;
    if (copied && frame->len > 0)
        memcpy(last->copy, frame->data, frame->len);
    else if (!copied)
        last->owner = ipmpi_buffer_share(frame->owner);
    if (zmq_msg_init_data(msg, copied ? last->copy : (void *)frame->data,
                          frame->len, release_last, last) != 0) {
        release_last(NULL, last);
        return IPMPI_ENOMEM;
    }
    return 0;
}

static void release_buffer(void *data, void *hint)
{
    struct ipmpi_buffer *buffer = hint;

    (void)data;
    ipmpi_buffer_release(&buffer); /* on a thread of ZMQ's: it is counted */
}

static int make_msg(const struct ipmpi_frame *frame, zmq_msg_t *msg)
{
    if (frame->owner == NULL || frame->len < 1024) {
        if (zmq_msg_init_size(msg, frame->len) != 0)
            return IPMPI_ENOMEM;
        if (frame->len > 0)
            memcpy(zmq_msg_data(msg), frame->data, frame->len);
        return 0;
    }
    ipmpi_buffer_share(frame->owner);
    if (zmq_msg_init_data(msg, (void *)frame->data, frame->len, release_buffer,
                          frame->owner) != 0) {
        release_buffer(NULL, frame->owner);
        return IPMPI_ENOMEM;
    }
    return 0;
}

void ipmpi_message_send(void *socket, const struct ipmpi_frames *frames,
                        struct ipmpi_parcel **parcel)
{
    for (size_t i = 0; i < frames->n; i++) {
        const int more = i + 1 < frames->n ? ZMQ_SNDMORE : 0;
        zmq_msg_t msg;
        int err = !more && *parcel != NULL
                      ? make_last_msg(&frames->at[i], parcel, &msg)
                      : make_msg(&frames->at[i], &msg);

        if (err != 0) {
            ipmpi_log_error("DOOR-MEMORY", "out of memory; a message is cut");
            zmq_msg_init(&msg);
        }
        if (zmq_msg_send(&msg, socket, ZMQ_DONTWAIT | more) < 0)
            zmq_msg_close(&msg);
    }
}

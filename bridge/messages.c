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

/* Frames of one message, as ZMQ has them. */
struct batch {
    zmq_msg_t msg[16];
    size_t n;
};

static bool is_small(size_t len)
{
    return len < 1024;
}

/* Small frames are copied, all of a batch into one buffer, so that no 64-byte
 * zmq_msg_t and no allocation of its own is kept for each; ZMQ stores them
 * inside the message anyway. *small_out is NULL where there are none. */
static int copy_small(struct batch *batch, struct ipmpi_buffer **small_out)
{
    size_t sum = 0;
    char *at;
    int err;

    *small_out = NULL;
    for (size_t i = 0; i < batch->n; i++)
        if (is_small(zmq_msg_size(&batch->msg[i])))
            sum += zmq_msg_size(&batch->msg[i]);
    if (sum == 0)
        return 0;
    err = ipmpi_buffer_alloc(sum, small_out);
    if (err != 0)
        return err;
    at = ipmpi_buffer_data(*small_out);
    for (size_t i = 0; i < batch->n; i++) {
        const size_t len = zmq_msg_size(&batch->msg[i]);

        if (!is_small(len) || len == 0)
            continue;
        memcpy(at, zmq_msg_data(&batch->msg[i]), len);
        at += len;
    }
    return 0;
}

/* The others are kept as they are. */
static int add_large(struct ipmpi_frames *frames, zmq_msg_t *msg)
{
    const size_t len = zmq_msg_size(msg);
    zmq_msg_t *kept = malloc(sizeof(*kept));
    struct ipmpi_buffer *buffer;
    int err;

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

static int add_batch(struct ipmpi_frames *frames, struct batch *batch)
{
    struct ipmpi_buffer *small;
    size_t offset = 0;
    int err = ipmpi_frames_reserve(frames, batch->n);

    if (err == 0)
        err = copy_small(batch, &small);
    if (err != 0)
        return err;
    for (size_t i = 0; err == 0 && i < batch->n; i++) {
        const size_t len = zmq_msg_size(&batch->msg[i]);

        if (len == 0)
            err = ipmpi_frames_add_static(frames, "", 0);
        else if (is_small(len))
            err = ipmpi_frames_add_view(frames, small, offset, len);
        else
            err = add_large(frames, &batch->msg[i]);
        offset += is_small(len) ? len : 0;
    }
    ipmpi_buffer_release(&small);
    return err;
}

/* The next frames of a message. False: there is none. */
static bool take_batch(void *socket, struct batch *batch, bool *more_out)
{
    const size_t most = sizeof(batch->msg) / sizeof(batch->msg[0]);

    *more_out = true;
    for (batch->n = 0; *more_out && batch->n < most; batch->n++) {
        zmq_msg_t *msg = &batch->msg[batch->n];

        zmq_msg_init(msg);
        if (zmq_msg_recv(msg, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(msg); /* messages come whole: only before frame 0 */
            return false;
        }
        *more_out = zmq_msg_more(msg);
    }
    return true;
}

static void close_batch(struct batch *batch)
{
    while (batch->n > 0)
        zmq_msg_close(&batch->msg[--batch->n]);
}

int ipmpi_message_receive(void *socket, size_t max_frames,
                          struct ipmpi_frames *frames_out)
{
    struct batch batch;
    bool more = true;
    size_t n = 0;
    int err = 0;

    while (more) {
        if (!take_batch(socket, &batch, &more))
            return IPMPI_EEMPTY;
        n += batch.n;
        if (err == 0)
            err =
                n > max_frames ? IPMPI_ETOOBIG : add_batch(frames_out, &batch);
        close_batch(&batch);
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
    const bool copied = frame->owner == NULL || is_small(frame->len);
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
    if (frame->owner == NULL || is_small(frame->len)) {
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

/* Output of Python's threads. */
#include <errno.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/engine/state.h"

int ipmpi_engine_publish(struct ipmpi_engine *engine,
                         struct ipmpi_publication *publication)
{
    struct ipmpi_frame parent;
    struct ipmpi_item *item;
    int err = ipmpi_engine_check(engine);

    if (err == 0) {
        ipmpi_output_drain(engine->output, false);
        ipmpi_output_parent(engine->output, &parent);
        err = ipmpi_speaker_publish(&engine->speaker, publication, &parent,
                                    &item);
        ipmpi_buffer_release(&parent.owner);
    }
    ipmpi_frames_clear(&publication->buffers);
    if (err == 0)
        ipmpi_outbox_post(engine->outbox, &item);
    return err;
}

/* Into the descriptor itself: in a forked child, and after leave(). */
static int write_directly(int fd, const char *text, size_t len)
{
    ssize_t n;

    while (len > 0) {
        n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return IPMPI_EIO;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int ipmpi_engine_write(struct ipmpi_engine *engine, int fd, const char *text,
                       size_t len)
{
    if (fd != STDOUT_FILENO && fd != STDERR_FILENO)
        return IPMPI_EINVAL;
    if (ipmpi_engine_check(engine) != 0)
        return write_directly(fd, text, len);
    return ipmpi_output_write(engine->output, fd, text, len);
}

int ipmpi_engine_flush(struct ipmpi_engine *engine)
{
    struct ipmpi_item *item;

    if (ipmpi_engine_check(engine) != 0)
        return 0; /* nothing is gathered then */
    ipmpi_output_drain(engine->output, false);
    item = ipmpi_item_create(IPMPI_ITEM_FLUSH, NULL, 0);
    if (item == NULL)
        return IPMPI_ENOMEM;
    ipmpi_outbox_post(engine->outbox, &item);
    return 0;
}

int ipmpi_engine_set_parent(struct ipmpi_engine *engine, const char *header,
                            size_t len)
{
    struct ipmpi_frames copy = {0};
    int err = ipmpi_engine_check(engine);

    if (err == 0)
        err = ipmpi_frames_add_copy(&copy, header, len);
    if (err != 0)
        return err;
    ipmpi_output_set_parent(engine->output, &copy.at[0]);
    ipmpi_frames_clear(&copy);
    return 0;
}

int ipmpi_engine_wait_room(struct ipmpi_engine *engine, int wait_ms)
{
    if (ipmpi_engine_check(engine) != 0)
        return 0;
    return ipmpi_outbox_wait_room(engine->outbox, wait_ms);
}

/* Lists of shared byte ranges. */
#include "runtime/base/frames.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

static int reserve(struct ipmpi_frames *frames, size_t more)
{
    size_t cap = frames->cap > 0 ? frames->cap : 8;
    struct ipmpi_frame *at;

    if (more <= frames->cap - frames->n)
        return 0;
    while (cap - frames->n < more)
        cap *= 2;
    at = reallocarray(frames->at, cap, sizeof(*at));
    if (at == NULL)
        return IPMPI_ENOMEM;
    frames->at = at;
    frames->cap = cap;
    return 0;
}

int ipmpi_frames_add_view(struct ipmpi_frames *frames,
                          struct ipmpi_buffer *buffer, size_t offset,
                          size_t len)
{
    const uint8_t *base = ipmpi_buffer_data(buffer);
    int err = reserve(frames, 1);

    if (err != 0)
        return err;
    frames->at[frames->n++] = (struct ipmpi_frame){
        base + offset, len, ipmpi_buffer_share(buffer)};
    return 0;
}

int ipmpi_frames_add_copy(struct ipmpi_frames *frames, const void *data,
                          size_t len)
{
    struct ipmpi_buffer *buffer;
    int err = reserve(frames, 1);

    if (err != 0)
        return err;
    err = ipmpi_buffer_alloc(len, &buffer);
    if (err != 0)
        return err;
    if (len > 0)
        memcpy(ipmpi_buffer_data(buffer), data, len);
    frames->at[frames->n++] =
        (struct ipmpi_frame){ipmpi_buffer_data(buffer), len, buffer};
    return 0;
}

int ipmpi_frames_add_static(struct ipmpi_frames *frames, const void *data,
                            size_t len)
{
    int err = reserve(frames, 1);

    if (err != 0)
        return err;
    frames->at[frames->n++] = (struct ipmpi_frame){data, len, NULL};
    return 0;
}

int ipmpi_frames_add_frame(struct ipmpi_frames *frames,
                           const struct ipmpi_frame *frame)
{
    int err = reserve(frames, 1);

    if (err != 0)
        return err;
    frames->at[frames->n++] = *frame;
    if (frame->owner != NULL)
        ipmpi_buffer_share(frame->owner);
    return 0;
}

int ipmpi_frames_add_from(struct ipmpi_frames *frames,
                          const struct ipmpi_frames *from, size_t first,
                          size_t n)
{
    int err = reserve(frames, n);

    if (err != 0)
        return err;
    for (size_t i = first; i < first + n; i++) {
        frames->at[frames->n] = from->at[i];
        if (from->at[i].owner != NULL)
            ipmpi_buffer_share(from->at[i].owner);
        frames->n++;
    }
    return 0;
}

void ipmpi_frames_clear(struct ipmpi_frames *frames)
{
    for (size_t i = 0; i < frames->n; i++)
        ipmpi_buffer_release(&frames->at[i].owner);
    free(frames->at);
    *frames = (struct ipmpi_frames){0};
}

void ipmpi_frames_move(struct ipmpi_frames *to, struct ipmpi_frames *from)
{
    IPMPI_ASSERT(to->n == 0 && to != from);
    free(to->at);
    *to = *from;
    *from = (struct ipmpi_frames){0};
}

size_t ipmpi_frames_bytes(const struct ipmpi_frames *frames)
{
    size_t sum = 0;

    for (size_t i = 0; i < frames->n; i++)
        sum += frames->at[i].len;
    return sum;
}

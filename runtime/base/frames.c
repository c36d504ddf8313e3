/* Lists of shared byte ranges. */
#include "runtime/base/frames.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

void ipmpi_frame_share(struct ipmpi_frame *to, const struct ipmpi_frame *from)
{
    *to = *from;
    if (from->owner != NULL)
        ipmpi_buffer_share(from->owner);
}

int ipmpi_frames_reserve(struct ipmpi_frames *frames, size_t more)
{
    size_t cap = frames->cap > 0 ? frames->cap : 8;
    struct ipmpi_frame *at;

    if (more <= frames->cap - frames->n)
        return 0;
    if (more > SIZE_MAX / 4 / sizeof(*at))
        return IPMPI_ENOMEM;
    while (cap - frames->n < more)
        cap *= 2;
    at = frames->at == NULL ? malloc(cap * sizeof(*at))
                            : reallocarray(frames->at, cap, sizeof(*at));
    if (at == NULL)
        return IPMPI_ENOMEM;
    frames->at = at;
    frames->cap = cap;
    return 0;
}

/* For one more frame. */
static int make_place(struct ipmpi_frames *frames)
{
    return frames->n < frames->cap ? 0 : ipmpi_frames_reserve(frames, 1);
}

int ipmpi_frames_add_view(struct ipmpi_frames *frames,
                          struct ipmpi_buffer *buffer, size_t offset,
                          size_t len)
{
    const uint8_t *base = ipmpi_buffer_data(buffer);
    int err = make_place(frames);

    if (err != 0)
        return err;
    frames->at[frames->n++] =
        (struct ipmpi_frame){base + offset, len, ipmpi_buffer_share(buffer)};
    return 0;
}

int ipmpi_frames_add_copy(struct ipmpi_frames *frames, const void *data,
                          size_t len)
{
    struct ipmpi_buffer *buffer;
    int err = make_place(frames);

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
    int err = make_place(frames);

    if (err != 0)
        return err;
    frames->at[frames->n++] = (struct ipmpi_frame){data, len, NULL};
    return 0;
}

int ipmpi_frames_add_frame(struct ipmpi_frames *frames,
                           const struct ipmpi_frame *frame)
{
    int err = make_place(frames);

    if (err != 0)
        return err;
    ipmpi_frame_share(&frames->at[frames->n++], frame);
    return 0;
}

int ipmpi_frames_add_from(struct ipmpi_frames *frames,
                          const struct ipmpi_frames *from, size_t first,
                          size_t n)
{
    int err = ipmpi_frames_reserve(frames, n);

    if (err != 0)
        return err;
    for (size_t i = first; i < first + n; i++)
        ipmpi_frame_share(&frames->at[frames->n++], &from->at[i]);
    return 0;
}

int ipmpi_frames_replace_first(struct ipmpi_frames *frames, size_t n, size_t by)
{
    int err = by > n ? ipmpi_frames_reserve(frames, by - n) : 0;

    if (err != 0)
        return err;
    for (size_t i = 0; i < n; i++)
        ipmpi_buffer_release(&frames->at[i].owner);
    if (frames->n > n)
        memmove(frames->at + by, frames->at + n,
                (frames->n - n) * sizeof(*frames->at));
    for (size_t i = 0; i < by; i++)
        frames->at[i] = (struct ipmpi_frame){0};
    frames->n = frames->n - n + by;
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

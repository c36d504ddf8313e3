/* Bodies and segments.
 *
 * Note [own view]. User code may write to what it is given. What is passed on,
 * or kept for others, must not change meanwhile: so the body that work gets is
 * a view of its own of a segment, and else a copy if this engine passes the
 * parcel on. */
#include "runtime/engine/parcel_body.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/segment.h"
#include "runtime/engine/protocol.h"

enum { AT_ADDRESS, AT_EXTENTS, AT_APART };

/* The segment that some of the frames lie in; NULL: none. */
static struct ipmpi_buffer *segment_of(const struct ipmpi_frames *data,
                                       struct ipmpi_segment_address *out)
{
    for (size_t i = 0; i < data->n; i++) {
        struct ipmpi_buffer *owner = data->at[i].owner;

        if (owner != NULL && ipmpi_segment_address(owner, out) == 0)
            return owner;
    }
    return NULL;
}

/* Writes what those who open the segment need besides its address. */
static int describe(const struct ipmpi_frames *data,
                    const struct ipmpi_segment_address *address,
                    struct ipmpi_buffer *segment, struct ipmpi_frames *at)
{
    const uint8_t *base = ipmpi_buffer_data(segment);
    struct ipmpi_extent *extents = calloc(data->n, sizeof(*extents));
    int err = extents == NULL ? IPMPI_ENOMEM : 0;

    for (size_t i = 0; i < data->n && err == 0; i++) {
        const struct ipmpi_frame *frame = &data->at[i];

        extents[i].len = frame->len;
        extents[i].offset = frame->owner == segment
                                ? (uint64_t)(frame->data - base)
                                : IPMPI_EXTENT_APART;
    }
    if (err == 0)
        err = ipmpi_frames_add_copy(at, address, sizeof(*address));
    if (err == 0)
        err = ipmpi_frames_add_copy(at, extents, data->n * sizeof(*extents));
    for (size_t i = 0; i < data->n && err == 0; i++) {
        if (extents[i].offset == IPMPI_EXTENT_APART)
            err = ipmpi_frames_add_frame(at, &data->at[i]);
    }
    free(extents);
    return err;
}

static int add_own(struct ipmpi_frames *body, const struct ipmpi_frame *frame,
                   bool copy)
{
    return copy ? ipmpi_frames_add_copy(body, frame->data, frame->len)
                : ipmpi_frames_add_frame(body, frame);
}

/* The body as the extents have it: views of the segment, and `apart`, the
 * frames from `first` on. */
static int assemble(const struct ipmpi_frame *extents,
                    struct ipmpi_buffer *view, const struct ipmpi_frames *apart,
                    size_t first, bool copy, struct ipmpi_frames *body)
{
    const size_t n = extents->len / sizeof(struct ipmpi_extent);
    const size_t room = ipmpi_buffer_len(view);
    int err = n == 0 ? IPMPI_EFRAME : 0;

    for (size_t i = 0; i < n && err == 0; i++) {
        struct ipmpi_extent e;

        memcpy(&e, extents->data + i * sizeof(e), sizeof(e));
        if (e.offset != IPMPI_EXTENT_APART)
            err = e.offset > room || e.len > room - e.offset
                      ? IPMPI_EFRAME
                      : ipmpi_frames_add_view(body, view, (size_t)e.offset,
                                              (size_t)e.len);
        else
            err = first < apart->n ? add_own(body, &apart->at[first++], copy)
                                   : IPMPI_EFRAME;
    }
    return err;
}

int ipmpi_body_open(const struct ipmpi_frames *at, bool passes,
                    struct ipmpi_frames *body)
{
    struct ipmpi_segment_address address;
    struct ipmpi_buffer *view;
    int err;

    if (at->n < AT_APART || at->at[AT_ADDRESS].len != sizeof(address))
        return IPMPI_EFRAME;
    memcpy(&address, at->at[AT_ADDRESS].data, sizeof(address));
    err = ipmpi_segment_open(&address, IPMPI_SEGMENT_COPY, &view);
    if (err != 0) {
        ipmpi_log_debug("ENGINE-SHARE",
                        "a segment of %llu bytes is out of "
                        "reach: a copy",
                        (unsigned long long)address.len);
        return err;
    }
    err = assemble(&at->at[AT_EXTENTS], view, at, AT_APART, passes, body);
    ipmpi_buffer_release(&view);
    return err;
}

bool ipmpi_body_share(const struct ipmpi_frames *data, struct ipmpi_frames *at,
                      struct ipmpi_frames *body)
{
    struct ipmpi_segment_address address;
    struct ipmpi_buffer *segment = segment_of(data, &address);

    if (segment == NULL)
        return false;
    if (describe(data, &address, segment, at) == 0 &&
        ipmpi_body_open(at, true, body) == 0)
        return true;
    ipmpi_frames_clear(at);
    ipmpi_frames_clear(body);
    return false;
}

int ipmpi_body_own(const struct ipmpi_frames *data, bool passes,
                   struct ipmpi_frames *body)
{
    int err = 0;

    for (size_t i = 0; i < data->n && err == 0; i++)
        err = add_own(body, &data->at[i], passes);
    return err;
}

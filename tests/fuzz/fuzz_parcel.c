/* What engines tell each other of parcels: a tree that passes the check can be
 * walked, and is walked whole; a body lies within its segment. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/segment.h"
#include "runtime/engine/parcel_body.h"
#include "runtime/engine/parcels.h"

enum { ROOM = 4096 };

static size_t walk(const struct ipmpi_leg *leg)
{
    const struct ipmpi_leg *const end = leg + leg->size;
    size_t seen = 1;

    IPMPI_ASSERT(leg->rank > 0);
    for (leg++; leg < end; leg += leg->size)
        seen += walk(leg);
    IPMPI_ASSERT(leg == end);
    return seen;
}

static void check_legs(const uint8_t *data, size_t size)
{
    const struct ipmpi_frame frame = {data, size, NULL};

    if (ipmpi_legs_are_good(&frame))
        IPMPI_ASSERT(walk((const struct ipmpi_leg *)data) ==
                     size / sizeof(struct ipmpi_leg));
}

/* The input as extents, with a segment and two frames apart. */
static void check_body(const uint8_t *data, size_t size)
{
    static struct ipmpi_buffer *segment;
    struct ipmpi_segment_address address;
    struct ipmpi_frames at = {0}, body = {0};
    volatile uint8_t sum = 0;

    if (segment == NULL)
        IPMPI_ASSERT(ipmpi_segment_create(ROOM, &segment) == 0);
    IPMPI_ASSERT(ipmpi_segment_address(segment, &address) == 0);
    IPMPI_ASSERT(ipmpi_frames_add_copy(&at, &address, sizeof(address)) == 0);
    IPMPI_ASSERT(ipmpi_frames_add_copy(&at, data, size) == 0);
    IPMPI_ASSERT(ipmpi_frames_add_static(&at, "apart", 5) == 0);
    IPMPI_ASSERT(ipmpi_frames_add_static(&at, "", 0) == 0);
    if (ipmpi_body_open(&at, size % 2 == 0, &body) == 0)
        IPMPI_ASSERT(body.n == size / sizeof(struct ipmpi_extent));
    for (size_t i = 0; i < body.n; i++) {
        const struct ipmpi_frame *frame = &body.at[i];

        IPMPI_ASSERT(frame->len <= ROOM);
        if (frame->len > 0)
            sum = (uint8_t)(sum + frame->data[0] + frame->data[frame->len - 1]);
    }
    ipmpi_frames_clear(&body);
    ipmpi_frames_clear(&at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size + 1); /* aligned, as frames are */

    IPMPI_ASSERT(exact != NULL);
    memcpy(exact, data, size);
    check_legs(exact, size);
    check_body(exact, size);
    free(exact);
    return 0;
}

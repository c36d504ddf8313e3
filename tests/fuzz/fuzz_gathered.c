/* What engines tell each other of gathers: what passes the check says the same
 * when it is written and read again, and combines with itself. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "runtime/base/error.h"
#include "runtime/engine/gathered.h"

static void write_again(const struct ipmpi_gathered *gathered)
{
    struct ipmpi_gathered again;
    struct ipmpi_frames frames = {0};

    IPMPI_ASSERT(ipmpi_frames_add_static(&frames, "head", 4) == 0);
    IPMPI_ASSERT(ipmpi_gathered_write(gathered, &frames) == 0);
    IPMPI_ASSERT(ipmpi_gathered_read(&frames, &again) == 0);
    IPMPI_ASSERT(again.n == gathered->n &&
                 again.speech.n == gathered->speech.n &&
                 again.buffers.n == gathered->buffers.n);
    IPMPI_ASSERT(memcmp(again.share, gathered->share,
                        again.n * sizeof(*again.share)) == 0);
    ipmpi_frames_clear(&frames);
    ipmpi_gathered_clear(&again);
}

/* The first byte is how many frames there are, the rest the shares. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t n = size > 0 ? data[0] % 16u : 0;
    struct ipmpi_gathered one, two;
    struct ipmpi_frames frames = {0};

    IPMPI_ASSERT(ipmpi_frames_add_static(&frames, "head", 4) == 0);
    if (size > 0)
        IPMPI_ASSERT(ipmpi_frames_add_copy(&frames, data + 1, size - 1) == 0);
    for (size_t i = 0; i < n; i++)
        IPMPI_ASSERT(ipmpi_frames_add_static(&frames, "{}", 2) == 0);
    if (ipmpi_gathered_read(&frames, &one) == 0) {
        write_again(&one);
        IPMPI_ASSERT(ipmpi_gathered_read(&frames, &two) == 0);
        IPMPI_ASSERT(ipmpi_gathered_merge(&one, &two) == 0);
        IPMPI_ASSERT(one.n == 2 * ((size - 1) / sizeof(*one.share)));
        ipmpi_gathered_clear(&one);
    }
    ipmpi_frames_clear(&frames);
    return 0;
}

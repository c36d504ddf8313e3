/* Reading JSON: what was read can be written and reads as the same. */
#include "tests/fuzz/fuzz.h"

#include "bridge/wire/json.h"
#include "runtime/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ipmpi_frame frame = {data, size, NULL};
    struct ipmpi_frame dumped;
    json_t *first, *second;

    if (ipmpi_json_load(&frame, &first) != 0)
        return 0;
    IPMPI_ASSERT(ipmpi_json_dump(first, &dumped) == 0);
    IPMPI_ASSERT(ipmpi_json_load(&dumped, &second) == 0);
    IPMPI_ASSERT(json_equal(first, second));
    json_decref(first);
    json_decref(second);
    ipmpi_buffer_release(&dumped.owner);
    return 0;
}

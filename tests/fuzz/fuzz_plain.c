/* What is plain is the same object to jansson. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/wire/json.h"
#include "bridge/wire/plain.h"
#include "runtime/base/error.h"

static json_t *value_of(const struct ipmpi_plain_member *member)
{
    if (member->is_string)
        return json_stringn(member->value.data, member->value.len);
    if (ipmpi_plain_is(&member->value, "null"))
        return json_null();
    if (ipmpi_plain_is(&member->value, "[]"))
        return json_array();
    return ipmpi_plain_is(&member->value, "0") ? json_integer(0)
                                               : json_real(0.0);
}

static void add(void *ctx, const struct ipmpi_plain_member *member)
{
    char *name = strndup(member->name.data, member->name.len);

    IPMPI_ASSERT(json_object_set_new(ctx, name, value_of(member)) == 0);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ipmpi_frame frame = {data, size, NULL};
    json_t *made = json_object(), *loaded;

    if (ipmpi_plain_read(&frame, add, made)) {
        IPMPI_ASSERT(ipmpi_json_load(&frame, &loaded) == 0);
        IPMPI_ASSERT(json_equal(made, loaded));
        json_decref(loaded);
    }
    json_decref(made);
    return 0;
}

/* Escaping: any bytes become the text of a JSON string, and bytes that were
 * UTF-8 come back as they were. */
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "runtime/base/error.h"
#include "runtime/message/compose.h"

static bool is_utf8(const char *text, size_t len)
{
    bool valid = true;

    for (size_t at = 0; valid && at < len;)
        at += ipmpi_utf8_next(text + at, len - at, &valid);
    return valid;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char *quoted = malloc(6 * size + 2);
    json_t *string;
    size_t len;

    IPMPI_ASSERT(quoted != NULL);
    quoted[0] = '"';
    len = ipmpi_json_escape(text, size, quoted + 1);
    IPMPI_ASSERT(len <= 6 * size);
    quoted[1 + len] = '"';
    string =
        json_loadb(quoted, len + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    IPMPI_ASSERT(string != NULL);
    if (is_utf8(text, size)) {
        IPMPI_ASSERT(json_string_length(string) == size);
        IPMPI_ASSERT(memcmp(json_string_value(string), text, size) == 0);
    }
    json_decref(string);
    free(quoted);
    return 0;
}

/* Bytes on their way. */
#include "launch/channel/bytes.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

int ipmpi_bytes_reserve(struct bytes *bytes, size_t more)
{
    size_t cap = bytes->cap ? bytes->cap : 1024;
    uint8_t *data;

    if (bytes->at > 0) {
        memmove(bytes->data, bytes->data + bytes->at, bytes->len - bytes->at);
        bytes->len -= bytes->at;
        bytes->at = 0;
    }
    while (cap < bytes->len + more)
        cap *= 2;
    if (cap == bytes->cap)
        return 0;
    data = realloc(bytes->data, cap);
    if (data == NULL)
        return IPMPI_ENOMEM;
    bytes->data = data;
    bytes->cap = cap;
    return 0;
}

int ipmpi_bytes_append(struct bytes *bytes, const void *data, size_t len)
{
    const int err = ipmpi_bytes_reserve(bytes, len);

    if (err != 0)
        return err;
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
    return 0;
}

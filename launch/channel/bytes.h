/* Bytes on their way: put in at the end, taken from the front. */
#ifndef IPMPI_LAUNCH_CHANNEL_BYTES_H
#define IPMPI_LAUNCH_CHANNEL_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Zeroes are an empty one; `data` is the owner's to free. */
struct bytes {
    uint8_t *data;
    size_t at, len, cap; /* data[at, len) waits */
};

/* Makes room for `more` at data[len]. IPMPI_ENOMEM: nothing has changed. */
int ipmpi_bytes_reserve(struct bytes *bytes, size_t more);
int ipmpi_bytes_append(struct bytes *bytes, const void *data, size_t len);

#endif

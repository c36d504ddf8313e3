/* Python's pickle, as far as a list of bytes objects goes: how ipyparallel's
 * SQLiteDB stores buffers. Any thread. */
#ifndef IPMPI_HUB_PICKLE_H
#define IPMPI_HUB_PICKLE_H

#include <stddef.h>

#include "runtime/base/frames.h"

/* Writes protocol 3. The caller frees *data_out. IPMPI_ENOMEM. */
int ipmpi_pickle_dump(const struct ipmpi_frames *buffers, void **data_out,
                      size_t *len_out);

/* Reads a list of bytes of protocol 2 to 5, as Python writes it. The frames
 * share one copy of the data; *buffers_out must be empty and stays so on
 * failure. IPMPI_EINVAL: anything else; IPMPI_ENOMEM. */
int ipmpi_pickle_load(const void *data, size_t len,
                      struct ipmpi_frames *buffers_out);

#endif

/* Shared bytes: a counted block of memory that never changes once made, so
 * that one copy can be in a ZMQ frame, an MPI send and a Python memoryview at
 * the same time.
 *
 * Threads: share and release on any thread (the count is atomic). */
#ifndef IPMPI_BASE_BUFFER_H
#define IPMPI_BASE_BUFFER_H

#include <stddef.h>

struct ipmpi_buffer; /* opaque */

/* Called once, by whichever thread releases last. */
typedef void ipmpi_free_fn(void *data, void *hint);

/* A new block of `len` bytes for its maker to fill before it shares it.
 * The caller owns one share. IPMPI_ENOMEM. */
int ipmpi_buffer_alloc(size_t len, struct ipmpi_buffer **buffer_out);

/* Takes over memory that lives elsewhere: `free_fn(data, hint)` runs at the
 * last release; NULL means that the memory is static. On IPMPI_ENOMEM the
 * caller still owns it. */
int ipmpi_buffer_wrap(void *data, size_t len, ipmpi_free_fn *free_fn,
                      void *hint, struct ipmpi_buffer **buffer_out);

/* One more share of the same block. Never fails. */
struct ipmpi_buffer *ipmpi_buffer_share(struct ipmpi_buffer *buffer);

/* Gives one share back and nulls the pointer. NULL is fine. */
void ipmpi_buffer_release(struct ipmpi_buffer **buffer);

/* The hint of a buffer that was wrapped with this function; NULL: another. */
void *ipmpi_buffer_hint(const struct ipmpi_buffer *buffer,
                        ipmpi_free_fn *free_fn);

void *ipmpi_buffer_data(struct ipmpi_buffer *buffer);
size_t ipmpi_buffer_len(const struct ipmpi_buffer *buffer);

#endif

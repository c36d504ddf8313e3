/* Counted blocks of bytes.
 *
 * Invariant: `shares` is the number of pointers handed out and not released;
 * the block is freed by whoever takes it to zero. */
#include "runtime/base/buffer.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "runtime/base/error.h"

struct ipmpi_buffer {
    atomic_uint shares;
    size_t len;
    void *data;
    ipmpi_free_fn *free_fn;
    void *hint;
    max_align_t inlined[]; /* data of ipmpi_buffer_alloc */
};

int ipmpi_buffer_alloc(size_t len, struct ipmpi_buffer **buffer_out)
{
    struct ipmpi_buffer *buffer;

    if (len > SIZE_MAX - sizeof(*buffer))
        return IPMPI_ENOMEM;
    buffer = malloc(sizeof(*buffer) + len);
    if (buffer == NULL)
        return IPMPI_ENOMEM;
    *buffer = (struct ipmpi_buffer){.len = len};
    atomic_init(&buffer->shares, 1);
    buffer->data = buffer->inlined;
    *buffer_out = buffer;
    return 0;
}

int ipmpi_buffer_wrap(void *data, size_t len, ipmpi_free_fn *free_fn,
                      void *hint, struct ipmpi_buffer **buffer_out)
{
    struct ipmpi_buffer *buffer = malloc(sizeof(*buffer));

    if (buffer == NULL)
        return IPMPI_ENOMEM;
    *buffer = (struct ipmpi_buffer){
        .len = len, .data = data, .free_fn = free_fn, .hint = hint};
    atomic_init(&buffer->shares, 1);
    *buffer_out = buffer;
    return 0;
}

struct ipmpi_buffer *ipmpi_buffer_share(struct ipmpi_buffer *buffer)
{
    atomic_fetch_add_explicit(&buffer->shares, 1, memory_order_relaxed);
    return buffer;
}

void ipmpi_buffer_release(struct ipmpi_buffer **buffer)
{
    struct ipmpi_buffer *b = *buffer;

    *buffer = NULL;
    if (b == NULL)
        return;
    /* acq_rel: the thread that frees must see what the others wrote. */
    if (atomic_fetch_sub_explicit(&b->shares, 1, memory_order_acq_rel) != 1)
        return;
    if (b->free_fn != NULL)
        b->free_fn(b->data, b->hint);
    free(b);
}

void *ipmpi_buffer_hint(const struct ipmpi_buffer *buffer,
                        ipmpi_free_fn *free_fn)
{
    return buffer->free_fn == free_fn ? buffer->hint : NULL;
}

void *ipmpi_buffer_data(struct ipmpi_buffer *buffer)
{
    return buffer->data;
}

size_t ipmpi_buffer_len(const struct ipmpi_buffer *buffer)
{
    return buffer->len;
}

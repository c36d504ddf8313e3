/* Segments: memory that the processes of one node share, with a name nowhere.
 * The kernel frees one when the last process that has it lets it go, or dies.
 *
 * Its maker fills it, or those do who open it for that (IPMPI_SEGMENT_FILL);
 * others open it by its address, through the maker's descriptor in /proc: that
 * needs the same user, and the same processes in sight. Each gets a view of its
 * own, which costs no memory until it is written to. A view shows what was
 * filled in before it was first looked at; nobody fills in more afterwards.
 *
 * Threads: any; nothing blocks. */
#ifndef IPMPI_BASE_SEGMENT_H
#define IPMPI_BASE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buffer.h"

/* Smaller data is cheaper to copy than to map. */
#define IPMPI_SEGMENT_MIN ((size_t)1 << 20)

/* The environment's word against segments: "no". Then none can be made. */
#define IPMPI_SEGMENT_ENV "IPMPI_SHARE"

/* Where Linux says whether shared memory may have huge pages: several times as
 * fast for what is large, and off by default. */
#define IPMPI_SEGMENT_HUGE "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* Whether segments get them, as that file says, which is read each time; and
 * whether such a text says so. */
bool ipmpi_segment_has_huge_pages(void);
bool ipmpi_segment_is_huge(const char *setting);

/* Where a segment is; plain bytes for other processes. */
struct ipmpi_segment_address {
    uint64_t device, inode, len; /* so that no other file is taken for it */
    int32_t pid, fd;
};

enum ipmpi_segment_access {
    IPMPI_SEGMENT_READ, /* a write to it is a fault */
    IPMPI_SEGMENT_COPY, /* a write to it makes a private copy of that page */
    IPMPI_SEGMENT_FILL, /* a write to it is seen by all */
};

/* A new segment, for its maker to fill: while the buffer has a share, others
 * can open it. IPMPI_ESYS: this system has none (errno); IPMPI_ENOMEM. */
int ipmpi_segment_create(size_t len, struct ipmpi_buffer **buffer_out);

/* Where others find it. IPMPI_ENOENT: the buffer is not one of create's. */
int ipmpi_segment_address(const struct ipmpi_buffer *buffer,
                          struct ipmpi_segment_address *address_out);

/* Copies `len` bytes to the beginning of what create has made; the cheapest way
 * while nothing of it was touched. */
void ipmpi_segment_fill(struct ipmpi_buffer *buffer, const void *data,
                        size_t len);

/* Before a part of it is written to through its mapping (the maker's, or one
 * for filling): asks for the pages at once, since a fault for each costs
 * several times as much. Only a hint; another buffer is left alone. */
void ipmpi_segment_prepare(const struct ipmpi_buffer *buffer,
                           const uint8_t *data, size_t len);

/* A view of a segment, its maker's own included. IPMPI_ENOENT: it cannot be
 * reached, or is gone; IPMPI_ENOMEM. */
int ipmpi_segment_open(const struct ipmpi_segment_address *address,
                       enum ipmpi_segment_access access,
                       struct ipmpi_buffer **buffer_out);

/* A text that processes have in common if they can open each other's
 * segments, as far as one can know beforehand. */
#define IPMPI_NODE_LEN 63
void ipmpi_segment_node(char text_out[IPMPI_NODE_LEN + 1]);

#endif

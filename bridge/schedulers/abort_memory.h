/* The memory of aborts: ids that a client took back before their requests
 * came. Bounded: it holds the last 65536.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_ABORT_MEMORY_H
#define IPMPI_SCHEDULERS_ABORT_MEMORY_H

#include <stdbool.h>

struct ipmpi_abort_memory; /* opaque */

/* IPMPI_ENOMEM. */
int ipmpi_abort_memory_create(struct ipmpi_abort_memory **memory_out);
void ipmpi_abort_memory_destroy(
    struct ipmpi_abort_memory **memory); /* NULL ok */

/* Notes an id (copied); without memory it is as if it had not been said. */
void ipmpi_abort_remember(struct ipmpi_abort_memory *memory,
                          const char *msg_id);

/* Whether this id was aborted before it came; forgets it then. */
bool ipmpi_abort_recall(struct ipmpi_abort_memory *memory, const char *msg_id);

#endif

/* The msg_ids of a history_reply, sorted by their submit time (compat 3.6).
 *
 * Threads: a history belongs to one thread at a time. */
#ifndef IPMPI_HUB_HISTORY_H
#define IPMPI_HUB_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "bridge/hub/text.h"
#include "runtime/base/frames.h"

struct ipmpi_history_entry {
    int64_t submitted_us;
    size_t order;   /* of addition: breaks ties */
    size_t at, len; /* the id, in `ids` */
};

/* Zero-initialised is empty. */
struct ipmpi_history {
    struct ipmpi_history_entry *entries;
    size_t n, cap;
    struct ipmpi_text ids;
};

/* Adds an id (copied) unless submitted_us is 0, which is null. IPMPI_ENOMEM. */
int ipmpi_history_add(struct ipmpi_history *history, const void *msg_id,
                      size_t len, int64_t submitted_us);

/* Makes the content of the reply. IPMPI_ENOMEM. */
int ipmpi_history_finish(struct ipmpi_history *history,
                         struct ipmpi_frame *content_out);

void ipmpi_history_clear(struct ipmpi_history *history);

#endif

/* The content and buffers of a db_reply under construction (compat 3.7).
 *
 * Threads: an answer belongs to one thread at a time. */
#ifndef IPMPI_HUB_ANSWER_H
#define IPMPI_HUB_ANSWER_H

#include "bridge/hub/hub_error.h"
#include "bridge/hub/record.h"

/* A larger answer is refused: it has to be held in memory at once. */
#define IPMPI_ANSWER_MAX ((size_t)2 << 30)

/* Zero-initialised, with `fields` set (ipmpi_query_keys), is the start. */
struct ipmpi_answer {
    uint32_t fields;
    struct ipmpi_text json, lens, result_lens;
    struct ipmpi_frames buffers;
    size_t nrecords, buffer_bytes;
};

/* Adds a record; its buffers are shared. IPMPI_ENOMEM, IPMPI_ETOOBIG. */
int ipmpi_answer_add(struct ipmpi_answer *answer,
                     const struct ipmpi_record *record);

/* Moves the content into a frame; the buffers stay for the caller to move.
 * IPMPI_ENOMEM. */
int ipmpi_answer_finish(struct ipmpi_answer *answer,
                        struct ipmpi_frame *content_out);

/* What a failure of these calls is to the client. */
void ipmpi_answer_error(int err, struct ipmpi_hub_error *error);

void ipmpi_answer_clear(struct ipmpi_answer *answer);

#endif

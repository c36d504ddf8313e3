/* What is written in the work of a broadcast's shares: all but their msg_ids is
 * the same, and written once.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_SHARE_TEXT_H
#define IPMPI_SCHEDULERS_SHARE_TEXT_H

#include "bridge/wire/request.h"
#include "runtime/base/frames.h"

/* Zero-initialised is good to clear. */
struct ipmpi_share_text {
    struct ipmpi_frame rest; /* of the header: without "{" and msg_id */
    struct ipmpi_frame echo; /* as IPMPI_MSG_WORK has it */
};

/* IPMPI_ENOMEM. */
int ipmpi_share_text_make(struct ipmpi_request *request,
                          struct ipmpi_share_text *text_out);
void ipmpi_share_text_clear(struct ipmpi_share_text *text);

/* The request's header with this msg_id; the caller owns the frame's one
 * share. IPMPI_ENOMEM. */
int ipmpi_share_text_header(const struct ipmpi_share_text *text,
                            const char *msg_id, struct ipmpi_frame *header_out);

#endif

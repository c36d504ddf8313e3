/* What a bulk job and its pieces consist of; for bulk.c, bulk_feed.c and
 * bulk_request.c only. */
#ifndef IPMPI_SCHEDULERS_BULK_INTERNAL_H
#define IPMPI_SCHEDULERS_BULK_INTERNAL_H

#include "bridge/schedulers/bulk.h"
#include "bridge/schedulers/ranges.h"

struct ipmpi_bulk {
    struct ipmpi_task *task; /* its own; the job is HELD as long as it lives */
    uint64_t items, unit, chunk;
    const struct ipmpi_frame *table, *data; /* borrowed from the request */
    json_t *call;                           /* likewise */
    size_t first_function;                  /* among the request's parts */
    struct ipmpi_ranges waiting;
    struct ipmpi_grain grain;
    struct ipmpi_piece *pieces; /* at engines, oldest first */
    uint64_t npieces_made, ndecided, nfailed;
    bool begun, aborted;
    struct ipmpi_bulk *prev, *next; /* of those begun */
};

/* Items that an engine has; those before range.first are decided. */
struct ipmpi_piece {
    struct ipmpi_bulk *bulk;
    struct ipmpi_job *job;
    struct ipmpi_range range;
    struct ipmpi_piece *prev, *next;
};

/* ---- bulk.c: pieces and their end ------------------------------------ */

/* A piece of these items, with a HELD job. IPMPI_ENOMEM. */
int ipmpi_bulk_make_piece(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk,
                          const struct ipmpi_range *range,
                          struct ipmpi_piece **piece_out);

/* These items have failed for good, with an error that no engine reported
 * (given; NULL for want of memory). */
void ipmpi_bulk_fail(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk,
                     const struct ipmpi_range *range, json_t *error);

/* Ends the job, which is gone then, if nothing of it is left. */
void ipmpi_bulk_end_if_done(struct ipmpi_hub *hub, struct ipmpi_bulk *bulk);

/* ---- bulk_request.c: what travels ----------------------------------- */

/* Reads and checks content and buffers. Errors as ipmpi_bulk_create. */
int ipmpi_bulk_read(struct ipmpi_bulk *bulk, struct ipmpi_request *request);

/* The largest end of a range that begins at `first` and whose units have no
 * more than `bytes`, but for the first. */
uint64_t ipmpi_bulk_fit(const struct ipmpi_bulk *bulk, uint64_t first,
                        uint64_t end, size_t bytes);

/* Content and buffers of a piece. IPMPI_ENOMEM: nothing is to be cleared. */
int ipmpi_bulk_body(const struct ipmpi_bulk *bulk,
                    const struct ipmpi_range *range, bool retry,
                    struct ipmpi_frames *body_out);

/* What a PART or REPLY says; clear it by json_decref(content). */
struct ipmpi_bulk_report {
    json_t *content;
    uint64_t first, end;
    double spent_us;
    const json_t *errors; /* array, borrowed */
};

/* IPMPI_EFRAME: it tells of no items; IPMPI_EJSON; IPMPI_ENOMEM. */
int ipmpi_bulk_read_report(const struct ipmpi_reply *reply,
                           struct ipmpi_bulk_report *report_out);

/* Tells the client in an engine's place that items have failed. `error` (the
 * content of an error, given) may be NULL for want of memory. */
void ipmpi_bulk_tell_failed(struct ipmpi_hub *hub,
                            const struct ipmpi_bulk *bulk, uint64_t first,
                            uint64_t end, json_t *error);

/* The last reply to the client. IPMPI_ENOMEM. */
int ipmpi_bulk_make_end(struct ipmpi_hub *hub, const struct ipmpi_bulk *bulk,
                        struct ipmpi_reply *reply_out);

#endif

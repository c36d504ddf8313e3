/* What was sent to clients and not yet taken by them: it waits in rank 0's
 * memory. While it is more than a limit, rank 0 holds back: it reads no work
 * and gives none to engines, so that no more results come; a client that reads
 * slowly slows the work down and loses nothing. A client that takes nothing at
 * all for 30 s meanwhile is deaf: what it has waiting no longer counts, and
 * what comes for it is dropped, until it reads again. Results stay in the task
 * database.
 *
 * Threads: done on any; the rest on rank 0's loop. Nothing blocks. */
#ifndef IPMPI_BRIDGE_OUTFLOW_H
#define IPMPI_BRIDGE_OUTFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipmpi_outflow; /* opaque */
struct ipmpi_parcel;  /* opaque: a message on its way */

/* limit 0: none, nobody is ever deaf. IPMPI_ENOMEM. */
int ipmpi_outflow_create(size_t limit, struct ipmpi_outflow **outflow_out);

/* Every parcel must be done. NULL is fine. */
void ipmpi_outflow_destroy(struct ipmpi_outflow **outflow);

/* A message of `bytes` is about to go to the client `id` (lent; names it at
 * `door`). IPMPI_EFULL: it must be dropped, the client is deaf; or it is
 * `answered` (a question, which nobody holds back) and already has twice the
 * limit unread. IPMPI_ENOMEM: send it uncounted. */
int ipmpi_outflow_post(struct ipmpi_outflow *outflow, int door, const void *id,
                       size_t id_len, size_t bytes, bool answered,
                       struct ipmpi_parcel **parcel_out);

/* The message was taken, or its client is gone. */
void ipmpi_outflow_done(struct ipmpi_parcel **parcel);

/* Whether to hold back. */
bool ipmpi_outflow_holds_back(const struct ipmpi_outflow *outflow);

/* Looks who takes nothing. To be called at the deadline, or more often. */
void ipmpi_outflow_look(struct ipmpi_outflow *outflow, int64_t now_us);

/* INT64_MAX while nothing has to be looked after. */
int64_t ipmpi_outflow_deadline_us(const struct ipmpi_outflow *outflow);

/* Bytes that wait, those of the deaf included. */
size_t ipmpi_outflow_bytes(const struct ipmpi_outflow *outflow);

#endif

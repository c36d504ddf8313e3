/* A request of the query door whose answer comes later, from the task
 * database.
 *
 * Threads: rank 0's loop only. */
#ifndef IPMPI_REQUESTS_PENDING_H
#define IPMPI_REQUESTS_PENDING_H

#include "bridge/hub/hub.h"
#include "bridge/hub/hub_error.h"

struct ipmpi_pending {
    struct ipmpi_hub *hub;
    struct ipmpi_request *request; /* one share */
    const char *reply_type;        /* static */
};

/* NULL: out of memory, and the client has been told. */
struct ipmpi_pending *ipmpi_pending_create(struct ipmpi_hub *hub,
                                           struct ipmpi_request *request,
                                           const char *reply_type);
void ipmpi_pending_destroy(struct ipmpi_pending *pending);

/* Answers with an error if there is one; then returns true. */
bool ipmpi_pending_failed(const struct ipmpi_pending *pending,
                          const struct ipmpi_hub_error *error);

/* An ipmpi_taskdb_reply_fn for answers that the database has made whole: sends
 * it and destroys the pending request, which is `arg`. */
void ipmpi_pending_answer(void *arg, const struct ipmpi_hub_error *error,
                          const struct ipmpi_frame *content,
                          struct ipmpi_frames *buffers);

/* The strings of a JSON array of msg_ids, NULL-free; the array is lent and
 * must outlive the list, which the caller frees. IPMPI_EJSON, IPMPI_ENOMEM. */
int ipmpi_pending_ids(const json_t *array, const char ***ids_out,
                      size_t *n_out);

#endif

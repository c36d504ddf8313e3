/* What the hub tells the task database, in the words of the schedulers.
 * Compat 11: only requests of the mux and task queues have records.
 *
 * Threads: rank 0's loop only. Nothing blocks; a failing database is logged
 * and disturbs no request. */
#ifndef IPMPI_HUB_RECORDS_H
#define IPMPI_HUB_RECORDS_H

#include "bridge/hub/hub.h"

/* A request arrived; engine is NULL until one is chosen. */
void ipmpi_records_submitted(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                             const struct ipmpi_engine *engine);
void ipmpi_records_assigned(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                            const struct ipmpi_engine *engine);

/* The job is decided; the parts are shared, not moved. engine may be NULL. */
void ipmpi_records_finished(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                            const struct ipmpi_engine *engine,
                            const struct ipmpi_reply *reply);

/* Output of a request; `frames` are those of an IOPUB message. */
void ipmpi_records_output(struct ipmpi_hub *hub, enum ipmpi_iopub_kind kind,
                          const struct ipmpi_frames *frames);

#endif

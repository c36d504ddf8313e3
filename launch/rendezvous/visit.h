/* A short visit to a job's agents, by a launcher that came later: what does
 * each do, and, if asked, end the job in good order.
 *
 * Threads: one. Blocks for the time given. */
#ifndef IPMPI_LAUNCH_RENDEZVOUS_VISIT_H
#define IPMPI_LAUNCH_RENDEZVOUS_VISIT_H

#include <stddef.h>

#include <jansson.h>

#include "launch/rendezvous/driver.h"

/* Dials all places and gathers their offers: offers_out[i] is the offer of
 * place i (given) or NULL. With `drain` the one that leads is asked to end its
 * job, and it is waited for. Returns how many answered. */
size_t ipmpi_visit(const struct ipmpi_job_spec *spec,
                   const struct ipmpi_place *places, size_t n, bool drain,
                   int64_t wait_us, json_t **offers_out);

#endif

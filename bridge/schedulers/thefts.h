/* Rank 0's part in thefts between engines: note [theft] in protocol.h. It
 * enters hand-overs into its account and grants them; and where an engine has
 * nothing to do while another has tasks waiting, it orders one, within a world
 * from rank to rank, between worlds by way of rank 0.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_THEFTS_H
#define IPMPI_SCHEDULERS_THEFTS_H

#include "bridge/hub/hub.h"

/* Messages of an engine. */
void ipmpi_thefts_handover(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                           const struct ipmpi_msg_head *head,
                           struct ipmpi_frames *frames);
void ipmpi_thefts_missing(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                          const struct ipmpi_msg_head *head,
                          struct ipmpi_frames *frames);
void ipmpi_thefts_hungry(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                         const struct ipmpi_msg_head *head,
                         struct ipmpi_frames *frames);

/* The engine may have nothing to do: gets it something if there is any. */
void ipmpi_thefts_feed(struct ipmpi_hub *hub, struct ipmpi_engine *engine);

/* When an order will have been waited for long enough (monotonic, us), or
 * INT64_MAX; and what to do then: another engine is told to give. */
int64_t ipmpi_thefts_deadline_us(const struct ipmpi_hub *hub);
void ipmpi_thefts_fire_timers(struct ipmpi_hub *hub);

/* The engine is gone: whom it was to give something gets it elsewhere. Those
 * of its world must have been told (GONE) before. */
void ipmpi_thefts_engine_gone(struct ipmpi_hub *hub,
                              struct ipmpi_engine *engine);

#endif

/* What engines on other nodes hold in memory: rank 0 sees its own node in
 * /proc, the others it asks. Only when a client wants to know, and at most
 * IPMPI_SURVEYS_MAX at a time.
 *
 * Threads: rank 0's loop only. Nothing here blocks. */
#ifndef IPMPI_REQUESTS_SURVEY_H
#define IPMPI_REQUESTS_SURVEY_H

#include "bridge/hub/hub.h"

#define IPMPI_SURVEYS_MAX 16

struct ipmpi_survey; /* opaque: those under way */

/* Answers a request once the survey is over; `number` is the survey's. */
typedef void ipmpi_survey_done_fn(struct ipmpi_hub *hub,
                                  struct ipmpi_request *request,
                                  uint64_t number);

/* IPMPI_ENOMEM. */
int ipmpi_survey_create(ipmpi_survey_done_fn *done,
                        struct ipmpi_survey **survey_out);
/* Those under way are forgotten. NULL is fine. */
void ipmpi_survey_destroy(struct ipmpi_survey **survey);

/* Asks all engines that are not on the node `here`. 0: `done` will be called,
 * with a share of the request, when all have answered or half a second is
 * over. IPMPI_EEMPTY: there is nobody to ask; IPMPI_EFULL: too many surveys;
 * IPMPI_ENOMEM. */
int ipmpi_survey_begin(struct ipmpi_hub *hub, struct ipmpi_request *request,
                       const char *here);

/* An engine's answer (MEASURED). */
void ipmpi_survey_take(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames);

/* When ipmpi_survey_turn has to be called at the latest; INT64_MAX: never. */
int64_t ipmpi_survey_deadline_us(const struct ipmpi_survey *survey);
void ipmpi_survey_turn(struct ipmpi_hub *hub);

#endif

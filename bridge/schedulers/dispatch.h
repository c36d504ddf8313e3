/* Each engine's queue on rank 0, and the way of work to the engine and of its
 * replies back. A small window of jobs is sent ahead, so that the engine finds
 * the next one at hand; the rest waits here, where it can be aborted, counted
 * and saved without asking the engine.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_DISPATCH_H
#define IPMPI_SCHEDULERS_DISPATCH_H

#include "bridge/hub/hub.h"
#include "runtime/bell/bell.h"

/* Queues a HELD job at an engine; order of calls is order of execution. Its
 * owner hears of it again by `decided` or `lost`. */
void ipmpi_dispatch(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                    struct ipmpi_job *job);

/* Sends a HELD job to an engine before its turn, past the window. */
void ipmpi_dispatch_ahead(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                          struct ipmpi_job *job);

/* Its turn has come: from now on it counts in the window. */
void ipmpi_dispatch_is_needed(struct ipmpi_job *job);

/* The engine says that it runs the job. */
void ipmpi_dispatch_started(struct ipmpi_hub *hub, struct ipmpi_job *job);

/* The victim, which has the job, hands it over to the thief (NULL: back to
 * rank 0). BACK: the job is HELD. It is not told to its owner. */
enum ipmpi_handover ipmpi_dispatch_hand_over(struct ipmpi_hub *hub,
                                             struct ipmpi_job *job,
                                             struct ipmpi_engine *victim,
                                             struct ipmpi_engine *thief);

/* Takes a SENT job back that its engine never got; it is HELD again. */
void ipmpi_dispatch_missing(struct ipmpi_hub *hub, struct ipmpi_job *job);

/* A REPLY came from the engine; `frames` are those after the head, moved away.
 * Replies to what is already decided are dropped. */
void ipmpi_dispatch_reply(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                          const struct ipmpi_msg_head *head,
                          struct ipmpi_frames *frames);

/* The reply (lent; its parts are cleared) to a SENT job has come by way of
 * other engines. */
void ipmpi_dispatch_gathered(struct ipmpi_hub *hub, struct ipmpi_job *job,
                             struct ipmpi_reply *reply);

/* As reply, for a PART: the job stays at the engine. */
void ipmpi_dispatch_part(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                         const struct ipmpi_msg_head *head,
                         struct ipmpi_frames *frames);

/* While held back, engines get no work but control requests. */
void ipmpi_dispatch_hold_back(struct ipmpi_hub *hub, bool held_back);

/* Takes a job of the engine's queue back; it is HELD again. Only for jobs in
 * state WAITING. */
void ipmpi_dispatch_take_back(struct ipmpi_hub *hub, struct ipmpi_job *job);

/* Decides a job in the engine's place as aborted, or as failed with ename:
 * its owner is told. The job must be HELD; engine may be NULL. */
void ipmpi_dispatch_decide(struct ipmpi_hub *hub, struct ipmpi_job *job,
                           struct ipmpi_engine *engine, const char *ename,
                           const char *evalue);

/* The engine is gone (notice as in reckoning.h): its jobs go back to their
 * owners by `lost`, oldest first. */
void ipmpi_dispatch_engine_lost(struct ipmpi_hub *hub,
                                struct ipmpi_engine *engine,
                                const struct ipmpi_exit_notice *notice);

#endif

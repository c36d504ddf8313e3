/* The engines as rank 0 sees them on MPI: welcomed at the start, their
 * messages sorted to hub and schedulers, their end noticed.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_BRIDGE_ENGINES_H
#define IPMPI_BRIDGE_ENGINES_H

#include "bridge/hub/hub.h"
#include "runtime/bell/bell.h"

/* What rank 0 tells an engine when it joins. */
struct ipmpi_welcome {
    const char *key; /* text */
    const char *username;
};

/* Registers the engine of a rank and welcomes it. IPMPI_ENOMEM. */
int ipmpi_engines_welcome(struct ipmpi_hub *hub,
                          const struct ipmpi_welcome *welcome, int rank,
                          int id);

/* A message of protocol.h came from `rank`; frames may be moved away. */
void ipmpi_engines_receive(struct ipmpi_hub *hub, int rank,
                           struct ipmpi_frames *frames);

/* Tells clients of new engines once more, when the time has come. */
void ipmpi_engines_announce_again(struct ipmpi_hub *hub);

/* When to call it at the latest; INT64_MAX if there is nothing to say. */
int64_t ipmpi_engines_deadline_us(const struct ipmpi_hub *hub);

/* A clause that says how a rank ended: "was killed by signal 9 (Killed)". */
void ipmpi_engines_describe_end(const struct ipmpi_exit_notice *notice,
                                char *out, size_t cap);

/* The engine of this rank is gone (notice NULL: it left in good order).
 * Unknown ranks are ignored. Everything it sent must have been received
 * before. */
void ipmpi_engines_lost(struct ipmpi_hub *hub, int rank,
                        const struct ipmpi_exit_notice *notice);

/* Forgets all engines and what they had to do: the job ends, and its clients
 * have been told. */
void ipmpi_engines_forget(struct ipmpi_hub *hub);

/* Tells every rank that the job ends, also those whose engine has left. */
void ipmpi_engines_say_bye(struct ipmpi_hub *hub, int nranks);

/* How many engines are still on their way. */
size_t ipmpi_engines_joining(const struct ipmpi_hub *hub);

#endif

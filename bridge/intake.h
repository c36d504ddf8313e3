/* The intake: messages from the doors, checked, counted, and given to whoever
 * handles them. What is forged, replayed or malformed is dropped here for the
 * price of one HMAC and disturbs nobody.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_BRIDGE_INTAKE_H
#define IPMPI_BRIDGE_INTAKE_H

#include <stdint.h>

#include "bridge/doors.h"
#include "bridge/hub/hub.h"
#include "bridge/joiners.h"
#include "runtime/base/log.h"

struct ipmpi_intake {
    struct ipmpi_doors *doors; /* lent */
    struct ipmpi_hub *hub;     /* lent */
    const struct ipmpi_key *key;
    struct ipmpi_replay *replay;
    struct ipmpi_limits limits;
    struct ipmpi_joiners joiners;
    size_t held_limit; /* weight of undecided requests: above it, no work is
                        * taken in (0: none) */
    uint64_t taken, dropped;
    struct ipmpi_log_limit log_limit;
};

/* Lends doors, hub and key. IPMPI_ENOMEM. */
int ipmpi_intake_open(struct ipmpi_intake *intake, struct ipmpi_doors *doors,
                      struct ipmpi_hub *hub, const struct ipmpi_key *key);
void ipmpi_intake_close(struct ipmpi_intake *intake);

/* The doors to listen at now: those for work are left out while too much is
 * held. A mask of 1 << enum ipmpi_door. */
unsigned ipmpi_intake_mask(const struct ipmpi_intake *intake);

/* Takes at most `budget` messages from each door of the mask; returns how
 * many there were. */
unsigned ipmpi_intake_turn(struct ipmpi_intake *intake, unsigned mask,
                           unsigned budget);

#endif

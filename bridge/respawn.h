/* When dead engines are replaced (--respawn): at once, those that die together
 * together; after that not within 2 s of the last time, and not more than 5
 * times in a minute: if something kills them, replacing them must not be all
 * that the cluster does. It never gives up.
 *
 * Threads: rank 0's loop only. Nothing blocks; the caller's clock. */
#ifndef IPMPI_BRIDGE_RESPAWN_H
#define IPMPI_BRIDGE_RESPAWN_H

#include <stdbool.h>
#include <stdint.h>

#define IPMPI_RESPAWN_MOST 5

/* Zero-initialised is the start. */
struct ipmpi_respawn {
    int missing;                          /* not replaced yet */
    int64_t times_us[IPMPI_RESPAWN_MOST]; /* ring of the last ones; 0: none */
    unsigned n;
    bool complained; /* of the pace, since it last was slow */
};

/* An engine died. */
void ipmpi_respawn_lost(struct ipmpi_respawn *respawn);

/* How many to start now; they count as replaced. Says once that the pace is
 * held back. */
int ipmpi_respawn_take(struct ipmpi_respawn *respawn, int64_t now_us);

/* When to ask again; INT64_MAX: not before the next loss. */
int64_t ipmpi_respawn_deadline_us(const struct ipmpi_respawn *respawn);

#endif

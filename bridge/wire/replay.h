/* Signatures already seen: a bounded memory that forgets the oldest first, so
 * that a recorded message cannot be played again.
 *
 * Threads: one at a time. Nothing blocks. */
#ifndef IPMPI_WIRE_REPLAY_H
#define IPMPI_WIRE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPMPI_REPLAY_CAP 65536 /* what ipyparallel remembers */
#define IPMPI_DIGEST_LEN 32    /* of SHA-256, binary */

struct ipmpi_replay; /* opaque; 40 bytes of memory a signature */

/* `cap` is a power of two, at most 2^30. IPMPI_EINVAL, IPMPI_ENOMEM. */
int ipmpi_replay_create(size_t cap, struct ipmpi_replay **replay_out);
void ipmpi_replay_destroy(struct ipmpi_replay **replay);

bool ipmpi_replay_seen(const struct ipmpi_replay *replay,
                       const uint8_t digest[IPMPI_DIGEST_LEN]);

/* Remembers a digest that was not seen; when full, forgets the oldest. Only
 * digests that verified may come here: the table trusts them to be spread as
 * a hash's output is. */
void ipmpi_replay_remember(struct ipmpi_replay *replay,
                           const uint8_t digest[IPMPI_DIGEST_LEN]);

#endif

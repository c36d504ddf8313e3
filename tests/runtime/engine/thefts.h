/* The controller's part in thefts between engines: rank 0 orders them, or has
 * them granted, and hears what became of them. */
#ifndef IPMPI_TESTS_ENGINE_THEFTS_H
#define IPMPI_TESTS_ENGINE_THEFTS_H

#include <stdint.h>

#include "runtime/engine/protocol.h"

/* Sends a message of head, detail and two arrays of refs (lent; NULL: empty):
 * GIVE, GRANT, GONE. */
void controller_say(int engine, enum ipmpi_msg_type type, int detail,
                    const uint64_t *refs, int n, const uint64_t *others,
                    int nothers);

/* Waits for a message of this type and takes it, so that the next call has the
 * next one: its refs, of which there may be `cap`, and its detail. Returns how
 * many. */
int controller_take_refs(int engine, enum ipmpi_msg_type type,
                         uint64_t *refs_out, int cap, int *detail_out);

/* Plays rank 0: grants every theft until the requests are done. Returns how
 * many tasks moved. */
int controller_grant_until_done(const uint64_t *refs, int n);

#endif

/* Which controllers have a task database open: several of one profile share
 * the file, each with a cluster id of its own. */
#ifndef IPMPI_HUB_CLAIM_H
#define IPMPI_HUB_CLAIM_H

#include <stdbool.h>

/* Opens the file, or creates it (0600), and claims it as long as the returned
 * descriptor is open, which the caller owns. `alone_out`: no other controller
 * claims it now. -1: cannot be opened for writing (errno).
 *
 * Closing the descriptor drops what locks this process has on the file, so
 * SQLite's handle is closed first. */
int ipmpi_claim_open(const char *path, bool *alone_out);

#endif

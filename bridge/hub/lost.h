/* Tasks that an earlier controller left undecided. Nobody will ever decide
 * them, so whoever asks must not wait. */
#ifndef IPMPI_HUB_LOST_H
#define IPMPI_HUB_LOST_H

#include "bridge/hub/table.h"

/* Gives every undecided row that was submitted a result: an EngineError that
 * says so. Errors as those of the table; a transaction may be left open. */
int ipmpi_lost_decide(struct ipmpi_table *table);

#endif

/* The account of a rank: which work it has begun, in memory that outlives it.
 * The rank writes it, its nanny reads it when the rank is dead, so that rank 0
 * knows what had begun and what can go elsewhere as if never sent, however the
 * rank died.
 *
 * Threads: begin and end on one thread of the rank; open, close and fd when no
 * other uses it. Nothing blocks. */
#ifndef IPMPI_PROCESS_ACCOUNT_H
#define IPMPI_PROCESS_ACCOUNT_H

#include <stdint.h>

#include "runtime/bell/bell.h"

struct ipmpi_account; /* opaque */

/* IPMPI_ESYS with errno, IPMPI_ENOMEM. */
int ipmpi_account_open(struct ipmpi_account **account_out);
void ipmpi_account_close(struct ipmpi_account **account); /* NULL ok */

/* The descriptor that the nanny reads; the account's. */
int ipmpi_account_fd(const struct ipmpi_account *account);

/* The work is about to begin, and has ended. NULL: nobody keeps account. */
void ipmpi_account_begin(struct ipmpi_account *account, uint64_t ref);
void ipmpi_account_end(struct ipmpi_account *account, uint64_t ref);

/* Of the work begun last, the items before `step` have begun, or are about to.
 * None has when it begins. */
void ipmpi_account_step(struct ipmpi_account *account, uint64_t step);

/* Reads a dead rank's account. IPMPI_EFRAME: it is none, or was overwritten. */
int ipmpi_account_read(int fd, struct ipmpi_begun *begun_out);

#endif

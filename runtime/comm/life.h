/* The start and the end of MPI in this process.
 *
 * Threads: both on the one that MPI_Init is called by; begin changes the
 * environment for a while, so others must not look at it. */
#ifndef IPMPI_COMM_LIFE_H
#define IPMPI_COMM_LIFE_H

#include <stdint.h>

/* Initialises MPI, with what it needs to know to start and to send without
 * delay; what the user tells it in the environment counts more. Blocks until
 * all ranks are there. IPMPI_EMPI, logged. */
int ipmpi_life_begin(void);

/* Finalises MPI, until the deadline (monotonic clock): with dead peers that
 * may never return. IPMPI_ETIMEOUT: a thread is still in it, and the memory
 * that MPI was lent must stay; IPMPI_ENOMEM, IPMPI_ESYS: nothing was done. */
int ipmpi_life_end(int64_t deadline_us);

#endif

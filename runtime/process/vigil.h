/* A vigil over the link while a rank is inside a call that cannot be left:
 * MPI_Init waits for all ranks, for ever if one of them never comes. If the
 * nanny goes meanwhile, so does the rank, at once.
 *
 * Threads: begin and end on one thread; the vigil is kept by another. */
#ifndef IPMPI_PROCESS_VIGIL_H
#define IPMPI_PROCESS_VIGIL_H

struct ipmpi_vigil; /* opaque */

#define IPMPI_EXIT_NO_NANNY 75 /* EX_TEMPFAIL */

/* Lends the link's descriptor (-1: there is no nanny, and NULL is the vigil),
 * reads nothing from it. Without a thread or memory there is no vigil: NULL,
 * and the rank must do without. */
struct ipmpi_vigil *ipmpi_vigil_begin(int link_fd);

/* Ends it and nulls the pointer. NULL is fine. */
void ipmpi_vigil_end(struct ipmpi_vigil **vigil);

#endif

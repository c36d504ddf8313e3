/* Output of an engine: what is written through descriptors 1 and 2, by C code
 * and by subprocesses, is captured by pipes; what Python writes comes straight.
 * All of it goes to the outbox as text of the current parent, the request on
 * whose behalf it is written.
 *
 * Threads: any. Whoever changes the parent, or is about to answer, first takes
 * in what the pipes hold: so it is attributed to the right request. */
#ifndef IPMPI_ENGINE_OUTPUT_H
#define IPMPI_ENGINE_OUTPUT_H

#include "runtime/engine/outbox.h"

struct ipmpi_output; /* opaque */

/* Puts pipes in the place of descriptors 1 and 2. Lends the outbox.
 * IPMPI_ENOMEM, IPMPI_ESYS: the descriptors are as before. */
int ipmpi_output_open(struct ipmpi_outbox *outbox,
                      struct ipmpi_output **output_out);

/* Takes in the rest and puts the descriptors back. */
void ipmpi_output_restore(struct ipmpi_output *output);
void ipmpi_output_destroy(struct ipmpi_output **output);

/* The end of the pipe to poll; which = 0: stdout, 1: stderr. */
int ipmpi_output_pipe(const struct ipmpi_output *output, int which);
/* Where 1 or 2 went before; -1: it was closed. Owned by the output. */
int ipmpi_output_original(const struct ipmpi_output *output, int which);

/* Takes in what the pipes hold now. With `all`, also the beginning of a
 * character whose rest has not come. Never blocks. */
void ipmpi_output_drain(struct ipmpi_output *output, bool all);

/* Drains, then shares `header` as the parent of what follows. */
void ipmpi_output_set_parent(struct ipmpi_output *output,
                             const struct ipmpi_frame *header);

/* The current parent, with a share for the caller to release. */
void ipmpi_output_parent(struct ipmpi_output *output,
                         struct ipmpi_frame *parent_out);

/* Text that Python wrote, after what the pipe of `fd` (1 or 2) holds.
 * IPMPI_ENOMEM. */
int ipmpi_output_write(struct ipmpi_output *output, int fd, const char *text,
                       size_t len);

#endif

/* How much memory a process has in use.
 *
 * Any thread. A read of /proc, which never waits for a disk. */
#ifndef IPMPI_BASE_MEMORY_H
#define IPMPI_BASE_MEMORY_H

#include <stdint.h>

/* Resident bytes of a process of this node; -1 if it is not there. */
int64_t ipmpi_memory_resident(int pid);

#endif

/* How much memory there is for rank 0. */
#ifndef IPMPI_BRIDGE_MEMORY_H
#define IPMPI_BRIDGE_MEMORY_H

#include <stddef.h>

/* Bytes of this machine, or of the container if that has less; 0: not known.
 * `root` is where cgroups are mounted, usually "/sys/fs/cgroup". */
size_t ipmpi_memory_total(const char *root);

#endif

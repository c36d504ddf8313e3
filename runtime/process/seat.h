/* Where this process runs on its host, as hwloc numbers it. Threads: any. */
#ifndef IPMPI_PROCESS_SEAT_H
#define IPMPI_PROCESS_SEAT_H

#include <stdint.h>

/* The package (socket), and the largest cache that several of its cores share,
 * to which the process is bound; -1: it is bound to none, or hwloc cannot
 * tell. Some milliseconds where it is bound; no file is read where not. */
void ipmpi_seat_find(int32_t *package_out, int32_t *cache_out);

#endif

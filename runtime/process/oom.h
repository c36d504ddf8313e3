/* Whether the kernel kills for lack of memory. It does so by SIGKILL, which
 * says nothing of the reason; only its counter tells. Any thread. */
#ifndef IPMPI_PROCESS_OOM_H
#define IPMPI_PROCESS_OOM_H

#include <stdint.h>

/* How often it has done so on this host since it booted, in memory cgroups,
 * too; -1: it does not tell. */
int64_t ipmpi_oom_kills(void);

#endif

/* The kernel's count of processes killed for lack of memory. */
#include "runtime/process/oom.h"

#include <inttypes.h>
#include <stdio.h>

int64_t ipmpi_oom_kills(void)
{
    FILE *file = fopen("/proc/vmstat", "re");
    int64_t kills = -1;
    char line[128];

    if (file == NULL)
        return -1;
    while (kills < 0 && fgets(line, sizeof(line), file) != NULL)
        (void)sscanf(line, "oom_kill %" SCNd64, &kills);
    fclose(file);
    return kills;
}

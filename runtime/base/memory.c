/* Memory in use. */
#include "runtime/base/memory.h"

#include <stdio.h>
#include <unistd.h>

int64_t ipmpi_memory_resident(int pid)
{
    long long size, resident;
    char path[64];
    FILE *file;
    int got;

    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL)
        return -1;
    got = fscanf(file, "%lld %lld", &size, &resident);
    fclose(file);
    return got == 2 ? (int64_t)resident * sysconf(_SC_PAGESIZE) : -1;
}

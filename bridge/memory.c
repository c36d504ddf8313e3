/* The machine's memory, and the limit of a container. */
#include "bridge/memory.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* The limit in a file of ours, as a container sees it: version 2 and 1. No
 * limit is "max", or a number that no machine has. */
static size_t limit_in(const char *root, const char *name)
{
    uint64_t limit = 0;
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%" SCNu64, &limit) != 1)
        limit = 0;
    fclose(file);
    return limit < SIZE_MAX ? (size_t)limit : 0;
}

size_t ipmpi_memory_total(const char *root)
{
    static const char *const names[] = {"memory.max",
                                        "memory/memory.limit_in_bytes"};
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t total = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const size_t limit = limit_in(root, names[i]);

        if (limit > 0 && (total == 0 || limit < total))
            total = limit;
    }
    return total;
}

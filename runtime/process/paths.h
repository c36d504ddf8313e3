/* Where the parts of ipmpi lie, seen from the running binary: beside it in a
 * build directory, or below its prefix when installed. Threads: any. */
#ifndef IPMPI_PROCESS_PATHS_H
#define IPMPI_PROCESS_PATHS_H

#include <limits.h>

/* What is not found is the empty string. */
struct ipmpi_paths {
    char self[PATH_MAX];       /* this binary */
    char controller[PATH_MAX]; /* ipmpi-controller */
    char embed[PATH_MAX];      /* ipmpi_embed.so */
    char package[PATH_MAX];    /* directory that holds ipmpi_engine */
};

void ipmpi_paths_find(struct ipmpi_paths *out);

#endif

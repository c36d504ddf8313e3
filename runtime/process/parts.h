/* Where the parts of ipmpi lie, seen from the running binary: beside it in a
 * build directory, or below its prefix when installed. Threads: any. */
#ifndef IPMPI_PROCESS_PARTS_H
#define IPMPI_PROCESS_PARTS_H

#include <limits.h>

/* What is not found is the empty string. */
struct ipmpi_parts {
    char self[PATH_MAX];       /* this binary */
    char controller[PATH_MAX]; /* ipmpi-controller */
    char embed[PATH_MAX];      /* ipmpi_embed.so */
    char package[PATH_MAX];    /* directory that holds ipmpi_engine */
};

void ipmpi_parts_find(struct ipmpi_parts *out);

#endif

/* All clusters that have files below one IPython directory.
 *
 * Threads: one. Blocks on the file system only. */
#ifndef IPMPI_LAUNCH_CLUSTERS_PROFILES_H
#define IPMPI_LAUNCH_CLUSTERS_PROFILES_H

#include <stddef.h>

#include "launch/clusters/where.h"

struct ipmpi_profiles {
    struct ipmpi_paths *at; /* by profile, then by cluster id */
    size_t n;
};

/* Those with a lock file or a client connection file, living or not: in the
 * one profile directory if `where` names it (--profile, --profile-dir), else
 * in all. IPMPI_ENOMEM, IPMPI_EINVAL. */
int ipmpi_profiles_find(const struct ipmpi_where *where,
                        struct ipmpi_profiles *profiles_out);
void ipmpi_profiles_clear(struct ipmpi_profiles *profiles);

#endif

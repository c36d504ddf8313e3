/* The file by which ipcluster, ipyparallel.Cluster and JupyterLab's panel
 * know a cluster, PROFILE/security/cluster-ID.json.
 *
 * Threads: one. Blocks on the file system only. */
#ifndef IPMPI_LAUNCH_LOCAL_CLUSTER_FILE_H
#define IPMPI_LAUNCH_LOCAL_CLUSTER_FILE_H

#include "launch/clusters/where.h"

/* Writes it, as Cluster.write_cluster_file would for launchers of ours whose
 * mpirun is `pid` and whose engines are 0 to `engines` - 1. False: it could
 * not be written; errno says why. */
bool ipmpi_cluster_file_write(const struct ipmpi_paths *paths, pid_t pid,
                              int engines);

/* The log that the file names; the caller frees it. NULL: it names none that
 * can be read. */
char *ipmpi_cluster_file_log(const struct ipmpi_paths *paths);

#endif

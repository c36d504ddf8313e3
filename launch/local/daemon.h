/* A cluster that outlives the command that started it.
 *
 * Threads: one. */
#ifndef IPMPI_LAUNCH_LOCAL_DAEMON_H
#define IPMPI_LAUNCH_LOCAL_DAEMON_H

#include "launch/clusters/where.h"

/* Starts argv in a session of its own, its output in the cluster's log; waits
 * until the controller answers and all `engines` are there, and writes the
 * cluster file by which ipcluster, ipyparallel.Cluster and JupyterLab find
 * it. Returns an exit status; what went wrong is told on stderr, in the
 * job's own words if it had any. A job that is late is ended. */
int ipmpi_daemon_start(const struct ipmpi_paths *paths, char **argv,
                       int engines, int wait_s);

#endif

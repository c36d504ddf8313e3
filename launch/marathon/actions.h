/* The four words after `ipmpi marathon`. Each returns the exit status of the
 * program.
 *
 * Threads: one, and while a job is started the watcher's. They block until
 * what they are named for is done. */
#ifndef IPMPI_LAUNCH_MARATHON_ACTIONS_H
#define IPMPI_LAUNCH_MARATHON_ACTIONS_H

#include "launch/marathon/launch.h"

int ipmpi_marathon_start(struct ipmpi_launch *launch);
int ipmpi_marathon_stop(struct ipmpi_launch *launch);
int ipmpi_marathon_status(struct ipmpi_launch *launch);
int ipmpi_marathon_scale(struct ipmpi_launch *launch);

#endif

/* What a job is remembered by, from `start` to `stop`: its keys and where it
 * is, in a file that only its user reads.
 *
 * Threads: one. Blocks on the file system only. */
#ifndef IPMPI_LAUNCH_MARATHON_MEMORY_H
#define IPMPI_LAUNCH_MARATHON_MEMORY_H

#include "launch/marathon/launch.h"

/* Keys of a new job: a site's secret, or a fresh secret and key pair. Errors
 * of ipmpi_secret_make and ipmpi_secret_read. */
int ipmpi_memory_make_keys(struct ipmpi_launch *launch);

/* IPMPI_ENOMEM, IPMPI_EIO. */
int ipmpi_memory_save(struct ipmpi_launch *launch);

/* What start left for those who come later. IPMPI_ENOENT: no such job;
 * IPMPI_EJSON. */
int ipmpi_memory_load(struct ipmpi_launch *launch);

#endif

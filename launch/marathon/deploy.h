/* The application in Marathon: how it comes to be, changes and goes. What
 * Marathon refuses is logged in words, and the result is an exit status: 0, or
 * IPMPI_EXIT_SCHEDULER.
 *
 * Threads: one. Each call blocks until Marathon has answered, or for as long
 * as it says. */
#ifndef IPMPI_LAUNCH_MARATHON_DEPLOY_H
#define IPMPI_LAUNCH_MARATHON_DEPLOY_H

#include <stddef.h>

#include "launch/marathon/launch.h"
#include "launch/rendezvous/driver.h"

/* Is Marathon there, and new enough? */
int ipmpi_deploy_check_version(struct ipmpi_launch *launch);

int ipmpi_deploy_create(struct ipmpi_launch *launch);

/* Deletes the application and waits until it, and its tasks, are gone: a
 * minute at most. */
int ipmpi_deploy_delete(struct ipmpi_launch *launch);

/* A change of the application: METHOD and the rest of its path. A lock is
 * waited for, 30 s at most, then overridden (`forced_rest`): all deployments
 * of this application are ours. `body` is lent. */
int ipmpi_deploy_change(struct ipmpi_launch *launch, const char *method,
                        const char *rest, const char *forced_rest,
                        json_t *body);

/* The application as it is (the caller's reference; NULL if it cannot be
 * read), and its agents' places, IPMPI_NODES_MAX at most. */
json_t *ipmpi_deploy_read(struct ipmpi_launch *launch,
                          struct ipmpi_place *places, size_t *nplaces);

#endif

/* The controller: rank 0. Joins doors (ZMQ), transport (MPI), hub and
 * schedulers in one loop that never blocks outside its poll.
 *
 * Threads: all of it is rank 0's loop. */
#ifndef IPMPI_BRIDGE_CONTROLLER_H
#define IPMPI_BRIDGE_CONTROLLER_H

#include "runtime/base/options.h"

struct ipmpi_controller;

/* Prepares everything that can fail before MPI is up: the profile's directory
 * and lock, keys, doors, database. Lends the options and the command line that
 * they are from, which must live as long as the controller. What is wrong has
 * been logged: IPMPI_E*. */
int ipmpi_controller_open(const struct ipmpi_options *options,
                          char *const *argv,
                          struct ipmpi_controller **controller_out);

/* Starts MPI, welcomes the engines and serves until the job is told to end.
 * Returns the exit code. */
int ipmpi_controller_run(struct ipmpi_controller *controller);

/* Closes what is open; connection files are removed unless they are to be
 * kept. */
void ipmpi_controller_close(struct ipmpi_controller **controller);

#endif

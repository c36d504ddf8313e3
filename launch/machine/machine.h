/* What this machine asks of mpirun: told to it by environment variables, so
 * that a user's own settings win and the command line stays readable.
 *
 * Threads: one, before there are others (it sets the environment). */
#ifndef IPMPI_LAUNCH_MACHINE_MACHINE_H
#define IPMPI_LAUNCH_MACHINE_MACHINE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct ipmpi_machine {
    bool root;        /* mpirun refuses root unless told otherwise */
    bool ssh;         /* ssh or rsh is in PATH: mpirun insists on one */
    bool single_copy; /* processes may read each other's memory */
    bool batch;       /* a batch system has given us its slots */
    unsigned cpus;    /* that we may run on */
};

void ipmpi_machine_look(struct ipmpi_machine *machine_out);

/* A variable that mpirun reads. */
struct ipmpi_setting {
    const char *name, *value; /* static */
};
enum { IPMPI_SETTINGS_MOST = 16 };

/* What the machine needs and the user has not set; how many. */
size_t
ipmpi_machine_settings(const struct ipmpi_machine *machine,
                       struct ipmpi_setting settings_out[IPMPI_SETTINGS_MOST]);

/* Puts these settings into this process's environment. */
void ipmpi_machine_prepare(const struct ipmpi_machine *machine);

/* Finds a program of ours: beside this one, or in PATH. False: not found, and
 * path_out holds the bare name. */
bool ipmpi_machine_program(const char *name, char path_out[PATH_MAX]);

/* Finds any program in PATH. */
bool ipmpi_machine_in_path(const char *name, char path_out[PATH_MAX]);

#endif

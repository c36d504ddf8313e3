/* Which network interface the ranks of a job use to reach other hosts: up,
 * with an IPv4 address, and not one of the bridges that containers and virtual
 * machines leave behind. Open MPI hangs when it picks another one on each
 * side, so it is told before MPI_Init, unless the user has decided.
 *
 * Threads: choose is safe in any; set changes the environment, so it belongs
 * to a process with one thread. */
#ifndef IPMPI_PROCESS_INTERFACES_H
#define IPMPI_PROCESS_INTERFACES_H

#include <stdbool.h>
#include <stdint.h>

struct ipmpi_interface {
    char name[16];
    uint32_t ipv4_be;
    uint32_t mask_be;
};

/* Chooses: among those that OMPI_MCA_btl_tcp_if_include (or the same of
 * oob_tcp) allows if it is set, else among all but loopback, bridges and
 * virtual ones; first the one with the default route. IPMPI_ENOENT: there is
 * none. IPMPI_ESYS. */
int ipmpi_interface_choose(struct ipmpi_interface *out);

/* Puts the choice into this process's environment for Open MPI, if nobody has
 * chosen yet. A job on one host needs it, too: engines that are added to it
 * are reached by TCP (loopback, if there is nothing else). 0 or IPMPI_ENOMEM;
 * that there is nothing to choose is no error. */
int ipmpi_interface_set(bool leaves_host);

/* Is `name` (with its address) in a list as Open MPI takes them: names and
 * networks such as 10.0.0.0/8, separated by commas? */
bool ipmpi_interface_listed(const char *list,
                            const struct ipmpi_interface *which);

/* Is it one that containers or virtual machines made? By its name. */
bool ipmpi_interface_virtual(const char *name);

#endif

/* What makes a process the one that the launcher meant: its environment,
 * descriptors, directory, affinity, limits and the like, as a nanny hands them
 * to a zygote. Threads: the nanny's one. */
#ifndef IPMPI_PROCESS_SETTINGS_H
#define IPMPI_PROCESS_SETTINGS_H

#include "runtime/process/child.h"

struct ipmpi_settings_fds {
    int standard[3]; /* 0, 1 and 2 */
    int settings;    /* a memory file, at its beginning: a JSON object, NUL,
                      * then NAME=VALUE, NUL for each of the environment:
                      *   {"rank": int, "umask": int, "nice": int,
                      *    "group": process group, "blocked": [signal],
                      *    "ignored": [signal], "affinity": [cpu],
                      *    "limits": [[resource, soft, hard]]}; -1: no limit */
    int directory;
};

/* Opens what is to be handed over. On failure nothing is open (but close is
 * harmless): IPMPI_ESYS. */
int ipmpi_settings_open(int rank, const struct ipmpi_signals *signals,
                        struct ipmpi_settings_fds *out);
void ipmpi_settings_close(struct ipmpi_settings_fds *fds);

#endif

/* The two JSON files by which clients and launchers find the cluster (compat
 * 1.1, 1.2). They hold the key: mode 0600, and they appear whole or not at
 * all.
 *
 * Threads: one. Blocks on the file system only. Whatever fails is logged
 * here. */
#ifndef IPMPI_FILES_CONNECTION_FILE_H
#define IPMPI_FILES_CONNECTION_FILE_H

#include <stdint.h>

#include "bridge/files/profile.h"

struct ipmpi_ports {
    uint16_t registration, control, mux, task, broadcast; /* ROUTER */
    uint16_t iopub, notification;                         /* PUB */
};

/* All lent. */
struct ipmpi_connection {
    struct ipmpi_ports ports;
    const char *interface;       /* "tcp://127.0.0.1" */
    const char *location;        /* controller's host name */
    const char *ssh;             /* NULL: "" */
    const char *key;             /* "": unsigned */
    const char *task_scheme;     /* "leastload" */
    const char *curve_serverkey; /* Z85; NULL: no CURVE */
};

/* Publishes both files, the client's last: whoever sees that one can connect.
 * Call it once the sockets are bound. On failure neither is left behind.
 * IPMPI_ESYS, IPMPI_EINVAL (a text is not UTF-8), IPMPI_ENOMEM. */
int ipmpi_connection_write(const struct ipmpi_profile *profile,
                           const struct ipmpi_connection *connection);

/* Removes both; missing ones are fine. */
void ipmpi_connection_remove(const struct ipmpi_profile *profile);

/* For --reuse: key and ports of the client file that an earlier cluster left.
 * The caller destroys the key. IPMPI_ENOENT (no file; not logged), IPMPI_EJSON
 * (not such a file), IPMPI_ESYS, IPMPI_ENOMEM. */
int ipmpi_connection_read(const struct ipmpi_profile *profile,
                          struct ipmpi_ports *ports_out, char **key_out);

/* A key for a cluster that was given none: 128 random bits in ipyparallel's
 * form. The caller destroys it. IPMPI_ESYS (no randomness), IPMPI_ENOMEM. */
int ipmpi_connection_make_key(char **key_out);

/* Wipes and frees a key's text. */
void ipmpi_connection_destroy_key(char **key);

#endif

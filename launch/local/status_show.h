/* A status answer as text.
 *
 * Threads: any. Nothing blocks but the stream. */
#ifndef IPMPI_LAUNCH_LOCAL_STATUS_SHOW_H
#define IPMPI_LAUNCH_LOCAL_STATUS_SHOW_H

#include <stdio.h>

#include <jansson.h>

/* Members that the answer lacks show as "-". */
void ipmpi_status_show(FILE *out, const json_t *status, const char *name);

/* "0.3 s", "12 s", "4 min", "2.5 h", "3 d". Static. */
const char *ipmpi_status_duration(double seconds);

/* "512 B", "17 MiB", "2.1 GiB". Static. */
const char *ipmpi_status_bytes(double bytes);

#endif

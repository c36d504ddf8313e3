/* One call of `ipmpi marathon`: what the user asked for, and what came of it.
 * Strings are lent by the command line, the environment or `state`. */
#ifndef IPMPI_LAUNCH_MARATHON_LAUNCH_H
#define IPMPI_LAUNCH_MARATHON_LAUNCH_H

#include <jansson.h>

#include "launch/marathon/app.h"
#include "launch/marathon/http.h"
#include "launch/marathon/watch.h"
#include "launch/rendezvous/spec.h"

struct ipmpi_launch {
    struct ipmpi_spec spec;
    struct ipmpi_marathon_access access;
    struct ipmpi_app_request app;
    const char *secret_file;
    bool force;
    char id[IPMPI_APP_ID_CAP];
    char prefix[64], nonce[IPMPI_SECRET_HEX], launcher_key[IPMPI_SECRET_HEX];
    struct ipmpi_marathon *http;
    struct ipmpi_watch *watch;
    json_t *state; /* what stop and status find again */
};

#endif

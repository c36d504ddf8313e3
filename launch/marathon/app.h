/* What we ask Marathon for, and how its answers read: the application, its
 * tasks as places of agents, and why nothing starts.
 *
 * Threads: any. Nothing blocks. */
#ifndef IPMPI_LAUNCH_MARATHON_APP_H
#define IPMPI_LAUNCH_MARATHON_APP_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "launch/rendezvous/driver.h"

enum { IPMPI_APP_ID_CAP = 256, IPMPI_AGENT_PORT = 7070, IPMPI_CLIENTS = 14 };

struct ipmpi_app_request {
    const char *id, *job, *user, *nonce;
    const char *image;
    unsigned instances, ranks;    /* ranks of one node without the controller */
    double cpus, mem_mib;         /* 0: by the ranks */
    unsigned shm_mib;             /* 0: by the ranks */
    const char *network;          /* NULL: host; else a container network */
    const char *port_prefix;      /* of Marathon's --env_vars_prefix, or NULL */
    const char *launcher_key;     /* public mode; NULL otherwise */
    const char *secret_file;      /* its path inside; NULL in public mode */
    const char *secret_host_file; /* on each host; NULL: comes otherwise */
    const char *marathon_secret;  /* name in Marathon's store, or NULL */
    bool unique;                  /* one container a host */
    bool force_pull;
    json_t *constraints; /* further ones, array of arrays; lent */
    json_t *parameters;  /* further docker parameters, array; lent */
};

/* "/ipmpi/<user>/<job>/workers", of letters that Marathon takes. */
void ipmpi_app_id(const char *user, const char *job,
                  char id_out[IPMPI_APP_ID_CAP]);

/* The body of POST /v2/apps; NULL: no memory. */
json_t *ipmpi_app_make(const struct ipmpi_app_request *request);

/* Places of the agents of an application's `tasks` (an array): those that run
 * and have an address. Returns how many. */
size_t ipmpi_app_places(json_t *tasks, bool container_network,
                        struct ipmpi_place *places, size_t cap);

/* One sentence: "3 of 8 nodes placed; 75 of 123 offers too few cpus". `queue`
 * is GET /v2/queue, `app` the application's object; either may be NULL. */
void ipmpi_app_explain(const char *id, json_t *app, json_t *queue, char *text,
                       size_t cap);

#endif

/* The launcher's side of a job: it dials the agents that a scheduler (or a
 * list) names, lets the rendezvous decide, and carries its decisions out.
 *
 * Threads: one; run blocks until the job is over, the others never. */
#ifndef IPMPI_LAUNCH_RENDEZVOUS_DRIVER_H
#define IPMPI_LAUNCH_RENDEZVOUS_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "launch/rendezvous/rendezvous.h"
#include "launch/channel/session.h"

struct ipmpi_driver; /* opaque */

/* One agent, as the scheduler tells of it. */
struct ipmpi_place {
    char id[IPMPI_MEMBER_ID_CAP];
    char host[IPMPI_MEMBER_ID_CAP];
    uint16_t port;
};

struct ipmpi_job_spec {
    const char *name;
    enum ipmpi_mode mode;
    struct ipmpi_secret secret;      /* the job's secret, in both modes */
    struct ipmpi_secret private_key; /* public mode: ours */
    char *const *argv;               /* the program; NULL at its end */
    json_t *environment;             /* strings to forward; lent */
    unsigned ranks_per_node;         /* 0: as many as the node has slots */
    bool controller;                 /* one rank more on the leader */
    bool detach;                     /* leave once it runs */
    bool keep_going;      /* the job outlives lost nodes and ranks; without, one
                           * lost rank ends it, as mpirun does */
    const char *networks; /* NULL: where the agents were reached */
    struct ipmpi_rendezvous_limits limits;

    /* The scheduler's side; each may be NULL. `fd` (or -1) is polled. */
    int fd;
    void (*readable)(struct ipmpi_driver *driver, void *arg);
    /* One sentence on why nodes are missing, for progress and failure. */
    void (*explain)(void *arg, char *text, size_t cap);
    /* Rank 0 wrote its connection file (lent; no key in it); `host` is the
     * leader's address. */
    void (*file)(void *arg, json_t *file, const char *host);
    void *arg;
};

/* IPMPI_EINVAL, IPMPI_ENOMEM, IPMPI_ESYS. The spec is lent until destroy. */
int ipmpi_driver_create(const struct ipmpi_job_spec *spec,
                        struct ipmpi_driver **driver_out);
void ipmpi_driver_destroy(struct ipmpi_driver **driver);

/* The whole list of agents there are now: new ones are dialed, those that are
 * no longer in it are lost. */
void ipmpi_driver_list(struct ipmpi_driver *driver,
                       const struct ipmpi_place *places, size_t n);

/* Runs until the job is over (or runs, if detached). Returns the exit status:
 * the job's own, or one of enum ipmpi_exit. TERM and INT stop the job in good
 * order, a second one leaves at once. */
int ipmpi_driver_run(struct ipmpi_driver *driver);

/* Limits as a user meets them who gives none; for argument parsers. */
void ipmpi_driver_limits(struct ipmpi_rendezvous_limits *limits_out);

#endif

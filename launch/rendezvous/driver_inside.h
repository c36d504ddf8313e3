/* Inside of the driver: what its loop, its contacts and its orders share. */
#ifndef IPMPI_LAUNCH_RENDEZVOUS_DRIVER_INSIDE_H
#define IPMPI_LAUNCH_RENDEZVOUS_DRIVER_INSIDE_H

#include "launch/channel/peer.h"
#include "launch/channel/protocol.h"
#include "launch/rendezvous/driver.h"

enum { DRIVER_REDIAL_FIRST_US = 300 * 1000 };

struct driver_contact {
    struct ipmpi_place place;
    struct ipmpi_peer *peer;
    json_t *offer;
    bool listed;     /* the scheduler still names it */
    int64_t dial_us; /* not again before */
    int64_t pause_us;
};

struct ipmpi_driver {
    const struct ipmpi_job_spec *spec;
    struct ipmpi_rendezvous *rdv;
    struct driver_contact contact[IPMPI_NODES_MAX];
    unsigned ncontacts;
    int signal_fd;
    unsigned stops;
    int64_t now_us, said_us;
    char said[256];
    json_t *nodes; /* the table of this generation */
    char digest[IPMPI_SECRET_HEX];
    char *networks;
    bool has_file, announced;
    int status; /* of the job, once it ended */
    bool ended, was_running;
};

/* -- progress.c: what the user is told ------------------------------------ */

/* How many nodes have come. */
unsigned ipmpi_driver_here(const struct ipmpi_driver *driver);
/* A sentence on the state; nothing if it has been said. */
void ipmpi_driver_tell_progress(struct ipmpi_driver *driver);
/* Why nodes are missing: what the scheduler says, and each agent's reason. */
void ipmpi_driver_tell_missing(struct ipmpi_driver *driver);

/* -- orders.c: decisions of the rendezvous, carried out ------------------- */

/* Its calls, but for their argument: the driver. */
extern const struct ipmpi_rendezvous_calls ipmpi_driver_calls;

/* The address of a contact, as a new JSON string. */
json_t *ipmpi_driver_address(const struct driver_contact *contact);

/* Tells an agent to end what it runs for a generation. */
void ipmpi_driver_drain(struct ipmpi_driver *driver, unsigned member,
                        uint64_t generation);

/* Closes a connection; it is dialed again after a pause that grows. */
void ipmpi_driver_hang_up(struct ipmpi_driver *driver,
                          struct driver_contact *contact);

/* -- contacts.c: connections ---------------------------------------------- */

void ipmpi_driver_lose(struct ipmpi_driver *driver, unsigned member,
                       const char *reason);
void ipmpi_driver_dial(struct ipmpi_driver *driver, unsigned member);
/* What came and what can leave. */
void ipmpi_driver_serve(struct ipmpi_driver *driver, unsigned member);

/* -- records.c: what agents say ------------------------------------------- */

void ipmpi_driver_event(struct ipmpi_driver *driver, unsigned member,
                        enum ipmpi_member_event what, uint64_t generation,
                        unsigned slots, const char *reason);
/* Takes a record. NULL, or why its sender is not for us. */
const char *ipmpi_driver_record(struct ipmpi_driver *driver, unsigned member,
                                const struct ipmpi_record *record);

#endif

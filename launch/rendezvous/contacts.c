/* Connections to agents.
 *
 * Invariant: a connection exists exactly for members in OPEN..COMMITTED, and
 * while LISTED once it was dialed. */
#include <stdio.h>

#include "launch/rendezvous/driver_inside.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

void ipmpi_driver_lose(struct ipmpi_driver *driver, unsigned member,
                       const char *reason)
{
    const struct ipmpi_member *who = ipmpi_rendezvous_at(driver->rdv, member);

    if (who->state == IPMPI_MEMBER_COMMITTED)
        ipmpi_log_warn("JOB-LOST", "node n%u (%s) is lost: %s", who->place,
                       driver->contact[member].place.host, reason);
    ipmpi_driver_hang_up(driver, &driver->contact[member]);
    ipmpi_driver_event(driver, member, IPMPI_MEMBER_GONE, 0, 0, reason);
}

void ipmpi_driver_dial(struct ipmpi_driver *driver, unsigned member)
{
    struct driver_contact *contact = &driver->contact[member];
    struct ipmpi_hello hello = {.role = IPMPI_ROLE_LAUNCHER,
                                .mode = driver->spec->mode};
    struct ipmpi_credentials credentials = {
        .key = driver->spec->mode == IPMPI_MODE_PUBLIC
                   ? driver->spec->private_key
                   : driver->spec->secret};
    unsigned same;
    int err;

    snprintf(hello.job, sizeof(hello.job), "%s", driver->spec->name);
    ipmpi_rendezvous_list(driver->rdv, contact->place.id, contact->place.host,
                          driver->now_us, &same);
    err = ipmpi_peer_dial(contact->place.host, contact->place.port, &hello,
                          &credentials, &contact->peer);
    ipmpi_secret_wipe(&credentials.key);
    if (err != 0)
        ipmpi_driver_lose(driver, member,
                          err == IPMPI_ENOENT
                              ? "its host name is not known here"
                              : "no connection");
}

static const char *why_lost(const struct ipmpi_peer *peer, int err)
{
    if (ipmpi_peer_open(peer))
        return err == IPMPI_ETIMEOUT ? "silent for too long"
               : err == IPMPI_EDEAD  ? "connection lost"
                                     : ipmpi_strerror(err);
    if (!ipmpi_peer_connected(peer))
        return err == IPMPI_ETIMEOUT ? "no answer from its address"
                                     : "connection refused: no agent there yet";
    return err == IPMPI_ETIMEOUT
               ? "something listens there, but is no agent of ours"
               : "does not know this job or its secret";
}

void ipmpi_driver_serve(struct ipmpi_driver *driver, unsigned member)
{
    struct driver_contact *contact = &driver->contact[member];
    const struct ipmpi_member *who = ipmpi_rendezvous_at(driver->rdv, member);
    struct ipmpi_record record;
    int err = ipmpi_peer_turn(contact->peer, driver->now_us);
    int more = IPMPI_EEMPTY;

    if (ipmpi_peer_open(contact->peer) && who->state == IPMPI_MEMBER_LISTED)
        ipmpi_driver_event(driver, member, IPMPI_MEMBER_PROVED, 0, 0, NULL);
    while ((more = ipmpi_peer_next(contact->peer, &record)) == 0) {
        const char *reason = ipmpi_driver_record(driver, member, &record);

        if (reason != NULL) {
            ipmpi_driver_lose(driver, member, reason);
            return;
        }
        if (contact->peer == NULL)
            return; /* the rendezvous had it dropped */
    }
    if (err == 0 && more != IPMPI_EEMPTY)
        err = more;
    ipmpi_peer_flush(contact->peer);
    if (err != 0)
        ipmpi_driver_lose(driver, member, why_lost(contact->peer, err));
}

void ipmpi_driver_list(struct ipmpi_driver *driver,
                       const struct ipmpi_place *places, size_t n)
{
    bool named[IPMPI_NODES_MAX] = {false};

    driver->now_us = ipmpi_clock_now_us();
    for (size_t i = 0; i < n; i++) {
        struct driver_contact *contact;
        unsigned member;

        if (ipmpi_rendezvous_list(driver->rdv, places[i].id, places[i].host,
                                  driver->now_us, &member) != 0)
            continue;
        contact = &driver->contact[member];
        if (!contact->listed) {
            contact->dial_us = 0;
            contact->pause_us = DRIVER_REDIAL_FIRST_US;
        }
        if (member >= driver->ncontacts)
            driver->ncontacts = member + 1;
        contact->place = places[i];
        contact->listed = true;
        named[member] = true;
    }
    for (unsigned i = 0; i < driver->ncontacts; i++)
        if (driver->contact[i].listed && !named[i]) {
            driver->contact[i].listed = false;
            ipmpi_driver_lose(driver, i, "its task is gone");
            ipmpi_driver_event(driver, i, IPMPI_MEMBER_UNLIST, 0, 0, NULL);
        }
}

/* What agents say. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/rendezvous/driver_inside.h"
#include "launch/channel/show.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

void ipmpi_driver_event(struct ipmpi_driver *driver, unsigned member,
                        enum ipmpi_member_event what, uint64_t generation,
                        unsigned slots, const char *reason)
{
    const int err = ipmpi_rendezvous_member(
        driver->rdv, member, what, generation, slots, reason, driver->now_us);

    if (err != 0)
        ipmpi_log_debug("JOB-EVENT", "%s: event %d: %s",
                        driver->contact[member].place.id, what,
                        ipmpi_strerror(err));
}

static void take_end(struct ipmpi_driver *driver, json_t *body,
                     uint64_t generation)
{
    const char *cause = json_string_value(json_object_get(body, "cause"));
    const int status = (int)json_integer_value(json_object_get(body, "status"));
    const bool started = json_is_true(json_object_get(body, "started"));

    if (ipmpi_rendezvous_end(driver->rdv, generation, started,
                             driver->now_us) != 0)
        return;
    driver->status = status;
    driver->ended = true;
    ipmpi_log_info("JOB-END", "generation %" PRIu64 " ended with %d: %s",
                   generation, status, cause ? cause : "");
}

static uint64_t generation_of(const json_t *body)
{
    return (uint64_t)json_integer_value(json_object_get(body, "generation"));
}

/* The agent works for a generation, or has led one to its end while it was out
 * of our reach. NULL: it is one of us again. */
static const char *take_back(struct ipmpi_driver *driver, unsigned member,
                             json_t *body)
{
    struct driver_contact *contact = &driver->contact[member];
    const uint64_t generation = generation_of(body);

    switch (ipmpi_rendezvous_back(driver->rdv, member, generation,
                                  driver->now_us)) {
    case 0:
        contact->pause_us = DRIVER_REDIAL_FIRST_US;
        ipmpi_log_info("JOB-BACK", "%s is back", contact->place.host);
        if (!json_is_true(json_object_get(body, "running")))
            take_end(driver, json_object_get(body, "job_end"), generation);
        return NULL;
    case IPMPI_EBUSY:
        return "waits for its leader";
    case IPMPI_EDEAD:
        ipmpi_driver_drain(driver, member, generation);
        ipmpi_peer_flush(contact->peer);
        return "ends what it ran for an older generation";
    default:
        /* Not ours to take: it is free again when that job has ended, or
         * when its daemon has noticed that its leader is gone. */
        return "runs another generation of the job";
    }
}

/* Has it led a generation to an end that we may not know of? */
static bool has_led(const struct ipmpi_driver *driver, unsigned member,
                    const json_t *body)
{
    const json_t *end = json_object_get(body, "job_end");
    const struct ipmpi_member *who = ipmpi_rendezvous_at(driver->rdv, member);

    return end != NULL && who->place == 0 && who->committed != 0 &&
           generation_of(end) == who->committed &&
           ipmpi_rendezvous_headless(driver->rdv);
}

static const char *take_offer(struct ipmpi_driver *driver, unsigned member,
                              json_t *body)
{
    struct driver_contact *contact = &driver->contact[member];
    const char *mpi = json_string_value(json_object_get(body, "mpi"));
    char hex[IPMPI_SECRET_HEX];

    if (!json_is_integer(json_object_get(body, "slots")) ||
        !json_is_integer(json_object_get(body, "port")) ||
        !json_is_integer(json_object_get(body, "generation"))) {
        return "its offer is not one of ours";
    }
    json_decref(contact->offer);
    contact->offer = json_incref(body);
    if (json_is_true(json_object_get(body, "running")) ||
        has_led(driver, member, body))
        return take_back(driver, member, body);
    contact->pause_us = DRIVER_REDIAL_FIRST_US;
    if (driver->spec->mode == IPMPI_MODE_PUBLIC) {
        ipmpi_secret_to_hex(&driver->spec->secret, hex);
        ipmpi_peer_put(contact->peer, IPMPI_REC_ADMIT, hex, sizeof(hex) - 1);
        explicit_bzero(hex, sizeof(hex));
    }
    if (mpi == NULL || atoi(mpi) >= 5) /* PRRTE 3.0 adds no hosts */
        ipmpi_rendezvous_forbid_growth(driver->rdv);
    ipmpi_driver_event(
        driver, member, IPMPI_MEMBER_OFFER, generation_of(body),
        (unsigned)json_integer_value(json_object_get(body, "slots")), NULL);
    return NULL;
}

static void take_file(struct ipmpi_driver *driver, unsigned member,
                      json_t *body)
{
    json_t *host = ipmpi_driver_address(&driver->contact[member]);
    json_t *file = json_object_get(body, "file");

    if (json_is_object(file) && driver->spec->file != NULL)
        driver->spec->file(driver->spec->arg, file, json_string_value(host));
    driver->has_file = true;
    json_decref(host);
}

static void take_node(json_t *body, const char *reason)
{
    const char *node = json_string_value(json_object_get(body, "node"));

    if (json_is_true(json_object_get(body, "joined")))
        ipmpi_log_info("JOB-NODE", "node %s has joined: %s", node, reason);
    else
        ipmpi_log_warn("JOB-NODE",
                       "node %s is lost (%s); the job goes on without it", node,
                       reason);
}

static const char *take_json(struct ipmpi_driver *driver, unsigned member,
                             uint8_t type, json_t *body)
{
    const uint64_t generation = generation_of(body);
    const char *reason = json_string_value(json_object_get(body, "reason"));

    switch (type) {
    case IPMPI_REC_OFFER:
        return take_offer(driver, member, body);
    case IPMPI_REC_READY:
        ipmpi_driver_event(driver, member, IPMPI_MEMBER_IS_READY, generation, 0,
                           NULL);
        break;
    case IPMPI_REC_REFUSE:
        ipmpi_log_warn("JOB-REFUSED", "%s: %s",
                       driver->contact[member].place.host,
                       reason ? reason : "");
        ipmpi_driver_event(driver, member, IPMPI_MEMBER_REFUSED, generation, 0,
                           reason);
        break;
    case IPMPI_REC_RUNNING:
        if (ipmpi_rendezvous_runs(driver->rdv, generation, driver->now_us) == 0)
            driver->was_running = true;
        break;
    case IPMPI_REC_NODE:
        take_node(body, reason ? reason : "");
        break;
    case IPMPI_REC_FILE:
        if (generation == ipmpi_rendezvous_generation(driver->rdv))
            take_file(driver, member, body);
        break;
    case IPMPI_REC_JOB_END:
        take_end(driver, body, generation);
        break;
    default:
        break;
    }
    return NULL;
}

const char *ipmpi_driver_record(struct ipmpi_driver *driver, unsigned member,
                                const struct ipmpi_record *record)
{
    const char *reason = NULL;
    json_t *body;

    if (record->type == IPMPI_REC_OUTPUT) {
        ipmpi_channel_show(record);
        return NULL;
    }
    body = json_loadb((const char *)record->body, record->len, 0, NULL);
    if (body != NULL)
        reason = take_json(driver, member, record->type, body);
    json_decref(body);
    return reason;
}

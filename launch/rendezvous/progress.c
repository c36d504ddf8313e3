/* What the user is told while nodes come together. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "launch/rendezvous/driver_inside.h"
#include "runtime/base/log.h"

/* Says a sentence once; again only after it has changed. */
static void say(struct ipmpi_driver *driver, const char *text)
{
    if (strcmp(text, driver->said) == 0)
        return;
    snprintf(driver->said, sizeof(driver->said), "%s", text);
    driver->said_us = driver->now_us;
    ipmpi_log_info("JOB-PROGRESS", "%s", text);
}

unsigned ipmpi_driver_here(const struct ipmpi_driver *driver)
{
    unsigned n = 0;

    for (int s = IPMPI_MEMBER_OFFERED; s <= IPMPI_MEMBER_COMMITTED; s++)
        n += ipmpi_rendezvous_count(driver->rdv, s);
    return n;
}

void ipmpi_driver_tell_progress(struct ipmpi_driver *driver)
{
    const struct ipmpi_rendezvous_limits *limits = &driver->spec->limits;
    const unsigned n = ipmpi_driver_here(driver);
    const uint64_t g = ipmpi_rendezvous_generation(driver->rdv);
    char text[256];

    switch (ipmpi_rendezvous_state(driver->rdv)) {
    case IPMPI_ROUND_GATHERING:
        snprintf(text, sizeof(text), "%u of %u nodes are here, %u are needed",
                 n, limits->max, limits->min);
        break;
    case IPMPI_ROUND_LAST_CALL:
        snprintf(text, sizeof(text),
                 "%u of %u nodes are here: enough; last call of %d s for the "
                 "others",
                 n, limits->max, (int)(limits->last_call_us / IPMPI_SECOND_US));
        break;
    case IPMPI_ROUND_PREPARING:
        snprintf(text, sizeof(text), "preparing generation %" PRIu64, g);
        break;
    case IPMPI_ROUND_COMMITTED:
        snprintf(text, sizeof(text),
                 "generation %" PRIu64 " starts on %u nodes", g,
                 ipmpi_rendezvous_count(driver->rdv, IPMPI_MEMBER_COMMITTED));
        break;
    case IPMPI_ROUND_RUNNING:
        snprintf(text, sizeof(text),
                 "generation %" PRIu64 " runs on %u nodes, %u spare", g,
                 ipmpi_rendezvous_count(driver->rdv, IPMPI_MEMBER_COMMITTED),
                 ipmpi_rendezvous_count(driver->rdv, IPMPI_MEMBER_OFFERED));
        break;
    case IPMPI_ROUND_DRAINING:
        snprintf(text, sizeof(text), "stopping the job");
        break;
    default:
        return;
    }
    say(driver, text);
}

void ipmpi_driver_tell_missing(struct ipmpi_driver *driver)
{
    char text[1024] = "";

    driver->said_us = driver->now_us;
    if (driver->spec->explain != NULL)
        driver->spec->explain(driver->spec->arg, text, sizeof(text));
    if (text[0] != 0)
        ipmpi_log_info("JOB-WAIT", "%s", text);
    for (unsigned i = 0; i < driver->ncontacts; i++) {
        const struct ipmpi_member *member = ipmpi_rendezvous_at(driver->rdv, i);

        if (member != NULL && driver->contact[i].listed &&
            (member->state < IPMPI_MEMBER_ASKED ||
             member->state == IPMPI_MEMBER_LOST))
            ipmpi_log_info("JOB-MISSING", "%s:%u: %s",
                           driver->contact[i].place.host,
                           driver->contact[i].place.port,
                           member->reason[0] ? member->reason
                           : member->state == IPMPI_MEMBER_OFFERED
                               ? "here, waiting for the others"
                               : "no answer yet");
    }
}

/* The launcher's loop: connections to agents below, the rendezvous above.
 *
 * Threads: one. */
#include "launch/rendezvous/driver.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "launch/rendezvous/driver_inside.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/signals.h"

enum {
    EXPLAIN_US = 15 * IPMPI_SECOND_US, /* without news */
    DRAINED_US = 3 * IPMPI_SECOND_US,
};

void ipmpi_driver_limits(struct ipmpi_rendezvous_limits *limits_out)
{
    *limits_out = (struct ipmpi_rendezvous_limits){
        .min = 1,
        .max = 1,
        .keep = 1,
        .attempts = 5,
        .restarts = 3,
        .join_us = 600LL * IPMPI_SECOND_US,
        .last_call_us = 10LL * IPMPI_SECOND_US,
        .prepare_us = 15LL * IPMPI_SECOND_US,
        .start_us = (IPMPI_JOB_START_S + 5LL) * IPMPI_SECOND_US,
        .drain_us = (IPMPI_KILL_GRACE_S + 5LL) * IPMPI_SECOND_US,
    };
}

static void take_signals(struct ipmpi_driver *driver)
{
    struct signalfd_siginfo info;

    while (read(driver->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (driver->stops++ == 0)
            ipmpi_rendezvous_stop(driver->rdv, driver->now_us);
    }
}

static void dial_due(struct ipmpi_driver *driver, int64_t *next_us)
{
    for (unsigned i = 0; i < driver->ncontacts; i++) {
        struct driver_contact *contact = &driver->contact[i];

        if (!contact->listed || contact->peer != NULL)
            continue;
        if (driver->now_us >= contact->dial_us)
            ipmpi_driver_dial(driver, i);
        if (contact->peer == NULL && contact->dial_us < *next_us)
            *next_us = contact->dial_us;
    }
}

static size_t fill(struct ipmpi_driver *driver, struct pollfd *item,
                   unsigned *who, int64_t *next_us)
{
    size_t n = 2;

    item[0] = (struct pollfd){.fd = driver->signal_fd, .events = POLLIN};
    item[1] = (struct pollfd){.fd = driver->spec->fd, .events = POLLIN};
    for (unsigned i = 0; i < driver->ncontacts; i++) {
        struct ipmpi_peer *peer = driver->contact[i].peer;

        if (peer == NULL)
            continue;
        item[n] = (struct pollfd){.fd = ipmpi_peer_fd(peer),
                                  .events = ipmpi_peer_events(peer)};
        if (ipmpi_peer_next_us(peer) < *next_us)
            *next_us = ipmpi_peer_next_us(peer);
        who[n++] = i;
    }
    return n;
}

static void turn(struct ipmpi_driver *driver)
{
    static struct pollfd item[2 + IPMPI_NODES_MAX];
    static unsigned who[2 + IPMPI_NODES_MAX];
    int64_t next_us, wait_us;
    size_t n;

    driver->now_us = ipmpi_clock_now_us();
    next_us = ipmpi_rendezvous_tick(driver->rdv, driver->now_us);
    dial_due(driver, &next_us);
    ipmpi_driver_tell_progress(driver);
    if (ipmpi_rendezvous_state(driver->rdv) <= IPMPI_ROUND_LAST_CALL) {
        if (driver->now_us - driver->said_us >= EXPLAIN_US)
            ipmpi_driver_tell_missing(driver);
        if (driver->said_us + EXPLAIN_US < next_us)
            next_us = driver->said_us + EXPLAIN_US;
    }
    n = fill(driver, item, who, &next_us);
    wait_us = next_us > driver->now_us ? next_us - driver->now_us : 0;
    if (wait_us > 3600LL * IPMPI_SECOND_US)
        wait_us = 3600LL * IPMPI_SECOND_US;
    if (poll(item, n, (int)(wait_us / 1000) + 1) < 0)
        return;
    driver->now_us = ipmpi_clock_now_us();
    if (item[0].revents)
        take_signals(driver);
    if (item[1].revents && driver->spec->readable != NULL)
        driver->spec->readable(driver, driver->spec->arg);
    for (size_t i = 2; i < n; i++)
        if (driver->contact[who[i]].peer != NULL)
            ipmpi_driver_serve(driver, who[i]);
}

/* Lets the last words (DRAIN) leave. */
static void flush(struct ipmpi_driver *driver)
{
    const int64_t end_us = ipmpi_clock_now_us() + DRAINED_US;
    bool left = true;

    while (left && ipmpi_clock_now_us() < end_us) {
        left = false;
        for (unsigned i = 0; i < driver->ncontacts; i++) {
            struct driver_contact *contact = &driver->contact[i];

            if (contact->peer == NULL ||
                ipmpi_peer_turn(contact->peer, ipmpi_clock_now_us()) != 0)
                continue;
            left |= ipmpi_peer_backlog(contact->peer) > 0;
        }
        if (left)
            poll(NULL, 0, 10);
    }
}

static int conclude(struct ipmpi_driver *driver)
{
    flush(driver);
    if (driver->ended)
        return driver->status & 255;
    if (driver->stops > 0)
        return 128 + SIGTERM;
    if (ipmpi_rendezvous_state(driver->rdv) == IPMPI_ROUND_FAILED) {
        ipmpi_driver_tell_missing(driver);
        ipmpi_log_error("JOB-FAILED",
                        driver->was_running
                            ? "the job lost its leader too often"
                            : "the job did not come about: %u of %u nodes "
                              "are here",
                        ipmpi_driver_here(driver), driver->spec->limits.min);
        return IPMPI_EXIT_NO_NODES;
    }
    return IPMPI_EXIT_OK;
}

int ipmpi_driver_run(struct ipmpi_driver *driver)
{
    driver->said_us = ipmpi_clock_now_us();
    for (;;) {
        const enum ipmpi_round_state state =
            ipmpi_rendezvous_state(driver->rdv);

        if (state >= IPMPI_ROUND_ENDED || driver->stops > 1)
            return conclude(driver);
        if (driver->spec->detach && state == IPMPI_ROUND_RUNNING &&
            (driver->has_file || driver->spec->file == NULL)) {
            ipmpi_driver_tell_progress(driver);
            return conclude(driver);
        }
        turn(driver);
    }
}

int ipmpi_driver_create(const struct ipmpi_job_spec *spec,
                        struct ipmpi_driver **driver_out)
{
    struct ipmpi_driver *driver = calloc(1, sizeof(*driver));
    struct ipmpi_rendezvous_calls calls = ipmpi_driver_calls;
    int err;

    if (driver == NULL)
        return IPMPI_ENOMEM;
    calls.arg = driver;
    driver->spec = spec;
    err = ipmpi_rendezvous_create(&spec->limits, &calls, ipmpi_clock_now_us(),
                                  &driver->rdv);
    if (err != 0)
        goto free_driver;
    driver->signal_fd = ipmpi_signals_open(false);
    if (driver->signal_fd < 0) {
        err = IPMPI_ESYS;
        goto destroy_rdv;
    }
    *driver_out = driver;
    return 0;

destroy_rdv:
    ipmpi_rendezvous_destroy(&driver->rdv);
free_driver:
    free(driver);
    return err;
}

void ipmpi_driver_destroy(struct ipmpi_driver **driver)
{
    for (unsigned i = 0; i < (*driver)->ncontacts; i++) {
        ipmpi_peer_close(&(*driver)->contact[i].peer);
        json_decref((*driver)->contact[i].offer);
    }
    close((*driver)->signal_fd);
    ipmpi_rendezvous_destroy(&(*driver)->rdv);
    json_decref((*driver)->nodes);
    free((*driver)->networks);
    free(*driver);
    *driver = NULL;
}

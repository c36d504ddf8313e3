/* The launcher's loop: connections to agents below, the rendezvous above.
 *
 * Invariant: a connection exists exactly for members in OPEN..COMMITTED, and
 * while LISTED once it was dialed.
 * Threads:   one. */
#include "launch/rendezvous/driver.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "launch/channel/peer.h"
#include "launch/channel/protocol.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    REDIAL_FIRST_US = 300 * 1000,
    REDIAL_MOST_US = 5 * IPMPI_SECOND_US,
    EXPLAIN_US = 15 * IPMPI_SECOND_US, /* without news */
    DRAINED_US = 3 * IPMPI_SECOND_US,
};

struct contact {
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
    struct contact contact[IPMPI_NODES_MAX];
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

static void send_json(struct contact *contact, uint8_t type, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    if (text != NULL && contact->peer != NULL)
        ipmpi_peer_put(contact->peer, type, text, strlen(text));
    free(text);
    json_decref(body);
}

/* -- progress ------------------------------------------------------------- */

/* Says a sentence once; again only after it has changed. */
static void say(struct ipmpi_driver *driver, const char *text)
{
    if (strcmp(text, driver->said) == 0)
        return;
    snprintf(driver->said, sizeof(driver->said), "%s", text);
    driver->said_us = driver->now_us;
    ipmpi_log_info("JOB-PROGRESS", "%s", text);
}

static unsigned here(const struct ipmpi_driver *driver)
{
    unsigned n = 0;

    for (int s = IPMPI_MEMBER_OFFERED; s <= IPMPI_MEMBER_COMMITTED; s++)
        n += ipmpi_rendezvous_count(driver->rdv, s);
    return n;
}

static void tell_progress(struct ipmpi_driver *driver)
{
    const struct ipmpi_rendezvous_limits *limits = &driver->spec->limits;
    const unsigned n = here(driver);
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

/* Why nodes are missing: what the scheduler says, and each agent's reason. */
static void tell_missing(struct ipmpi_driver *driver)
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

/* -- decisions of the rendezvous ------------------------------------------ */

static unsigned slots_of(const struct ipmpi_driver *driver, unsigned member,
                         bool leads)
{
    const unsigned offered = (unsigned)json_integer_value(
        json_object_get(driver->contact[member].offer, "slots"));
    const unsigned ranks = driver->spec->ranks_per_node;

    return (ranks ? ranks : offered) + (leads && driver->spec->controller);
}

/* Address without its prefix, "10.0.0.2" of "10.0.0.2/24". */
static json_t *address_of(const struct contact *contact)
{
    const char *text =
        json_string_value(json_object_get(contact->offer, "address"));
    const size_t len = text ? strcspn(text, "/") : 0;

    return len > 0 ? json_stringn(text, len) : json_string(contact->place.host);
}

static void make_table(struct ipmpi_driver *driver, const unsigned *members,
                       size_t n)
{
    struct ipmpi_secret digest;
    char *text;

    json_decref(driver->nodes);
    driver->nodes = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct contact *contact = &driver->contact[members[i]];
        char name[24];

        snprintf(name, sizeof(name), "n%zu", i);
        json_array_append_new(
            driver->nodes,
            json_pack("{s:s, s:o, s:i, s:i}", "name", name, "host",
                      address_of(contact), "port",
                      (int)json_integer_value(
                          json_object_get(contact->offer, "port")),
                      "slots", (int)slots_of(driver, members[i], i == 0)));
    }
    text = json_dumps(driver->nodes, JSON_COMPACT | JSON_SORT_KEYS);
    ipmpi_secret_digest(text ? text : "", text ? strlen(text) : 0, &digest);
    ipmpi_secret_to_hex(&digest, driver->digest);
    free(text);
}

/* The networks that the agents were reached by, each once. */
static void make_networks(struct ipmpi_driver *driver, const unsigned *members,
                          size_t n)
{
    const size_t cap = n * 64 + 1;
    size_t at = 0;

    free(driver->networks);
    if (driver->spec->networks != NULL) {
        driver->networks = strdup(driver->spec->networks);
        return;
    }
    driver->networks = calloc(1, cap);
    for (size_t i = 0; driver->networks != NULL && i < n; i++) {
        const char *network = json_string_value(
            json_object_get(driver->contact[members[i]].offer, "network"));

        if (network == NULL || strstr(driver->networks, network) != NULL)
            continue;
        at += (size_t)snprintf(driver->networks + at, cap - at, "%s%.63s",
                               at ? "," : "", network);
    }
}

static void on_prepare(void *arg, uint64_t generation, const unsigned *members,
                       size_t n)
{
    struct ipmpi_driver *driver = arg;
    json_t *first = driver->contact[members[0]].offer;
    const char *mpi = json_string_value(json_object_get(first, "mpi"));

    make_table(driver, members, n);
    make_networks(driver, members, n);
    for (size_t i = 0; i < n; i++)
        send_json(&driver->contact[members[i]], IPMPI_REC_PREPARE,
                  json_pack("{s:I, s:s, s:s, s:s, s:s, s:i, s:b}", "generation",
                            (json_int_t)generation, "version", IPMPI_VERSION,
                            "mpi", mpi ? mpi : "", "networks",
                            driver->networks ? driver->networks : "", "digest",
                            driver->digest, "ranks",
                            (int)slots_of(driver, members[i], i == 0), "leads",
                            i == 0));
}

static void on_commit(void *arg, uint64_t generation, const unsigned *members,
                      size_t n)
{
    struct ipmpi_driver *driver = arg;
    json_t *argv = json_array();
    unsigned ranks = 0;

    for (char *const *word = driver->spec->argv; *word != NULL; word++)
        json_array_append_new(argv, json_string(*word));
    for (size_t i = 0; i < n; i++)
        ranks += slots_of(driver, members[i], i == 0);
    driver->has_file = driver->announced = driver->ended = false;
    for (size_t i = n; i-- > 0;) /* the leader last: it starts at once */
        send_json(&driver->contact[members[i]], IPMPI_REC_COMMIT,
                  json_pack("{s:I, s:i, s:s, s:O, s:s, s:i, s:O, s:O, s:b}",
                            "generation", (json_int_t)generation, "self",
                            (int)i, "digest", driver->digest, "nodes",
                            driver->nodes, "networks",
                            driver->networks ? driver->networks : "", "ranks",
                            (int)ranks, "argv", argv, "environment",
                            driver->spec->environment, "recover",
                            driver->spec->keep_going));
    json_decref(argv);
}

static void on_drain(void *arg, uint64_t generation, unsigned member)
{
    struct ipmpi_driver *driver = arg;

    send_json(&driver->contact[member], IPMPI_REC_DRAIN,
              json_pack("{s:I}", "generation", (json_int_t)generation));
}

static void hang_up(struct ipmpi_driver *driver, struct contact *contact)
{
    ipmpi_peer_close(&contact->peer);
    json_decref(contact->offer);
    contact->offer = NULL;
    contact->dial_us = driver->now_us + contact->pause_us;
    contact->pause_us *= 2;
    if (contact->pause_us > REDIAL_MOST_US)
        contact->pause_us = REDIAL_MOST_US;
}

static void on_drop(void *arg, unsigned member)
{
    struct ipmpi_driver *driver = arg;

    hang_up(driver, &driver->contact[member]);
}

/* -- records from agents -------------------------------------------------- */

static void event(struct ipmpi_driver *driver, unsigned member,
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

static void lose(struct ipmpi_driver *driver, unsigned member,
                 const char *reason)
{
    const struct ipmpi_member *who = ipmpi_rendezvous_at(driver->rdv, member);

    if (who->state == IPMPI_MEMBER_COMMITTED)
        ipmpi_log_warn("JOB-LOST", "node n%u (%s) is lost: %s", who->place,
                       driver->contact[member].place.host, reason);
    hang_up(driver, &driver->contact[member]);
    event(driver, member, IPMPI_MEMBER_GONE, 0, 0, reason);
}

static void take_offer(struct ipmpi_driver *driver, unsigned member,
                       json_t *body)
{
    struct contact *contact = &driver->contact[member];
    char hex[IPMPI_SECRET_HEX];

    if (!json_is_integer(json_object_get(body, "slots")) ||
        !json_is_integer(json_object_get(body, "port")) ||
        !json_is_integer(json_object_get(body, "generation"))) {
        lose(driver, member, "its offer is not one of ours");
        return;
    }
    if (json_is_true(json_object_get(body, "running"))) {
        /* Not ours to take: it is free again when that job has ended, or
         * when its daemon has noticed that its leader is gone. */
        lose(driver, member, "runs another generation of the job");
        return;
    }
    if (driver->spec->mode == IPMPI_MODE_PUBLIC) {
        ipmpi_secret_to_hex(&driver->spec->secret, hex);
        ipmpi_peer_put(contact->peer, IPMPI_REC_ADMIT, hex, sizeof(hex) - 1);
        explicit_bzero(hex, sizeof(hex));
    }
    json_decref(contact->offer);
    contact->offer = json_incref(body);
    contact->pause_us = REDIAL_FIRST_US;
    event(driver, member, IPMPI_MEMBER_OFFER,
          (uint64_t)json_integer_value(json_object_get(body, "generation")),
          (unsigned)json_integer_value(json_object_get(body, "slots")), NULL);
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

static void copy_output(const struct ipmpi_record *record)
{
    size_t at = 1;

    if (record->len < 1 || record->body[0] < 1 || record->body[0] > 2)
        return;
    while (at < record->len) {
        const ssize_t put =
            write(record->body[0], record->body + at, record->len - at);

        if (put <= 0)
            return;
        at += (size_t)put;
    }
}

static void take_file(struct ipmpi_driver *driver, unsigned member,
                      json_t *body)
{
    json_t *host = address_of(&driver->contact[member]);
    json_t *file = json_object_get(body, "file");

    if (json_is_object(file) && driver->spec->file != NULL)
        driver->spec->file(driver->spec->arg, file, json_string_value(host));
    driver->has_file = true;
    json_decref(host);
}

static void take_json(struct ipmpi_driver *driver, unsigned member,
                      uint8_t type, json_t *body)
{
    const uint64_t generation =
        (uint64_t)json_integer_value(json_object_get(body, "generation"));
    const char *reason = json_string_value(json_object_get(body, "reason"));

    switch (type) {
    case IPMPI_REC_OFFER:
        take_offer(driver, member, body);
        break;
    case IPMPI_REC_READY:
        event(driver, member, IPMPI_MEMBER_IS_READY, generation, 0, NULL);
        break;
    case IPMPI_REC_REFUSE:
        ipmpi_log_warn("JOB-REFUSED", "%s: %s",
                       driver->contact[member].place.host,
                       reason ? reason : "");
        event(driver, member, IPMPI_MEMBER_REFUSED, generation, 0, reason);
        break;
    case IPMPI_REC_RUNNING:
        if (ipmpi_rendezvous_runs(driver->rdv, generation, driver->now_us) == 0)
            driver->was_running = true;
        break;
    case IPMPI_REC_NODE:
        ipmpi_log_warn("JOB-NODE",
                       "node %s is lost (%s); the job goes on without it",
                       json_string_value(json_object_get(body, "node")),
                       reason ? reason : "");
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
}

static void take_record(struct ipmpi_driver *driver, unsigned member,
                        const struct ipmpi_record *record)
{
    json_t *body;

    if (record->type == IPMPI_REC_OUTPUT) {
        copy_output(record);
        return;
    }
    body = json_loadb((const char *)record->body, record->len, 0, NULL);
    if (body != NULL)
        take_json(driver, member, record->type, body);
    json_decref(body);
}

/* -- connections ---------------------------------------------------------- */

static void dial(struct ipmpi_driver *driver, unsigned member)
{
    struct contact *contact = &driver->contact[member];
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
        lose(driver, member,
             err == IPMPI_ENOENT ? "its host name is not known here"
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

static void serve(struct ipmpi_driver *driver, unsigned member)
{
    struct contact *contact = &driver->contact[member];
    const struct ipmpi_member *who = ipmpi_rendezvous_at(driver->rdv, member);
    struct ipmpi_record record;
    int err = ipmpi_peer_turn(contact->peer, driver->now_us);
    int more = IPMPI_EEMPTY;

    if (ipmpi_peer_open(contact->peer) && who->state == IPMPI_MEMBER_LISTED)
        event(driver, member, IPMPI_MEMBER_PROVED, 0, 0, NULL);
    while (contact->peer != NULL &&
           (more = ipmpi_peer_next(contact->peer, &record)) == 0)
        take_record(driver, member, &record);
    if (contact->peer == NULL)
        return;
    if (err == 0 && more != IPMPI_EEMPTY)
        err = more;
    ipmpi_peer_flush(contact->peer);
    if (err != 0)
        lose(driver, member, why_lost(contact->peer, err));
}

void ipmpi_driver_list(struct ipmpi_driver *driver,
                       const struct ipmpi_place *places, size_t n)
{
    bool named[IPMPI_NODES_MAX] = {false};

    driver->now_us = ipmpi_clock_now_us();
    for (size_t i = 0; i < n; i++) {
        struct contact *contact;
        unsigned member;

        if (ipmpi_rendezvous_list(driver->rdv, places[i].id, places[i].host,
                                  driver->now_us, &member) != 0)
            continue;
        contact = &driver->contact[member];
        if (member >= driver->ncontacts) {
            driver->ncontacts = member + 1;
            contact->pause_us = REDIAL_FIRST_US;
        }
        contact->place = places[i];
        contact->listed = true;
        named[member] = true;
    }
    for (unsigned i = 0; i < driver->ncontacts; i++)
        if (driver->contact[i].listed && !named[i]) {
            driver->contact[i].listed = false;
            lose(driver, i, "its task is gone");
        }
}

/* -- the loop ------------------------------------------------------------- */

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
        struct contact *contact = &driver->contact[i];

        if (!contact->listed || contact->peer != NULL)
            continue;
        if (driver->now_us >= contact->dial_us)
            dial(driver, i);
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
    tell_progress(driver);
    if (ipmpi_rendezvous_state(driver->rdv) <= IPMPI_ROUND_LAST_CALL) {
        if (driver->now_us - driver->said_us >= EXPLAIN_US)
            tell_missing(driver);
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
            serve(driver, who[i]);
}

/* Lets the last words (DRAIN) leave. */
static void flush(struct ipmpi_driver *driver)
{
    const int64_t end_us = ipmpi_clock_now_us() + DRAINED_US;
    bool left = true;

    while (left && ipmpi_clock_now_us() < end_us) {
        left = false;
        for (unsigned i = 0; i < driver->ncontacts; i++) {
            struct contact *contact = &driver->contact[i];

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
        tell_missing(driver);
        ipmpi_log_error("JOB-FAILED",
                        driver->was_running
                            ? "the job lost its leader too often"
                            : "the job did not come about: %u of %u nodes "
                              "are here",
                        here(driver), driver->spec->limits.min);
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
            tell_progress(driver);
            return conclude(driver);
        }
        turn(driver);
    }
}

/* -- start and end -------------------------------------------------------- */

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int ipmpi_driver_create(const struct ipmpi_job_spec *spec,
                        struct ipmpi_driver **driver_out)
{
    struct ipmpi_driver *driver = calloc(1, sizeof(*driver));
    struct ipmpi_rendezvous_calls calls = {.prepare = on_prepare,
                                           .commit = on_commit,
                                           .drain = on_drain,
                                           .drop = on_drop};
    int err;

    if (driver == NULL)
        return IPMPI_ENOMEM;
    calls.arg = driver;
    driver->spec = spec;
    err = ipmpi_rendezvous_create(&spec->limits, &calls, ipmpi_clock_now_us(),
                                  &driver->rdv);
    if (err != 0)
        goto free_driver;
    driver->signal_fd = open_signals();
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

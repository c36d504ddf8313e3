/* Decisions of the rendezvous on their way to the agents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/rendezvous/driver_inside.h"
#include "runtime/base/log.h"

enum { REDIAL_MOST_US = 5 * IPMPI_SECOND_US };

static void send_json(struct driver_contact *contact, uint8_t type,
                      json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    if (text != NULL && contact->peer != NULL)
        ipmpi_peer_put(contact->peer, type, text, strlen(text));
    free(text);
    json_decref(body);
}

static unsigned slots_of(const struct ipmpi_driver *driver, unsigned member,
                         bool leads)
{
    const unsigned offered = (unsigned)json_integer_value(
        json_object_get(driver->contact[member].offer, "slots"));
    const unsigned ranks = driver->spec->ranks_per_node;

    return (ranks ? ranks : offered) + (leads && driver->spec->controller);
}

json_t *ipmpi_driver_address(const struct driver_contact *contact)
{
    const char *text = /* "10.0.0.2/24" */
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
        const struct driver_contact *contact = &driver->contact[members[i]];
        char name[24];

        snprintf(name, sizeof(name), "n%zu", i);
        json_array_append_new(
            driver->nodes,
            json_pack("{s:s, s:o, s:i, s:i}", "name", name, "host",
                      ipmpi_driver_address(contact), "port",
                      (int)json_integer_value(
                          json_object_get(contact->offer, "port")),
                      "slots", (int)slots_of(driver, members[i], i == 0)));
    }
    text = json_dumps(driver->nodes, JSON_COMPACT | JSON_SORT_KEYS);
    ipmpi_secret_digest(text ? text : "", text ? strlen(text) : 0, &digest);
    ipmpi_secret_to_hex(&digest, driver->digest);
    free(text);
}

/* Is it one of a list "10.0.0.0/24,10.1.0.0/24"? */
static bool is_in_list(const char *list, const char *network)
{
    const size_t len = strlen(network);

    for (const char *at = list; *at != 0; at += at[0] == ',') {
        if (strcspn(at, ",") == len && strncmp(at, network, len) == 0)
            return true;
        at += strcspn(at, ",");
    }
    return false;
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

        if (network == NULL || is_in_list(driver->networks, network))
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

static const char *text_of(const struct ipmpi_driver *driver, const char *name,
                           unsigned member)
{
    const char *text =
        json_string_value(json_object_get(driver->contact[member].offer, name));

    return text != NULL ? text : "";
}

/* A node more for the generation that runs. */
static void on_ask(void *arg, uint64_t generation, unsigned member)
{
    struct ipmpi_driver *driver = arg;

    send_json(&driver->contact[member], IPMPI_REC_PREPARE,
              json_pack("{s:I, s:s, s:s, s:s, s:s, s:i, s:b}", "generation",
                        (json_int_t)generation, "version", IPMPI_VERSION, "mpi",
                        text_of(driver, "mpi", member), "networks",
                        driver->networks ? driver->networks : "", "digest",
                        driver->digest, "ranks",
                        (int)slots_of(driver, member, false), "leads", 0));
}

/* It is told the table that the others have, so that its key is theirs; the
 * leader adds it to its own. */
static void on_take_in(void *arg, uint64_t generation, unsigned member,
                       unsigned leader)
{
    struct ipmpi_driver *driver = arg;
    struct driver_contact *contact = &driver->contact[member];
    const int place = (int)ipmpi_rendezvous_at(driver->rdv, member)->place;
    const int slots = (int)slots_of(driver, member, false);
    char name[24];

    snprintf(name, sizeof(name), "n%d", place);
    send_json(contact, IPMPI_REC_COMMIT,
              json_pack("{s:I, s:i, s:s, s:O, s:s, s:i, s:[s], s:{}, s:b}",
                        "generation", (json_int_t)generation, "self", place,
                        "digest", driver->digest, "nodes", driver->nodes,
                        "networks", driver->networks ? driver->networks : "",
                        "ranks", slots, "argv", driver->spec->argv[0],
                        "environment", "recover", driver->spec->keep_going));
    send_json(
        &driver->contact[leader], IPMPI_REC_GROW,
        json_pack(
            "{s:I, s:s, s:o, s:i, s:i}", "generation", (json_int_t)generation,
            "name", name, "host", ipmpi_driver_address(contact), "port",
            (int)json_integer_value(json_object_get(contact->offer, "port")),
            "slots", slots));
    ipmpi_log_info("JOB-SPARE", "%s takes a lost node's place, as %s",
                   contact->place.host, name);
}

void ipmpi_driver_drain(struct ipmpi_driver *driver, unsigned member,
                        uint64_t generation)
{
    send_json(&driver->contact[member], IPMPI_REC_DRAIN,
              json_pack("{s:I}", "generation", (json_int_t)generation));
}

static void on_drain(void *arg, uint64_t generation, unsigned member)
{
    ipmpi_driver_drain(arg, member, generation);
}

void ipmpi_driver_hang_up(struct ipmpi_driver *driver,
                          struct driver_contact *contact)
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

    ipmpi_driver_hang_up(driver, &driver->contact[member]);
}

const struct ipmpi_rendezvous_calls ipmpi_driver_calls = {
    .prepare = on_prepare,
    .commit = on_commit,
    .drain = on_drain,
    .ask = on_ask,
    .take_in = on_take_in,
    .drop = on_drop,
};

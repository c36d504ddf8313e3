/* Visits. */
#include "launch/rendezvous/visit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/channel/peer.h"
#include "launch/channel/protocol.h"
#include "runtime/base/clock.h"

struct visit {
    struct ipmpi_peer *peer;
    bool draining, done;
};

static void send_drain(struct visit *visit, json_t *offer)
{
    char text[64];
    const int len = snprintf(
        text, sizeof(text), "{\"generation\":%lld}",
        (long long)json_integer_value(json_object_get(offer, "generation")));

    ipmpi_peer_put(visit->peer, IPMPI_REC_DRAIN, text, (size_t)len);
    visit->draining = true;
}

static void take(struct visit *visit, const struct ipmpi_record *record,
                 bool drain, json_t **offer)
{
    if (record->type == IPMPI_REC_OFFER && *offer == NULL) {
        *offer = json_loadb((const char *)record->body, record->len, 0, NULL);
        if (drain && json_is_true(json_object_get(*offer, "leads")))
            send_drain(visit, *offer);
        else
            visit->done = true;
    } else if (record->type == IPMPI_REC_JOB_END && visit->draining) {
        visit->done = true;
    }
}

static void serve(struct visit *visit, bool drain, json_t **offer)
{
    struct ipmpi_record record;
    const int err = ipmpi_peer_turn(visit->peer, ipmpi_clock_now_us());

    while (ipmpi_peer_next(visit->peer, &record) == 0)
        take(visit, &record, drain, offer);
    ipmpi_peer_flush(visit->peer);
    if (err != 0)
        visit->done = true;
}

static void dial(const struct ipmpi_job_spec *spec,
                 const struct ipmpi_place *place, struct visit *visit)
{
    struct ipmpi_hello hello = {.role = IPMPI_ROLE_LAUNCHER,
                                .mode = spec->mode};
    struct ipmpi_credentials credentials = {
        .key =
            spec->mode == IPMPI_MODE_PUBLIC ? spec->private_key : spec->secret};

    snprintf(hello.job, sizeof(hello.job), "%s", spec->name);
    visit->done = ipmpi_peer_dial(place->host, place->port, &hello,
                                  &credentials, &visit->peer) != 0;
    ipmpi_secret_wipe(&credentials.key);
}

size_t ipmpi_visit(const struct ipmpi_job_spec *spec,
                   const struct ipmpi_place *places, size_t n, bool drain,
                   int64_t wait_us, json_t **offers_out)
{
    const int64_t end_us = ipmpi_clock_now_us() + wait_us;
    struct visit *visits = calloc(n + 1, sizeof(*visits));
    struct pollfd *items = calloc(n + 1, sizeof(*items));
    size_t open = n, answered = 0;

    for (size_t i = 0; i < n; i++)
        offers_out[i] = NULL;
    for (size_t i = 0; visits != NULL && i < n; i++)
        dial(spec, &places[i], &visits[i]);
    while (visits != NULL && items != NULL && open > 0 &&
           ipmpi_clock_now_us() < end_us) {
        open = 0;
        for (size_t i = 0; i < n; i++) {
            items[i].fd = -1;
            if (visits[i].done)
                continue;
            serve(&visits[i], drain, &offers_out[i]);
            items[i].fd = ipmpi_peer_fd(visits[i].peer);
            items[i].events = ipmpi_peer_events(visits[i].peer);
            open += !visits[i].done;
        }
        if (open > 0)
            poll(items, n, 100);
    }
    for (size_t i = 0; visits != NULL && i < n; i++) {
        ipmpi_peer_close(&visits[i].peer);
        answered += offers_out[i] != NULL;
    }
    free(visits);
    free(items);
    return answered;
}

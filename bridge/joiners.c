/* Holding back the work of clients that are just connecting.
 *
 * A subscription does not tell whose it is. So a client counts as there when
 * as many subscriptions have been seen as clients were answered up to it:
 * with several clients joining at once, all wait for the slowest. */
#include "bridge/joiners.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "runtime/base/log.h"

enum { HOLD_US = 200 * 1000 };

struct held {
    enum ipmpi_door door;
    struct ipmpi_request *request;
    struct held *prev, *next;
};

struct ipmpi_joiner {
    char *session;
    uint64_t ticket; /* there when this many subscriptions were seen */
    int64_t deadline_us;
    struct held *held;
    struct ipmpi_joiner *prev, *next;
};

void ipmpi_joiners_expect(struct ipmpi_joiners *joiners, const char *session,
                          int64_t now_us)
{
    struct ipmpi_joiner *joiner = calloc(1, sizeof(*joiner));

    if (joiner == NULL || (joiner->session = strdup(session)) == NULL) {
        free(joiner);
        return; /* the client may lose its first output; it is told nothing */
    }
    joiner->ticket = ++joiners->expected;
    joiner->deadline_us = now_us + HOLD_US;
    DL_APPEND(joiners->first, joiner);
}

void ipmpi_joiners_subscribed(struct ipmpi_joiners *joiners)
{
    /* A subscriber without a connection_request (a bare SUB socket) must not
     * count for a client that comes later. */
    if (joiners->subscribed < joiners->expected)
        joiners->subscribed++;
}

bool ipmpi_joiners_hold(struct ipmpi_joiners *joiners, enum ipmpi_door door,
                        struct ipmpi_request *request)
{
    struct ipmpi_joiner *joiner;
    struct held *held;

    DL_FOREACH (joiners->first, joiner) {
        if (strcmp(joiner->session, request->session) == 0)
            break;
    }
    if (joiner == NULL)
        return false;
    held = calloc(1, sizeof(*held));
    if (held == NULL)
        return false;
    held->door = door;
    held->request = ipmpi_request_share(request);
    DL_APPEND(joiner->held, held);
    return true;
}

static void drop_held(struct ipmpi_joiner *joiner, struct held *held)
{
    DL_DELETE(joiner->held, held);
    ipmpi_request_release(&held->request);
    free(held);
}

static void drop_joiner(struct ipmpi_joiners *joiners,
                        struct ipmpi_joiner *joiner)
{
    DL_DELETE(joiners->first, joiner);
    while (joiner->held != NULL)
        drop_held(joiner, joiner->held);
    free(joiner->session);
    free(joiner);
}

void ipmpi_joiners_release(struct ipmpi_joiners *joiners, int64_t now_us,
                           ipmpi_deliver_fn *deliver, void *ctx)
{
    while (joiners->first != NULL) {
        struct ipmpi_joiner *joiner = joiners->first;

        if (joiners->subscribed < joiner->ticket) {
            if (joiner->deadline_us > now_us)
                return;
            joiners->subscribed = joiner->ticket; /* do not wait for it again */
        }
        while (joiner->held != NULL) {
            deliver(ctx, joiner->held->door, joiner->held->request);
            drop_held(joiner, joiner->held);
        }
        drop_joiner(joiners, joiner);
    }
}

int64_t ipmpi_joiners_deadline_us(const struct ipmpi_joiners *joiners)
{
    return joiners->first != NULL ? joiners->first->deadline_us : INT64_MAX;
}

void ipmpi_joiners_clear(struct ipmpi_joiners *joiners)
{
    while (joiners->first != NULL)
        drop_joiner(joiners, joiners->first);
}

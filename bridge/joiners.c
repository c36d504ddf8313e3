/* Holding back the work of clients that are just connecting.
 *
 * A subscription does not tell whose it is. So a client counts as there when
 * as many subscriptions have been seen as clients were answered up to it:
 * with several clients joining at once, all wait for the slowest. One of them
 * may never subscribe; so after a while a client is late: nobody waits for it
 * any more, and any subscription since its answer is taken for its own. */
#include "bridge/joiners.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "runtime/base/log.h"

enum {
    LATE_US = 200 * 1000,
    HOLD_US = 2000 * 1000,
};

struct held {
    enum ipmpi_door door;
    struct ipmpi_request *request;
    struct held *prev, *next;
};

struct ipmpi_joiner {
    char *session;
    uint64_t ticket; /* there when this many subscriptions count */
    uint64_t seen;   /* subscriptions that were seen before its answer */
    bool is_late;
    int64_t late_us, deadline_us;
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
    joiner->seen = joiners->seen;
    joiner->late_us = now_us + LATE_US;
    joiner->deadline_us = now_us + HOLD_US;
    DL_APPEND(joiners->first, joiner);
}

void ipmpi_joiners_subscribed(struct ipmpi_joiners *joiners)
{
    joiners->seen++;
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
    joiners->held_bytes += ipmpi_request_weight(request);
    return true;
}

static void drop_held(struct ipmpi_joiners *joiners,
                      struct ipmpi_joiner *joiner, struct held *held)
{
    joiners->held_bytes -= ipmpi_request_weight(held->request);
    DL_DELETE(joiner->held, held);
    ipmpi_request_release(&held->request);
    free(held);
}

static void drop_joiner(struct ipmpi_joiners *joiners,
                        struct ipmpi_joiner *joiner)
{
    DL_DELETE(joiners->first, joiner);
    while (joiner->held != NULL)
        drop_held(joiners, joiner, joiner->held);
    free(joiner->session);
    free(joiner);
}

/* Whether the work of `joiner` need not wait any more. */
static bool is_there(struct ipmpi_joiners *joiners, struct ipmpi_joiner *joiner,
                     int64_t now_us)
{
    if (!joiner->is_late) {
        if (joiners->subscribed >= joiner->ticket)
            return true;
        if (now_us < joiner->late_us)
            return false;
        joiner->is_late = true;
        joiners->subscribed = joiner->ticket;
    }
    return joiners->seen > joiner->seen || now_us >= joiner->deadline_us;
}

void ipmpi_joiners_release(struct ipmpi_joiners *joiners, int64_t now_us,
                           ipmpi_deliver_fn *deliver, void *ctx)
{
    struct ipmpi_joiner *joiner, *next;

    DL_FOREACH_SAFE (joiners->first, joiner, next) {
        if (!is_there(joiners, joiner, now_us))
            continue;
        while (joiner->held != NULL) {
            deliver(ctx, joiner->held->door, joiner->held->request);
            drop_held(joiners, joiner, joiner->held);
        }
        drop_joiner(joiners, joiner);
    }
}

int64_t ipmpi_joiners_deadline_us(const struct ipmpi_joiners *joiners)
{
    int64_t first_us = INT64_MAX;
    const struct ipmpi_joiner *joiner;

    DL_FOREACH (joiners->first, joiner) {
        int64_t us = joiner->is_late ? joiner->deadline_us : joiner->late_us;

        if (us < first_us)
            first_us = us;
    }
    return first_us;
}

void ipmpi_joiners_clear(struct ipmpi_joiners *joiners)
{
    while (joiners->first != NULL)
        drop_joiner(joiners, joiners->first);
}

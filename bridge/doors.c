/* ZMQ sockets of the controller.
 *
 * A door that takes requests is a ROUTER; the two that publish are XPUBs in
 * verbose mode, because the controller must see subscribers come (compat 1.7).
 * Outgoing high-water marks are off where clients wait for replies; outflow.h
 * bounds those. An XPUB keeps very many messages for a subscriber that does not
 * read, for one that it drops may hang its client: only who stands still for
 * long loses output. Incoming ones are low, so that a controller that stops
 * reading pushes back on the clients: what ZMQ reads ahead of it is memory,
 * too.
 *
 * Note [edges]. zmq_poll and a zmq_msg_recv in vain cost a poll(2) for each
 * socket, seven of them a turn. So we poll the sockets' descriptors ourselves,
 * in one call. Such a descriptor tells of events once: it is readable until
 * ZMQ has looked at it, which any call on the socket does, a send too. So a
 * door counts as open (`maybe`) from then on, or from a send on, until a
 * receive has found it empty.
 *
 * Invariant: a door with a message is in `maybe` or its descriptor is
 * readable. */
#include "bridge/doors.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bridge/messages.h"
#include "runtime/base/error.h"

struct ipmpi_doors {
    void *context;
    struct ipmpi_outflow *outflow;
    void *socket[IPMPI_NDOORS];
    int fd[IPMPI_NDOORS];
    unsigned maybe; /* bit = 1 << door; see note [edges] */
    int port[IPMPI_NDOORS];
    int nspare_used;
    bool curve;
    char public_key[IPMPI_CURVE_KEY_LEN + 1];
    char secret_key[IPMPI_CURVE_KEY_LEN + 1];
};

static bool publishes(enum ipmpi_door door)
{
    return door == IPMPI_DOOR_IOPUB || door == IPMPI_DOOR_NOTIFICATION;
}

enum {
    READ_AHEAD = 64,         /* messages of one client at one door */
    PUBLISHED_MOST = 100000, /* messages kept for one subscriber */
    MESSAGE_WEIGHT = 1024,   /* of a message beside its bytes */
};

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value));
}

static int set_options(struct ipmpi_doors *doors, enum ipmpi_door door)
{
    void *socket = doors->socket[door];
    int bad = set_int(socket, ZMQ_SNDHWM, publishes(door) ? PUBLISHED_MOST : 0);

    bad |= set_int(socket, ZMQ_RCVHWM, READ_AHEAD);
    if (publishes(door))
        bad |= set_int(socket, ZMQ_XPUB_VERBOSE, 1);
    if (doors->curve) {
        bad |= set_int(socket, ZMQ_CURVE_SERVER, 1);
        bad |= zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, doors->secret_key,
                              IPMPI_CURVE_KEY_LEN + 1);
    }
    return bad != 0 ? IPMPI_ESYS : 0;
}

static int port_of(void *socket)
{
    char endpoint[256];
    size_t len = sizeof(endpoint);
    const char *colon;

    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &len) != 0)
        return 0;
    colon = strrchr(endpoint, ':');
    return colon != NULL ? atoi(colon + 1) : 0;
}

static int bind_error(void)
{
    switch (zmq_errno()) {
    case EADDRINUSE:
        return IPMPI_EBUSY;
    case EADDRNOTAVAIL:
    case ENODEV:
    case EINVAL:
        return IPMPI_EINVAL;
    default:
        return IPMPI_ESYS;
    }
}

static int bind_to(void *socket, const char *ip, int port)
{
    char endpoint[256];

    if (strcmp(ip, "0.0.0.0") == 0)
        ip = "*";
    if (port != 0)
        snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", ip, port);
    else
        snprintf(endpoint, sizeof(endpoint), "tcp://%s:*", ip);
    return zmq_bind(socket, endpoint) == 0 ? 0 : bind_error();
}

/* To its port, or to the next spare one that is free. */
static int bind_door(struct ipmpi_doors *doors, enum ipmpi_door door,
                     const struct ipmpi_doors_config *config)
{
    int err = bind_to(doors->socket[door], config->ip, config->ports[door]);

    while (err == IPMPI_EBUSY && doors->nspare_used < config->nspare)
        err = bind_to(doors->socket[door], config->ip,
                      config->spare_ports[doors->nspare_used++]);
    return err;
}

static int open_door(struct ipmpi_doors *doors, enum ipmpi_door door,
                     const struct ipmpi_doors_config *config)
{
    size_t fd_len = sizeof(doors->fd[door]);
    int err;

    doors->socket[door] =
        zmq_socket(doors->context, publishes(door) ? ZMQ_XPUB : ZMQ_ROUTER);
    if (doors->socket[door] == NULL)
        return IPMPI_ESYS;
    err = set_options(doors, door);
    if (err != 0)
        return err;
    err = bind_door(doors, door, config);
    if (err != 0)
        return err;
    if (zmq_getsockopt(doors->socket[door], ZMQ_FD, &doors->fd[door],
                       &fd_len) != 0)
        return IPMPI_ESYS;
    doors->maybe |= 1u << door;
    doors->port[door] = port_of(doors->socket[door]);
    return 0;
}

static int set_keys(struct ipmpi_doors *doors,
                    const struct ipmpi_doors_config *config)
{
    doors->curve = config->curve;
    if (!config->curve)
        return 0;
    if (config->curve_secret == NULL)
        return zmq_curve_keypair(doors->public_key, doors->secret_key) == 0
                   ? 0
                   : IPMPI_ESYS;
    if (strlen(config->curve_secret) != IPMPI_CURVE_KEY_LEN)
        return IPMPI_EINVAL;
    memcpy(doors->secret_key, config->curve_secret, IPMPI_CURVE_KEY_LEN + 1);
    if (zmq_curve_public(doors->public_key, doors->secret_key) != 0)
        return IPMPI_EINVAL;
    return 0;
}

int ipmpi_doors_open(const struct ipmpi_doors_config *config,
                     struct ipmpi_doors **doors_out, int *port_out)
{
    struct ipmpi_doors *doors = calloc(1, sizeof(*doors));
    int err = IPMPI_ENOMEM;

    if (doors == NULL)
        return err;
    doors->context = zmq_ctx_new();
    if (doors->context == NULL)
        goto free_doors;
    err = set_keys(doors, config);
    if (err == 0)
        err = ipmpi_outflow_create(config->outflow_limit, &doors->outflow);
    for (int d = 0; err == 0 && d < IPMPI_NDOORS; d++) {
        err = open_door(doors, d, config);
        if (err != 0 && port_out != NULL)
            *port_out = config->ports[d];
    }
    if (err != 0)
        goto close_doors;
    *doors_out = doors;
    return 0;

close_doors:
    ipmpi_doors_close(&doors, 0);
    return err;
free_doors:
    free(doors);
    return err;
}

void ipmpi_doors_close(struct ipmpi_doors **doors, int linger_ms)
{
    for (int d = 0; d < IPMPI_NDOORS; d++) {
        void *socket = (*doors)->socket[d];

        if (socket == NULL)
            continue;
        set_int(socket, ZMQ_LINGER, linger_ms);
        zmq_close(socket);
    }
    zmq_ctx_term((*doors)->context);
    ipmpi_outflow_destroy(&(*doors)->outflow);
    explicit_bzero((*doors)->secret_key, sizeof((*doors)->secret_key));
    free(*doors);
    *doors = NULL;
}

int ipmpi_doors_port(const struct ipmpi_doors *doors, enum ipmpi_door door)
{
    return doors->port[door];
}

const char *ipmpi_doors_curve_key(const struct ipmpi_doors *doors)
{
    return doors->curve ? doors->public_key : NULL;
}

int ipmpi_doors_receive(struct ipmpi_doors *doors, enum ipmpi_door door,
                        size_t max_frames, struct ipmpi_frames *frames_out)
{
    int err = IPMPI_EEMPTY;

    if (!(doors->maybe & 1u << door))
        return err;
    err = ipmpi_message_receive(doors->socket[door], max_frames, frames_out);
    if (err == IPMPI_EEMPTY)
        doors->maybe &= ~(1u << door);
    return err;
}

/* Counts a reply; false: it must be dropped. *parcel_out is NULL for what is
 * not counted. */
static bool count_reply(struct ipmpi_doors *doors, enum ipmpi_door door,
                        const struct ipmpi_frames *frames,
                        struct ipmpi_parcel **parcel_out)
{
    const struct ipmpi_frame *id = &frames->at[0];

    *parcel_out = NULL;
    if (publishes(door) || frames->n < 2)
        return true;
    return ipmpi_outflow_post(doors->outflow, door, id->data, id->len,
                              ipmpi_frames_bytes(frames) + MESSAGE_WEIGHT,
                              door == IPMPI_DOOR_QUERY,
                              parcel_out) != IPMPI_EFULL;
}

void ipmpi_doors_send(struct ipmpi_doors *doors, enum ipmpi_door door,
                      struct ipmpi_frames *frames)
{
    struct ipmpi_parcel *parcel;

    if (count_reply(doors, door, frames, &parcel))
        ipmpi_message_send(doors->socket[door], frames, &parcel);
    ipmpi_frames_clear(frames);
    doors->maybe |= 1u << door;
}

struct ipmpi_outflow *ipmpi_doors_outflow(struct ipmpi_doors *doors)
{
    return doors->outflow;
}

unsigned ipmpi_doors_wait(struct ipmpi_doors *doors, unsigned mask,
                          const int *fds, size_t nfds, int wait_ms)
{
    enum { MAX_FDS = 16 };
    struct pollfd items[IPMPI_NDOORS + MAX_FDS];
    unsigned readable = 0;
    nfds_t n = 0;

    IPMPI_ASSERT(nfds <= MAX_FDS);
    for (int d = 0; d < IPMPI_NDOORS; d++) /* -1: not looked at */
        items[n++] =
            (struct pollfd){mask & 1u << d ? doors->fd[d] : -1, POLLIN, 0};
    for (size_t i = 0; i < nfds; i++)
        items[n++] = (struct pollfd){fds[i], POLLIN, 0};
    if (doors->maybe & mask)
        wait_ms = 0;
    if (poll(items, n, wait_ms) <= 0)
        return 0;
    for (int d = 0; d < IPMPI_NDOORS; d++)
        doors->maybe |= items[d].revents != 0 ? 1u << d : 0;
    for (size_t i = 0; i < nfds; i++)
        readable |= items[IPMPI_NDOORS + i].revents != 0 ? 1u << i : 0;
    return readable;
}

/* Notices: a question that is repeated until its answer has come. The sender
 * has a socket of its own, connected to the bell, so that a bell that is gone
 * shows as ECONNREFUSED.
 *
 * Threads: any; all state is on the stack. */
#include "runtime/bell/bell.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/bell/datagram.h"

/* One refusal may be a firewall's or a race with bind; three are an answer. */
enum { REPEAT_FIRST_MS = 20, REPEAT_MOST_MS = 500, REFUSALS = 3 };

static int connect_to(const struct ipmpi_bell_address *whose, int *fd_out)
{
    struct ipmpi_bell_address self = {0};
    struct ipmpi_socket_address to, own = {.at.un.sun_family = AF_UNIX};
    int fd, err;

    ipmpi_bell_identify(&self);
    if (ipmpi_bell_same_host(&self, whose))
        ipmpi_socket_address_unix(whose->unix_name, &to);
    else if (whose->ipv4_be != 0)
        ipmpi_socket_address_udp(whose->ipv4_be, whose->udp_port_be, &to);
    else
        return IPMPI_ENOENT;
    fd = socket(to.at.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                0);
    if (fd < 0)
        return IPMPI_ESYS;
    /* A Unix socket gets a name here (autobind), or no answer could return. */
    if (to.at.any.sa_family == AF_UNIX &&
        bind(fd, &own.at.any, sizeof(sa_family_t)) != 0)
        goto fail;
    if (connect(fd, &to.at.any, to.len) != 0)
        goto fail;
    *fd_out = fd;
    return 0;

fail:
    err = errno == ECONNREFUSED ? IPMPI_EDEAD : IPMPI_ESYS;
    close(fd);
    return err;
}

/* Waits up to `wait_ms` for the acknowledgement of `asked`: 0, IPMPI_EEMPTY,
 * or IPMPI_EDEAD for a refusal. */
static int await_ack(int fd, const struct ipmpi_datagram *asked, int wait_ms)
{
    const int64_t end_us = ipmpi_clock_now_us() + (int64_t)wait_ms * 1000;
    struct pollfd item = {.fd = fd, .events = POLLIN};
    struct ipmpi_datagram got;
    int64_t left_us;
    ssize_t len;

    while ((left_us = end_us - ipmpi_clock_now_us()) > 0) {
        if (poll(&item, 1, (int)(left_us / 1000) + 1) <= 0)
            continue;
        len = recv(fd, &got, sizeof(got), MSG_TRUNC);
        if (len < 0 && errno == ECONNREFUSED)
            return IPMPI_EDEAD;
        if (ipmpi_datagram_valid(&got, len, asked->token) &&
            got.kind == IPMPI_DATAGRAM_ACK && got.id == asked->id)
            return 0;
    }
    return IPMPI_EEMPTY;
}

static int ask(int fd, const struct ipmpi_datagram *question, int wait_ms)
{
    const int64_t end_us = ipmpi_clock_now_us() + (int64_t)wait_ms * 1000;
    int pause_ms = REPEAT_FIRST_MS, refused = 0, left_ms;

    for (;;) {
        bool dead = send(fd, question, ipmpi_datagram_len(question->kind),
                         MSG_NOSIGNAL) < 0 &&
                    errno == ECONNREFUSED;

        left_ms = (int)((end_us - ipmpi_clock_now_us()) / 1000);
        switch (
            await_ack(fd, question, left_ms < pause_ms ? left_ms : pause_ms)) {
        case 0:
            return 0;
        case IPMPI_EDEAD:
            dead = true;
        }
        refused = dead ? refused + 1 : 0;
        if (refused >= REFUSALS)
            return IPMPI_EDEAD;
        if (ipmpi_clock_now_us() >= end_us)
            return IPMPI_ETIMEOUT;
        pause_ms = dead ? REPEAT_FIRST_MS : pause_ms * 2;
        if (pause_ms > REPEAT_MOST_MS)
            pause_ms = REPEAT_MOST_MS;
    }
}

static int send_question(const struct ipmpi_bell_address *whose, uint32_t kind,
                         const struct ipmpi_exit_notice *notice, int wait_ms)
{
    struct ipmpi_datagram question;
    uint64_t id;
    int err, fd;

    if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
        return IPMPI_ESYS;
    ipmpi_datagram_fill(&question, kind, whose->token, id);
    if (notice != NULL)
        question.notice = *notice;
    err = connect_to(whose, &fd);
    if (err != 0)
        return err;
    err = ask(fd, &question, wait_ms);
    close(fd);
    return err;
}

int ipmpi_notice_send(const struct ipmpi_bell_address *whose,
                      const struct ipmpi_exit_notice *notice, int wait_ms)
{
    return send_question(whose, IPMPI_DATAGRAM_NOTICE, notice, wait_ms);
}

int ipmpi_bell_probe(const struct ipmpi_bell_address *whose, int wait_ms)
{
    return send_question(whose, IPMPI_DATAGRAM_PROBE, NULL, wait_ms);
}

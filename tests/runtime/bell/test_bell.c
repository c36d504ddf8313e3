/* Bells: ringing by both ways, notices that are repeated and heard once,
 * strangers, and bells that are gone. */
#include "runtime/bell/bell.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/bell/datagram.h"
#include "tests/check.h"

enum { DEADLINE_MS = 5000 };

static const uint8_t token[IPMPI_TOKEN_LEN] = "0123456789abcde";
static const uint8_t wrong[IPMPI_TOKEN_LEN] = "0123456789abcdX";

struct heard {
    int times;
    struct ipmpi_exit_notice last;
};

static void hear(void *ctx, const struct ipmpi_exit_notice *notice)
{
    struct heard *heard = ctx;

    heard->times++;
    heard->last = *notice;
}

static struct ipmpi_bell *open_bell(const uint8_t *with)
{
    struct ipmpi_bell *bell = NULL;

    CHECK_EQ(ipmpi_bell_open(with, htonl(INADDR_LOOPBACK), &bell), 0);
    return bell;
}

/* The address as somebody on another host sees it, or on this one. */
static struct ipmpi_bell_address address_of(const struct ipmpi_bell *bell,
                                            bool far)
{
    struct ipmpi_bell_address address;

    ipmpi_bell_address(bell, &address);
    if (far)
        address.netns++;
    return address;
}

static bool rings(const struct ipmpi_bell *bell, int wait_ms)
{
    struct pollfd items[2];
    int fds[2], n;

    n = ipmpi_bell_fds(bell, fds);
    CHECK_EQ(n, 2);
    for (int i = 0; i < n; i++)
        items[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    return poll(items, (nfds_t)n, wait_ms) > 0;
}

static void a_ring_wakes(bool far)
{
    struct ipmpi_bell *a = open_bell(token), *b = open_bell(token);
    const struct ipmpi_bell_address to = address_of(b, far);

    for (int round = 0; round < 3; round++) {
        CHECK(!rings(b, 0));
        ipmpi_bell_ring(a, &to);
        CHECK(rings(b, DEADLINE_MS));
        ipmpi_bell_drain(b, NULL, NULL);
        CHECK(!rings(b, 0));
        CHECK(!rings(a, 0));
    }
    ipmpi_bell_close(&a);
    ipmpi_bell_close(&b);
    CHECK(b == NULL);
}

static void a_ring_wakes_on_this_host(void **state)
{
    (void)state;
    a_ring_wakes(false);
}

static void a_ring_wakes_on_another_host(void **state)
{
    (void)state;
    a_ring_wakes(true);
}

static void a_ring_to_nobody_does_no_harm(void **state)
{
    struct ipmpi_bell *a = open_bell(token), *b = open_bell(token);
    struct ipmpi_bell_address near = address_of(b, false),
                              far = address_of(b, true);

    (void)state;
    ipmpi_bell_close(&b);
    for (int i = 0; i < 3; i++) {
        ipmpi_bell_ring(a, &near);
        ipmpi_bell_ring(a, &far);
        ipmpi_bell_drain(a, NULL, NULL);
    }
    far.ipv4_be = 0;
    ipmpi_bell_ring(a, &far);
    ipmpi_bell_close(&a);
}

static void many_rings_fill_and_empty(void **state)
{
    struct ipmpi_bell *a = open_bell(token), *b = open_bell(token);
    const struct ipmpi_bell_address to = address_of(b, false);

    (void)state;
    for (int i = 0; i < 5000; i++)
        ipmpi_bell_ring(a, &to); /* never blocks on a full queue */
    CHECK(rings(b, DEADLINE_MS));
    while (rings(b, 0))
        ipmpi_bell_drain(b, NULL, NULL);
    ipmpi_bell_close(&a);
    ipmpi_bell_close(&b);
}

struct sender {
    struct ipmpi_bell_address to;
    int err;
};

static const struct ipmpi_exit_notice sent = {
    .rank = 3,
    .pid = 4711,
    .wait_status = 9,
    .flags = IPMPI_EXIT_COUNTED,
    .host = "node7",
    .begun = {.n = 2, .refs = {77 | IPMPI_BEGUN_ENDED, 78}},
};

static void *send_notice(void *ctx)
{
    struct sender *sender = ctx;

    sender->err = ipmpi_notice_send(&sender->to, &sent, DEADLINE_MS);
    return NULL;
}

static void a_notice_is_acknowledged(bool far)
{
    struct ipmpi_bell *bell = open_bell(token);
    struct sender sender = {.to = address_of(bell, far), .err = 1};
    struct heard heard = {0};
    pthread_t thread;

    CHECK_EQ(pthread_create(&thread, NULL, send_notice, &sender), 0);
    while (heard.times == 0) {
        CHECK(rings(bell, DEADLINE_MS));
        ipmpi_bell_drain(bell, hear, &heard);
    }
    pthread_join(thread, NULL);
    CHECK_EQ(sender.err, 0);
    ipmpi_bell_drain(bell, hear, &heard);
    CHECK_EQ(heard.times, 1);
    CHECK_MEM(&heard.last, &sent, sizeof(sent));
    ipmpi_bell_close(&bell);
}

static void a_notice_is_acknowledged_here(void **state)
{
    (void)state;
    a_notice_is_acknowledged(false);
}

static void a_notice_is_acknowledged_far(void **state)
{
    (void)state;
    a_notice_is_acknowledged(true);
}

/* Two copies of one notice wait in the bell; the owner hears one. */
static void a_repeated_notice_is_heard_once(void **state)
{
    struct ipmpi_bell *bell = open_bell(token);
    struct ipmpi_bell_address to = address_of(bell, false);
    struct heard heard = {0};

    (void)state;
    CHECK_EQ(ipmpi_notice_send(&to, &sent, 50), IPMPI_ETIMEOUT);
    ipmpi_bell_drain(bell, hear, &heard);
    CHECK_EQ(heard.times, 1);
    CHECK_EQ(ipmpi_notice_send(&to, &sent, 50), IPMPI_ETIMEOUT);
    ipmpi_bell_drain(bell, hear, &heard);
    CHECK_EQ(heard.times, 2); /* another call is another notice */
    ipmpi_bell_close(&bell);
}

static void nobody_hears_so_nobody_acknowledges(void **state)
{
    struct ipmpi_bell *bell = open_bell(token);
    struct sender sender = {.to = address_of(bell, false), .err = 1};
    struct heard heard = {0};
    pthread_t thread;

    (void)state;
    CHECK_EQ(pthread_create(&thread, NULL, send_notice, &sender), 0);
    CHECK(rings(bell, DEADLINE_MS));
    ipmpi_bell_drain(bell, NULL, NULL);
    CHECK(rings(bell, DEADLINE_MS)); /* it is sent again */
    while (heard.times == 0)
        ipmpi_bell_drain(bell, hear, &heard);
    pthread_join(thread, NULL);
    CHECK_EQ(sender.err, 0);
    ipmpi_bell_close(&bell);
}

static void a_bell_that_is_gone_is_dead(bool far)
{
    struct ipmpi_bell *bell = open_bell(token);
    const struct ipmpi_bell_address to = address_of(bell, far);
    const int64_t start_us = ipmpi_clock_now_us();

    ipmpi_bell_close(&bell);
    CHECK_EQ(ipmpi_notice_send(&to, &sent, DEADLINE_MS), IPMPI_EDEAD);
    CHECK_EQ(ipmpi_bell_probe(&to, DEADLINE_MS), IPMPI_EDEAD);
    CHECK(ipmpi_clock_now_us() - start_us < DEADLINE_MS * 1000);
}

static void a_bell_that_is_gone_is_dead_here(void **state)
{
    (void)state;
    a_bell_that_is_gone_is_dead(false);
}

static void a_bell_that_is_gone_is_dead_far(void **state)
{
    (void)state;
    a_bell_that_is_gone_is_dead(true);
}

static void no_way_leads_there(void **state)
{
    struct ipmpi_bell *bell = open_bell(token);
    struct ipmpi_bell_address to = address_of(bell, true);

    (void)state;
    to.ipv4_be = 0;
    CHECK_EQ(ipmpi_notice_send(&to, &sent, DEADLINE_MS), IPMPI_ENOENT);
    ipmpi_bell_close(&bell);
}

/* What a stranger may send: each is read and means nothing. */
static void strangers_are_ignored(void **state)
{
    static const struct {
        const char *name;
        const uint8_t *token;
        size_t len;
        uint32_t magic_xor;
    } rows[] = {
        {"empty", token, 0, 0},
        {"short", token, 12, 0},
        {"cut", token, offsetof(struct ipmpi_datagram, notice), 0},
        {"long", token, sizeof(struct ipmpi_datagram) + 1, 0},
        {"wrong token", wrong, sizeof(struct ipmpi_datagram), 0},
        {"wrong magic", token, sizeof(struct ipmpi_datagram), 1},
    };
    struct ipmpi_bell *bell = open_bell(token);
    const struct ipmpi_bell_address address = address_of(bell, false);
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct ipmpi_socket_address to;
    struct heard heard = {0};

    (void)state;
    ipmpi_socket_address_unix(address.unix_name, &to);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        union {
            struct ipmpi_datagram datagram;
            uint8_t bytes[sizeof(struct ipmpi_datagram) + 1];
        } raw = {0};

        ipmpi_datagram_fill(&raw.datagram, IPMPI_DATAGRAM_NOTICE, rows[i].token,
                            99);
        raw.datagram.magic ^= rows[i].magic_xor;
        CHECK_EQ(sendto(fd, &raw, rows[i].len, 0, &to.at.any, to.len),
                 (ssize_t)rows[i].len);
        ipmpi_bell_drain(bell, hear, &heard);
        CHECK(!rings(bell, 0));
        CHECK_EQ(heard.times, 0);
    }
    close(fd);
    ipmpi_bell_close(&bell);
}

static void a_notice_without_token_times_out(void **state)
{
    struct ipmpi_bell *bell = open_bell(token);
    struct ipmpi_bell_address to = address_of(bell, false);
    struct heard heard = {0};

    (void)state;
    memcpy(to.token, wrong, sizeof(wrong));
    CHECK_EQ(ipmpi_notice_send(&to, &sent, 30), IPMPI_ETIMEOUT);
    ipmpi_bell_drain(bell, hear, &heard);
    CHECK_EQ(heard.times, 0);
    ipmpi_bell_close(&bell);
}

static void without_ipv4_there_is_one_descriptor(void **state)
{
    struct ipmpi_bell *bell = NULL;
    struct ipmpi_bell_address address;
    int fds[2];

    (void)state;
    CHECK_EQ(ipmpi_bell_open(token, 0, &bell), 0);
    CHECK_EQ(ipmpi_bell_fds(bell, fds), 1);
    ipmpi_bell_address(bell, &address);
    CHECK_EQ(address.ipv4_be, 0);
    CHECK_EQ(address.udp_port_be, 0);
    ipmpi_bell_close(&bell);
}

static void a_foreign_ipv4_is_refused(void **state)
{
    struct ipmpi_bell *bell = NULL;

    (void)state;
    CHECK_EQ(ipmpi_bell_open(token, htonl(0x08080808), &bell), IPMPI_ESYS);
    CHECK(bell == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_wakes_on_this_host),
        cmocka_unit_test(a_ring_wakes_on_another_host),
        cmocka_unit_test(a_ring_to_nobody_does_no_harm),
        cmocka_unit_test(many_rings_fill_and_empty),
        cmocka_unit_test(a_notice_is_acknowledged_here),
        cmocka_unit_test(a_notice_is_acknowledged_far),
        cmocka_unit_test(a_repeated_notice_is_heard_once),
        cmocka_unit_test(nobody_hears_so_nobody_acknowledges),
        cmocka_unit_test(a_bell_that_is_gone_is_dead_here),
        cmocka_unit_test(a_bell_that_is_gone_is_dead_far),
        cmocka_unit_test(no_way_leads_there),
        cmocka_unit_test(strangers_are_ignored),
        cmocka_unit_test(a_notice_without_token_times_out),
        cmocka_unit_test(without_ipv4_there_is_one_descriptor),
        cmocka_unit_test(a_foreign_ipv4_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

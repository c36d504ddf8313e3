/* The connecting side of a tunnel, fed with records as a peer sends them. */
#include "launch/channel/tunnel.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "tests/check.h"

enum { OPEN = 1, DATA, CLOSE };

static int take(struct ipmpi_tunnel *tunnel, uint8_t what, uint8_t which,
                const char *text)
{
    uint8_t body[64] = {what, which};
    const struct ipmpi_record record = {.body = body, .len = 2 + strlen(text)};

    memcpy(body + 2, text, strlen(text));
    return ipmpi_tunnel_take(tunnel, NULL, &record);
}

/* Somebody who listens, and the tunnel that is to go there. */
static int aim(struct ipmpi_tunnel *tunnel)
{
    uint16_t port;
    int fd;

    ipmpi_tunnel_init(tunnel);
    CHECK_EQ(ipmpi_peer_listen("127.0.0.1", 0, &fd, &port), 0);
    tunnel->to.sin_family = AF_INET;
    tunnel->to.sin_port = htons(port);
    tunnel->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return fd;
}

static int accepted(int listen_fd)
{
    struct pollfd item = {.fd = listen_fd, .events = POLLIN};

    CHECK_EQ(poll(&item, 1, 5000), 1);
    return accept(listen_fd, NULL, NULL);
}

static void turn(struct ipmpi_tunnel *tunnel)
{
    struct pollfd item[IPMPI_TUNNEL_FDS];
    const size_t n = ipmpi_tunnel_fill(tunnel, NULL, item);

    CHECK(poll(item, n, 5000) > 0);
    ipmpi_tunnel_turn(tunnel, NULL, item, n);
}

static void bytes_arrive_in_order(void **state)
{
    struct ipmpi_tunnel tunnel;
    const int listen_fd = aim(&tunnel);
    char text[8] = "";
    int fd;

    (void)state;
    CHECK_EQ(take(&tunnel, OPEN, 3, ""), 0);
    fd = accepted(listen_fd);
    CHECK_EQ(take(&tunnel, DATA, 3, "ab"), 0);
    CHECK_EQ(take(&tunnel, DATA, 3, "cd"), 0);
    if (tunnel.stream[3].out.len > 0)
        turn(&tunnel);
    CHECK_EQ(recv(fd, text, 4, MSG_WAITALL), 4);
    CHECK_STR(text, "abcd");
    close(fd);
    ipmpi_tunnel_close(&tunnel);
    close(listen_fd);
}

/* The far side's end is no end here: the caller decides, see note [loss]. */
static void an_end_there_is_none_here(void **state)
{
    struct ipmpi_tunnel tunnel;
    const int listen_fd = aim(&tunnel);
    char byte;
    int fd;

    (void)state;
    CHECK_EQ(take(&tunnel, OPEN, 0, ""), 0);
    fd = accepted(listen_fd);
    CHECK_EQ(take(&tunnel, CLOSE, 0, ""), 0);
    CHECK(tunnel.stream[0].far_closed);
    CHECK_EQ(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    CHECK_EQ(send(fd, "x", 1, 0), 1); /* it goes nowhere, and does no harm */
    turn(&tunnel);
    CHECK(tunnel.stream[0].fd >= 0);
    ipmpi_tunnel_close(&tunnel);
    CHECK_EQ(recv(fd, &byte, 1, 0), 0);
    close(fd);
    close(listen_fd);
}

static void nonsense_is_refused(void **state)
{
    struct ipmpi_tunnel tunnel;
    uint16_t port;

    (void)state;
    ipmpi_tunnel_init(&tunnel);
    CHECK_EQ(take(&tunnel, 9, 0, ""), IPMPI_EFRAME);
    CHECK_EQ(take(&tunnel, DATA, IPMPI_TUNNEL_STREAMS, ""), IPMPI_EFRAME);
    CHECK_EQ(take(&tunnel, DATA, 0, "to nobody"), 0);
    CHECK_EQ(ipmpi_tunnel_listen(&tunnel, &port), 0);
    CHECK_EQ(take(&tunnel, OPEN, 0, ""), IPMPI_EFRAME); /* the wrong side */
    ipmpi_tunnel_close(&tunnel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(an_end_there_is_none_here),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The link: packets in order, an end that is gone, and bytes that are no
 * packet. */
#include "runtime/process/link.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "tests/check.h"

static int nanny, rank;

static int open_link(void **state)
{
    (void)state;
    return ipmpi_link_pair(&nanny, &rank);
}

static int close_link(void **state)
{
    (void)state;
    close(nanny);
    close(rank);
    return 0;
}

static void packets_arrive_in_order(void **state)
{
    struct ipmpi_link_packet sent = {.type = IPMPI_LINK_JOINED, .rank = 5};
    struct ipmpi_link_packet got;

    (void)state;
    CHECK_EQ(ipmpi_link_receive(nanny, &got), IPMPI_EEMPTY);
    sent.controller.udp_port_be = 77;
    CHECK_EQ(ipmpi_link_send(rank, &sent), 0);
    sent.type = IPMPI_LINK_LEAVING;
    CHECK_EQ(ipmpi_link_send(rank, &sent), 0);
    CHECK_EQ(ipmpi_link_receive(nanny, &got), 0);
    CHECK_EQ(got.type, IPMPI_LINK_JOINED);
    CHECK_EQ(got.rank, 5);
    CHECK_EQ(got.controller.udp_port_be, 77);
    CHECK_EQ(ipmpi_link_receive(nanny, &got), 0);
    CHECK_EQ(got.type, IPMPI_LINK_LEAVING);
    CHECK_EQ(ipmpi_link_receive(nanny, &got), IPMPI_EEMPTY);
}

static void an_end_that_is_gone_is_dead(void **state)
{
    struct ipmpi_link_packet packet = {.type = IPMPI_LINK_LEAVING};
    struct ipmpi_link_packet got;

    (void)state;
    CHECK_EQ(ipmpi_link_send(rank, &packet), 0);
    close(rank);
    CHECK_EQ(ipmpi_link_receive(nanny, &got), 0); /* its last words first */
    CHECK_EQ(ipmpi_link_receive(nanny, &got), IPMPI_EDEAD);
    CHECK_EQ(ipmpi_link_send(nanny, &packet), IPMPI_EDEAD);
    rank = -1;
}

static void a_full_link_does_not_block(void **state)
{
    struct ipmpi_link_packet packet = {.type = IPMPI_LINK_TERMINATE};
    int err = 0;

    (void)state;
    for (int i = 0; i < 100000 && err == 0; i++)
        err = ipmpi_link_send(nanny, &packet);
    CHECK_EQ(err, IPMPI_EFULL);
}

static void a_descriptor_travels_along(void **state)
{
    struct ipmpi_link_packet packet = {.type = IPMPI_LINK_JOINED}, got;
    int ends[2], fd;
    char byte;

    (void)state;
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(ipmpi_link_send_fd(rank, &packet, ends[0]), 0);
    CHECK_EQ(ipmpi_link_send_fd(rank, &packet, -1), 0);
    CHECK_EQ(ipmpi_link_send_fd(rank, &packet, ends[0]), 0);
    close(ends[0]);
    CHECK_EQ(ipmpi_link_receive_fd(nanny, &got, &fd), 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(read(fd, &byte, 1), 1);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    CHECK_EQ(ipmpi_link_receive_fd(nanny, &got, &fd), 0);
    CHECK_EQ(fd, -1);
    CHECK_EQ(ipmpi_link_receive(nanny, &got), 0); /* does not keep it open */
    CHECK_EQ(write(ends[1], "x", 1), -1);
    close(ends[1]);
}

static void other_bytes_are_skipped(void **state)
{
    struct ipmpi_link_packet packet = {.type = IPMPI_LINK_LEAVING}, got;

    (void)state;
    CHECK_EQ(send(rank, "hello", 5, 0), 5);
    CHECK_EQ(ipmpi_link_send(rank, &packet), 0);
    CHECK_EQ(ipmpi_link_receive(nanny, &got), 0);
    CHECK_EQ(got.type, IPMPI_LINK_LEAVING);
}

static void the_rank_finds_its_end_in_the_environment(void **state)
{
    static const char *const bad[] = {"", "x", "3x", "-1", "99999"};
    char text[16];

    (void)state;
    unsetenv(IPMPI_LINK_ENV);
    CHECK_EQ(ipmpi_link_fd(), -1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv(IPMPI_LINK_ENV, bad[i], 1);
        CHECK_EQ(ipmpi_link_fd(), -1);
    }
    CHECK_EQ(fcntl(rank, F_SETFD, 0), 0);
    snprintf(text, sizeof(text), "%d", rank);
    setenv(IPMPI_LINK_ENV, text, 1);
    CHECK_EQ(ipmpi_link_fd(), rank);
    CHECK_EQ(fcntl(rank, F_GETFD), FD_CLOEXEC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_link, close_link)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packets_arrive_in_order),
        TEST(an_end_that_is_gone_is_dead),
        TEST(a_full_link_does_not_block),
        TEST(a_descriptor_travels_along),
        TEST(other_bytes_are_skipped),
        TEST(the_rank_finds_its_end_in_the_environment),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

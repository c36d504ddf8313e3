/* The choice of an interface: names, lists, and who decides. */
#include "runtime/process/interfaces.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"

#define BTL "OMPI_MCA_btl_tcp_if_include"
#define OOB "OMPI_MCA_oob_tcp_if_include"
#define OUT "OMPI_MCA_btl_tcp_if_exclude"

static int clean(void **state)
{
    (void)state;
    unsetenv(BTL);
    unsetenv(OOB);
    unsetenv(OUT);
    unsetenv("PRTE_MCA_prte_if_include");
    return 0;
}

static void bridges_are_known_by_name(void **state)
{
    static const struct {
        const char *name;
        bool is_virtual;
    } rows[] = {
        {"docker0", true}, {"virbr0", true}, {"br-12ab", true},
        {"veth1a", true},  {"eth0", false},  {"enp3s0", false},
        {"ib0", false},    {"bond0", false}, {"br0", false},
        {"wlan0", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(ipmpi_interface_virtual(rows[i].name), rows[i].is_virtual);
}

static void lists_have_names_and_networks(void **state)
{
    static const struct {
        const char *list;
        bool listed;
    } rows[] = {
        {"eth0", true},
        {"eth1", false},
        {"eth1,eth0", true},
        {"10.1.0.0/16", true},
        {"10.2.0.0/16", false},
        {"192.168.0.0/16, 10.0.0.0/8", true},
        {"0.0.0.0/0", true},
        {"10.1.2.3", true},
        {"10.1.2.4/32", false},
        {"10.1.2.3/99", false},
        {"", false},
        {",", false},
    };
    struct ipmpi_interface eth0 = {.name = "eth0"};

    (void)state;
    eth0.ipv4_be = inet_addr("10.1.2.3");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(ipmpi_interface_listed(rows[i].list, &eth0), rows[i].listed);
}

static void the_user_may_choose_loopback(void **state)
{
    struct ipmpi_interface got;

    (void)state;
    setenv(BTL, "127.0.0.0/8", 1);
    CHECK_EQ(ipmpi_interface_choose(&got), 0);
    CHECK_STR(got.name, "lo");
    CHECK_EQ(got.ipv4_be, htonl(INADDR_LOOPBACK));
    setenv(BTL, "no-such-interface", 1);
    CHECK_EQ(ipmpi_interface_choose(&got), IPMPI_ENOENT);
}

static void loopback_is_never_our_choice(void **state)
{
    struct ipmpi_interface got;

    (void)state;
    if (ipmpi_interface_choose(&got) == 0) {
        CHECK(strcmp(got.name, "lo") != 0);
        CHECK(got.ipv4_be != 0);
    }
}

static void one_host_has_loopback_at_least(void **state)
{
    struct ipmpi_interface got;

    (void)state;
    CHECK_EQ(ipmpi_interface_set(false), 0);
    if (ipmpi_interface_choose(&got) != 0)
        CHECK_STR(getenv(BTL), "lo");
    else
        CHECK(getenv(BTL) != NULL);
}

static void the_users_choice_stays(void **state)
{
    (void)state;
    setenv(BTL, "ib7", 1);
    CHECK_EQ(ipmpi_interface_set(true), 0);
    CHECK_STR(getenv(BTL), "ib7");
    unsetenv(BTL);
    setenv(OUT, "lo", 1);
    CHECK_EQ(ipmpi_interface_set(true), 0);
    CHECK(getenv(BTL) == NULL);
}

static void ranks_follow_the_daemons(void **state)
{
    (void)state;
    setenv(OOB, "10.9.0.0/16", 1);
    CHECK_EQ(ipmpi_interface_set(true), 0);
    CHECK_STR(getenv(BTL), "10.9.0.0/16");
}

static void the_choice_is_set(void **state)
{
    struct ipmpi_interface got;

    (void)state;
    CHECK_EQ(ipmpi_interface_set(true), 0);
    if (ipmpi_interface_choose(&got) == 0)
        CHECK_STR(getenv(BTL), got.name);
    else
        CHECK(getenv(BTL) == NULL);
}

#define TEST(name) cmocka_unit_test_setup(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bridges_are_known_by_name),
        TEST(lists_have_names_and_networks),
        TEST(the_user_may_choose_loopback),
        TEST(loopback_is_never_our_choice),
        TEST(one_host_has_loopback_at_least),
        TEST(the_users_choice_stays),
        TEST(ranks_follow_the_daemons),
        TEST(the_choice_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

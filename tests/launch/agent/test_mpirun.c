/* mpirun's command lines, and which commands an agent runs. */
#include "launch/agent/mpirun.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/check.h"

static void make(const char *version, bool recover, char *text, size_t cap)
{
    const char *const program[] = {"prog", "a b", NULL};
    const char *const names[] = {"NAME", NULL};
    const struct ipmpi_mpirun what = {.version = version,
                                      .ipmpi = "/usr/bin/ipmpi",
                                      .networks = "10.0.0.0/24",
                                      .oob_port = 31100,
                                      .hosts = "n0:3,n1:2",
                                      .ranks = 5,
                                      .recover = recover,
                                      .exported = names,
                                      .program = program};
    char **argv = ipmpi_mpirun_command(&what);
    size_t at = 0;

    CHECK(argv != NULL);
    for (char **word = argv; *word != NULL; word++)
        at += (size_t)snprintf(text + at, cap - at, "[%s]", *word);
    free(argv);
}

static void test_options_of_both(void **state)
{
    char text[8192];

    (void)state;
    make("4.1.4", true, text, sizeof(text));
    CHECK(strstr(text, "[--mca][plm_rsh_agent][/usr/bin/ipmpi rsh]"));
    CHECK(strstr(text, "[--mca][oob_tcp_if_include][10.0.0.0/24]"));
    CHECK(strstr(text, "[--mca][btl_tcp_if_include][10.0.0.0/24]"));
    CHECK(strstr(text, "[oob_tcp_static_ipv4_ports][31100]"));
    CHECK(strstr(text, "[--enable-recovery]"));
    CHECK(strstr(text, "[-x][NAME][-np][5][/usr/bin/ipmpi][rank][--][prog]"
                       "[a b]"));
    make("5.0.11", false, text, sizeof(text));
    CHECK(strstr(text, "[--prtemca][plm_ssh_agent][/usr/bin/ipmpi rsh]"));
    CHECK(strstr(text, "[--prtemca][prte_if_include][10.0.0.0/24]"));
    CHECK(strstr(text, "[--mca][btl_tcp_if_include][10.0.0.0/24]"));
    CHECK(strstr(text, "plm_rsh") == NULL);
    CHECK(strstr(text, "[--enable-recovery]") == NULL);
}

static void test_the_way_home(void **state)
{
    static const struct {
        const char *command, *detour; /* NULL: none */
        int port;
    } rows[] = {
        {" orted -mca orte_hnp_uri \"7.0;tcp://10.0.0.1,10.1.0.1:60845\" -x",
         " orted -mca orte_hnp_uri \"7.0;" IPMPI_WAY_HOME "\" -x", 60845},
        {" orted -mca orte_hnp_uri \"7.0;tcp://10.0.0.1\" a:5", NULL, 0},
        {" orted -mca orte_hnp_uri \"7.0;tcp://10.0.0.1:0\"", NULL, 0},
        {" orted -mca orte_hnp_uri \"7.0;tcp://10.0.0.1:70000\"", NULL, 0},
        {" orted tcp://10.0.0.1:5", NULL, 0},
        {"prted --prtemca prte_hnp_uri \"p@0;tcp://10.0.0.1:5:24\"", NULL, 0},
    };
    uint16_t port;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *detour = ipmpi_mpirun_detour(rows[i].command, &port);

        CHECK_EQ(detour != NULL, rows[i].detour != NULL);
        if (detour == NULL)
            continue;
        CHECK_STR(detour, rows[i].detour);
        CHECK_EQ(port, rows[i].port);
        free(detour);
    }
}

static void test_only_daemons_run(void **state)
{
    static const struct {
        const char *command;
        bool good;
    } rows[] = {
        {" orted -mca ess \"env\" -mca orte_hnp_uri \"1.0;tcp://1.2.3.4:5\"",
         1},
        {"prted --prtemca ess \"env\"", 1},
        {"/opt/bin/orted -x", 1},
        {"PATH=/x/bin:$PATH ; export PATH ; /x/bin/prted --y", 1},
        {"( test ! -r ./.profile || . ./.profile;  orted -x \"1\" )", 1},
        {"( test ! -r ./.profile || . ./.profile;  reboot )", 0},
        {"( test ! -r ./.profile || . ./.profile;  orted ) | sh", 0},
        {"rm -rf /", 0},
        {"orted; rm -rf /", 0},
        {"orted & rm -rf /", 0},
        {"orted $(reboot)", 0},
        {"orted `reboot`", 0},
        {"orted | sh", 0},
        {"orted > /etc/passwd", 0},
        {"orted\nreboot", 0},
        {"xorted", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char command[256];

        snprintf(command, sizeof(command), "%s", rows[i].command);
        CHECK_EQ(ipmpi_mpirun_daemon(command) != NULL, rows[i].good);
    }
}

static void test_causes_are_words(void **state)
{
    (void)state;
    CHECK(strstr(ipmpi_mpirun_cause(205), "daemon was lost"));
    CHECK(strstr(ipmpi_mpirun_cause(137), "signal 9"));
    CHECK(strstr(ipmpi_mpirun_cause(0), "well"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_both),
        cmocka_unit_test(test_the_way_home),
        cmocka_unit_test(test_only_daemons_run),
        cmocka_unit_test(test_causes_are_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which commands an agent runs, and how a daemon is led home. */
#include "launch/agent/daemon.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/check.h"

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
        /* PRRTE's has masks, and another way that is not to be gone. */
        {"prted --prtemca prte_hnp_uri \"p@0.0;tcp://10.0.0.1,10.1.0.1:5:64,24;"
         "tcp6://[fd00::2]:7:64\" --x \"1\"",
         "prted --prtemca prte_hnp_uri \"p@0.0;" IPMPI_WAY_HOME
         ":64,24\" --x \"1\"",
         5},
    };
    uint16_t port;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *detour = ipmpi_daemon_detour(rows[i].command, &port);

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
        {"PATH=/x/bin:$PATH ; export PATH ; LD_LIBRARY_PATH=/x:${Y:-} ; "
         "export LD_LIBRARY_PATH ;   /x/bin/orted -y \"1;2\"",
         1},
        {"rm -rf /", 0},
        {"rm -rf /; orted", 0},
        {"A=1 rm -rf /; orted", 0},
        {"export A; rm -rf /; orted", 0},
        {"export A B; orted", 0},
        {"; orted", 0},
        {"REBOOT; orted", 0},
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
        CHECK_EQ(ipmpi_daemon_command(command) != NULL, rows[i].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_way_home),
        cmocka_unit_test(test_only_daemons_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

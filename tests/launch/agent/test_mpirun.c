/* mpirun's command lines, and its exit codes in words. */
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
    CHECK(strstr(text, "if_include") ==
          strstr(text, "btl_tcp_if_include") + strlen("btl_tcp_"));
    CHECK(strstr(text, "[--mca][btl_tcp_if_include][10.0.0.0/24]"));
    CHECK(strstr(text, "plm_rsh") == NULL);
    CHECK(strstr(text, "[--enable-recovery]") == NULL);
    CHECK(strstr(text, "[--with-ft]") == NULL);
    make("5.0.11", true, text, sizeof(text));
    CHECK(strstr(text, "[--enable-recovery][--with-ft][ulfm]"));
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
        cmocka_unit_test(test_causes_are_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

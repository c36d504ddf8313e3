/* Options: each spelling, each default and where it comes from, and what is
 * refused. */
#include "runtime/base/options.h"

#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "tests/check.h"

enum { ARGS_CAP = 12 };

static struct ipmpi_options options;

static int parse(const char *const *args)
{
    char *argv[ARGS_CAP + 2] = {(char *)"/usr/bin/ipmpi-engine"};
    int argc = 1;

    while (argc <= ARGS_CAP && args[argc - 1] != NULL) {
        argv[argc] = (char *)args[argc - 1];
        argc++;
    }
    return ipmpi_options_parse(argc, argv, false, &options);
}

#define PARSE(...) parse((const char *const[ARGS_CAP]){__VA_ARGS__})

static int clean_environment(void **state)
{
    (void)state;
    setenv("HOME", "/home/u", 1);
    unsetenv("IPYTHONDIR");
    unsetenv("IPP_PROFILE_DIR");
    unsetenv("IPP_CLUSTER_ID");
    unsetenv("IPP_SESSION_KEY");
    unsetenv("IPP_ENABLE_CURVE");
    return 0;
}

static int clear(void **state)
{
    (void)state;
    ipmpi_options_clear(&options);
    return 0;
}

static void defaults_need_no_option(void **state)
{
    (void)state;
    CHECK_EQ(PARSE(NULL), 0);
    CHECK_EQ(options.action, IPMPI_RUN);
    CHECK_STR(options.profile_dir, "/home/u/.ipython/profile_default");
    CHECK_STR(options.ipython_dir, "/home/u/.ipython");
    CHECK_STR(options.cluster_id, "");
    CHECK_STR(options.ip, "127.0.0.1");
    CHECK(options.location == NULL && options.key == NULL);
    CHECK(options.python == NULL && options.work_dir == NULL);
    CHECK(options.zygote && !options.respawn);
    CHECK(!options.curve && !options.reuse && !options.log_to_file);
    CHECK(options.steal && options.prefetch == -1);
    CHECK_EQ(options.hwm, -1);
    CHECK_EQ(options.db, IPMPI_DB_MEMORY);
    CHECK_EQ(options.scheme, IPMPI_SCHEME_LEASTLOAD);
    CHECK_EQ(options.log_level, IPMPI_LOG_INFO);
}

static void the_environment_gives_defaults(void **state)
{
    (void)state;
    setenv("IPYTHONDIR", "/ipy", 1);
    setenv("IPP_CLUSTER_ID", "env-id", 1);
    setenv("IPP_SESSION_KEY", "k e y", 1);
    setenv("IPP_ENABLE_CURVE", "1", 1);
    CHECK_EQ(PARSE("--profile=p"), 0);
    CHECK_STR(options.profile_dir, "/ipy/profile_p");
    CHECK_STR(options.cluster_id, "env-id");
    CHECK_STR(options.key, "k e y");
    CHECK(options.curve);
    ipmpi_options_clear(&options);

    setenv("IPP_PROFILE_DIR", "/pd", 1);
    CHECK_EQ(PARSE("--cluster-id="), 0); /* the option wins, also empty */
    CHECK_STR(options.profile_dir, "/pd");
    CHECK_STR(options.cluster_id, "");
    ipmpi_options_clear(&options);
    CHECK_EQ(PARSE("--profile-dir", "/option"), 0);
    CHECK_STR(options.profile_dir, "/option");
}

static void paths_become_absolute(void **state)
{
    char cwd[4096], want[8192];

    (void)state;
    CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
    snprintf(want, sizeof(want), "%s/here", cwd);
    CHECK_EQ(PARSE("--profile-dir=here", "--work-dir", "~/w"), 0);
    CHECK_STR(options.profile_dir, want);
    CHECK_STR(options.work_dir, "/home/u/w");
}

static void options_come_in_one_word_or_two(void **state)
{
    (void)state;
    CHECK_EQ(PARSE("--cluster-id", "c1", "--ip=*", "--location", "h", "--port",
                   "4000", "--hwm=3", "--memory=64", "--prefetch", "5",
                   "--steal=off"),
             0);
    CHECK_STR(options.cluster_id, "c1");
    CHECK_STR(options.ip, "*");
    CHECK_STR(options.location, "h");
    CHECK_EQ(options.port, 4000);
    CHECK_EQ(options.hwm, 3);
    CHECK_EQ(options.memory_mb, 64);
    CHECK(!options.steal && options.prefetch == 5);
}

static void flags_of_upstream_are_accepted(void **state)
{
    (void)state;
    CHECK_EQ(PARSE("--sqlitedb", "--reuse", "--debug", "--log-to-file",
                   "--ping=1000", "--mpi", "--timeout", "60", "--init"),
             0);
    CHECK_EQ(options.db, IPMPI_DB_SQLITE);
    CHECK(options.reuse && options.log_to_file);
    CHECK_EQ(options.log_level, IPMPI_LOG_DEBUG);
    ipmpi_options_clear(&options);
    CHECK_EQ(PARSE("--nodb"), 0);
    CHECK_EQ(options.db, IPMPI_DB_NONE);
}

static void known_traits_are_honoured(void **state)
{
    (void)state;
    CHECK_EQ(PARSE("--InteractiveShell.colors=nocolor", "--TaskScheduler.hwm=1",
                   "--TaskScheduler.scheme_name='lru'",
                   "--IPController.db_class=a.sqlitedb.SQLiteDB",
                   "--HubFactory.ip=10.0.0.1", "--Session.key=b'se cret'",
                   "--IPController.enable_curve=True",
                   "--SQLiteDB.filename=t.db"),
             0);
    CHECK_STR(options.colors, "nocolor");
    CHECK_EQ(options.hwm, 1);
    CHECK_EQ(options.scheme, IPMPI_SCHEME_LRU);
    CHECK_EQ(options.db, IPMPI_DB_SQLITE);
    CHECK_STR(options.ip, "10.0.0.1");
    CHECK_STR(options.key, "se cret");
    CHECK(options.curve);
    CHECK_STR(options.db_filename, "t.db");
}

static void unknown_traits_are_ignored(void **state)
{
    (void)state;
    CHECK_EQ(PARSE("--Foo.bar=1", "--IPEngine.x", "word", "--Foo.flag",
                   "--ip=1.2.3.4"),
             0);
    CHECK_STR(options.ip, "1.2.3.4");
}

static void ports_are_lists_and_ranges(void **state)
{
    static const struct {
        const char *text;
        int n, first, last;
    } rows[] = {
        {"--ports=5000", 1, 5000, 5000},
        {"--ports=5000,5002", 2, 5000, 5002},
        {"--ports=5000-5006", 7, 5000, 5006},
        {"--ports=1,10-12", 4, 1, 12},
        {"--IPController.ports=[7, 8, 9]", 3, 7, 9},
        {"--ports=10-1000", IPMPI_PORTS_CAP, 10, 10 + IPMPI_PORTS_CAP - 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_EQ(PARSE(rows[i].text), 0);
        CHECK_EQ(options.nports, rows[i].n);
        CHECK_EQ(options.ports[0], rows[i].first);
        CHECK_EQ(options.ports[options.nports - 1], rows[i].last);
        ipmpi_options_clear(&options);
    }
}

static void levels_are_names_or_numbers(void **state)
{
    static const struct {
        const char *text;
        enum ipmpi_log_level level;
    } rows[] = {
        {"10", IPMPI_LOG_DEBUG},    {"20", IPMPI_LOG_INFO},
        {"30", IPMPI_LOG_WARN},     {"50", IPMPI_LOG_ERROR},
        {"DEBUG", IPMPI_LOG_DEBUG}, {"Warn", IPMPI_LOG_WARN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_EQ(PARSE("--log-level", rows[i].text), 0);
        CHECK_EQ(options.log_level, rows[i].level);
        ipmpi_options_clear(&options);
    }
}

static void wrong_use_is_refused(void **state)
{
    static const char *const rows[][3] = {
        {"--no-such-option"},
        {"stray"},
        {"--hwm=many"},
        {"--memory=2G"},
        {"--hwm", "-1"},
        {"--prefetch=-1"},
        {"--steal=some"},
        {"--port=70000"},
        {"--port"},
        {"--ports=0"},
        {"--ports=9-8"},
        {"--ports=1;2"},
        {"--db=mysql"},
        {"--scheme=best"},
        {"--reuse=perhaps"},
        {"--scheme=pure"}, /* has none of the scheduler's features */
        {"--log-level=loud"},
        {"--mongodb"},
        {"--cluster-id=a/b"},
        {"--profile=../x"},
        {"--profile="},
        {"--ip="},
        {"--TaskScheduler.hwm=x"},
        {"--reuse=maybe"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_options untouched = {.port = 42};
        char *argv[] = {(char *)"x", (char *)rows[i][0], (char *)rows[i][1],
                        NULL};
        const int argc = rows[i][1] != NULL ? 3 : 2;

        CHECK_EQ(ipmpi_options_parse(argc, argv, false, &untouched),
                 IPMPI_EINVAL);
        CHECK_EQ(untouched.port, 42);
    }
}

static void help_and_version_are_actions(void **state)
{
    (void)state;
    CHECK_EQ(PARSE("--help"), 0);
    CHECK_EQ(options.action, IPMPI_SHOW_HELP);
    ipmpi_options_clear(&options);
    CHECK_EQ(PARSE("--version"), 0);
    CHECK_EQ(options.action, IPMPI_SHOW_VERSION);
}

static void python_side_gets_json(void **state)
{
    char *text;

    (void)state;
    CHECK_EQ(PARSE("-c", "a = \"x\\n\"\nb", "--exec-line=c", "-s", "/f.py",
                   "--profile-dir=/p", "--ipython-dir=/i", "--debug"),
             0);
    text = ipmpi_options_json(&options);
    CHECK_STR(text,
              "{\"profile\":\"default\",\"profile_dir\":\"/p\","
              "\"ipython_dir\":\"/i\",\"cluster_id\":\"\","
              "\"exec_lines\":[\"a = \\\"x\\\\n\\\"\\u000ab\",\"c\"],"
              "\"exec_files\":[\"/f.py\"],\"colors\":null,\"log_level\":10,"
              "\"log_to_file\":false}");
    free(text);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, clean_environment, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_need_no_option),
        TEST(the_environment_gives_defaults),
        TEST(paths_become_absolute),
        TEST(options_come_in_one_word_or_two),
        TEST(flags_of_upstream_are_accepted),
        TEST(known_traits_are_honoured),
        TEST(unknown_traits_are_ignored),
        TEST(ports_are_lists_and_ranges),
        TEST(levels_are_names_or_numbers),
        TEST(wrong_use_is_refused),
        TEST(help_and_version_are_actions),
        TEST(python_side_gets_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

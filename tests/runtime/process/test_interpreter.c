/* The choice of a Python, and what one may answer. Interpreters are shell
 * scripts here; their library is any file that can be read. */
#include "runtime/process/interpreter.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "tests/check.h"

static char root[64];
static char path[PATH_MAX], why[1024];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/ipmpi-test-XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    unsetenv("VIRTUAL_ENV");
    unsetenv("CONDA_PREFIX");
    setenv("PATH", "/usr/bin:/bin", 1);
    return 0;
}

static int remove_root(void **state)
{
    char command[128];

    (void)state;
    setenv("PATH", "/usr/bin:/bin", 1);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

static const char *in_root(const char *name)
{
    static char made[4][PATH_MAX];
    static unsigned next;
    char *out = made[next++ % 4];

    snprintf(out, PATH_MAX, "%s/%s", root, name);
    return out;
}

/* Makes ROOT/NAME a program that prints `answer`, with ROOT for %s. */
static void make_python(const char *name, const char *answer)
{
    char command[256];
    FILE *file;

    snprintf(command, sizeof(command), "mkdir -p $(dirname %s/%s)", root, name);
    CHECK_EQ(system(command), 0);
    file = fopen(in_root(name), "w");
    CHECK(file != NULL);
    fprintf(file, "#!/bin/sh\ncat <<END\n");
    fprintf(file, answer, root);
    fprintf(file, "END\n");
    fclose(file);
    CHECK_EQ(chmod(in_root(name), 0755), 0);
}

static void an_option_wins(void **state)
{
    (void)state;
    make_python("env/bin/python3", "");
    make_python("other", "");
    setenv("VIRTUAL_ENV", in_root("env"), 1);
    CHECK_EQ(ipmpi_interpreter_choose(in_root("other"), path, why, 1024), 0);
    CHECK_STR(path, in_root("other"));
    CHECK_EQ(ipmpi_interpreter_choose(NULL, path, why, 1024), 0);
    CHECK_STR(path, in_root("env/bin/python3"));
    CHECK_EQ(ipmpi_interpreter_choose("", path, why, 1024), 0);
    CHECK_STR(path, in_root("env/bin/python3"));
}

static void an_environment_comes_before_the_path(void **state)
{
    (void)state;
    make_python("conda/bin/python3", "");
    make_python("bin/python3", "");
    setenv("PATH", in_root("bin"), 1);
    CHECK_EQ(ipmpi_interpreter_choose(NULL, path, why, 1024), 0);
    CHECK_STR(path, in_root("bin/python3"));
    setenv("CONDA_PREFIX", in_root("conda"), 1);
    CHECK_EQ(ipmpi_interpreter_choose(NULL, path, why, 1024), 0);
    CHECK_STR(path, in_root("conda/bin/python3"));
    setenv("CONDA_PREFIX", in_root("gone"), 1);
    CHECK_EQ(ipmpi_interpreter_choose(NULL, path, why, 1024), 0);
    CHECK_STR(path, in_root("bin/python3"));
}

static void an_option_is_a_path_a_name_or_an_environment(void **state)
{
    char cwd[PATH_MAX];

    (void)state;
    make_python("env/bin/python3", "");
    make_python("bin/python3.77", "");
    setenv("PATH", in_root("bin"), 1);
    CHECK_EQ(ipmpi_interpreter_choose("python3.77", path, why, 1024), 0);
    CHECK_STR(path, in_root("bin/python3.77"));
    CHECK_EQ(ipmpi_interpreter_choose(in_root("env"), path, why, 1024), 0);
    CHECK_STR(path, in_root("env/bin/python3"));
    CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
    CHECK_EQ(chdir(root), 0);
    CHECK_EQ(ipmpi_interpreter_choose("env/bin/python3", path, why, 1024), 0);
    CHECK_STR(path, in_root("env/bin/python3"));
    CHECK_EQ(chdir(cwd), 0);
}

static void what_cannot_run_is_refused(void **state)
{
    (void)state;
    make_python("plain", "");
    CHECK_EQ(chmod(in_root("plain"), 0644), 0);
    CHECK_EQ(ipmpi_interpreter_choose(in_root("gone"), path, why, 1024),
             IPMPI_EPYTHON);
    CHECK(strstr(why, "gone is no program") != NULL);
    if (getuid() != 0)
        CHECK_EQ(ipmpi_interpreter_choose(in_root("plain"), path, why, 1024),
                 IPMPI_EPYTHON);
    CHECK_EQ(ipmpi_interpreter_choose(root, path, why, 1024), IPMPI_EPYTHON);
    setenv("PATH", root, 1);
    CHECK_EQ(ipmpi_interpreter_choose(NULL, path, why, 1024), IPMPI_EPYTHON);
    CHECK(strstr(why, "no python3 in PATH") != NULL);
}

static void each_answer_has_its_message(void **state)
{
    static const struct {
        const char *answer;
        const char *why; /* NULL: it will do */
    } rows[] = {
        {"@version=3.11\n@lib=%s/python\n@end=\n", NULL},
        {"noise\n@version=3.13\nmore\n@lib=/gone\n@lib=%s/python\n@end=\n",
         NULL},
        {"@version=3.10\n@lib=%s/python\n@end=\n", "is Python 3.10; engines"},
        {"@version=2.7\n", "is Python 2.7; engines"},
        {"@version=3.12\n@lib=%s/gone\n@end=\n", "apt install libpython3.12"},
        {"@version=3.12\n@end=\n", "has no shared libpython"},
        {"@version=3.11\n@lib=%s/python\n@missing=ipyparallel\n@end=\n",
         "has no ipyparallel. Install"},
        {"@version=3.11\n@missing=a\n@missing=b\n@missing=c\n@end=\n",
         "has no a, b, c."},
        {"@version=3.11\n@lib=%s/python\n", "does not answer"},
        {"Traceback:\nImportError: encodings\n", "ImportError: encodings"},
        {"", "does not run"},
        {"@version=x\n@end=\n", "does not run"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_interpreter got = {.version = "untouched"};
        int err;

        make_python("python", rows[i].answer);
        err = ipmpi_interpreter_find(in_root("python"), &got, why, 1024);
        CHECK_EQ(err, rows[i].why != NULL ? IPMPI_EPYTHON : 0);
        if (err != 0) {
            if (strstr(why, rows[i].why) == NULL)
                fail_msg("row %zu: %s", i, why);
            CHECK_STR(got.version, "untouched");
        } else {
            CHECK_STR(got.libpython, in_root("python"));
            CHECK_STR(got.python, in_root("python"));
        }
    }
}

static void a_wrapper_names_the_true_interpreter(void **state)
{
    struct ipmpi_interpreter got;

    (void)state;
    make_python("python", "@version=3.11\n@python=/opt/true/python\n"
                          "@lib=%s/python\n@end=\n");
    CHECK_EQ(ipmpi_interpreter_find(in_root("python"), &got, why, 1024), 0);
    CHECK_STR(got.python, "/opt/true/python");
}

static void an_answer_without_end_is_cut(void **state)
{
    struct ipmpi_interpreter got;
    FILE *file = fopen(in_root("python"), "w");

    (void)state;
    fputs("#!/bin/sh\nyes @version=3.11\n", file);
    fclose(file);
    CHECK_EQ(chmod(in_root("python"), 0755), 0);
    CHECK_EQ(ipmpi_interpreter_find(in_root("python"), &got, why, 1024),
             IPMPI_EPYTHON);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_option_wins),
        TEST(an_environment_comes_before_the_path),
        TEST(an_option_is_a_path_a_name_or_an_environment),
        TEST(what_cannot_run_is_refused),
        TEST(each_answer_has_its_message),
        TEST(a_wrapper_names_the_true_interpreter),
        TEST(an_answer_without_end_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where a cluster's files are, and who holds its name. */
#include "launch/clusters/where.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/clusters/profiles.h"
#include "runtime/base/error.h"
#include "tests/check.h"

static char root[] = "/tmp/ipmpi-where-XXXXXX";

static void forget_environment(void)
{
    unsetenv("IPYTHONDIR");
    unsetenv("IPP_PROFILE_DIR");
    unsetenv("IPP_CLUSTER_ID");
    setenv("HOME", "/home/u", 1);
}

static void finds_paths(void **state)
{
    static const struct {
        const char *name, *env, *value;
        struct ipmpi_where where;
        const char *profile_dir, *client_file;
    } rows[] = {
        {"nothing given",
         NULL,
         NULL,
         {0},
         "/home/u/.ipython/profile_default",
         "/security/ipcontroller-client.json"},
        {"a profile",
         NULL,
         NULL,
         {.profile = "p"},
         "/home/u/.ipython/profile_p",
         "/security/ipcontroller-client.json"},
        {"IPYTHONDIR",
         "IPYTHONDIR",
         "/i",
         {0},
         "/i/profile_default",
         "/security/ipcontroller-client.json"},
        {"--ipython-dir wins",
         "IPYTHONDIR",
         "/i",
         {.ipython_dir = "/j"},
         "/j/profile_default",
         "/security/ipcontroller-client.json"},
        {"IPP_PROFILE_DIR",
         "IPP_PROFILE_DIR",
         "/d",
         {0},
         "/d",
         "/security/ipcontroller-client.json"},
        {"--profile wins over it",
         "IPP_PROFILE_DIR",
         "/d",
         {.profile = "p"},
         "/home/u/.ipython/profile_p",
         "/security/ipcontroller-client.json"},
        {"an id",
         NULL,
         NULL,
         {.profile_dir = "/d", .cluster_id = "x"},
         "/d",
         "/security/ipcontroller-x-client.json"},
        {"an id from outside",
         "IPP_CLUSTER_ID",
         "y",
         {.profile_dir = "/d"},
         "/d",
         "/security/ipcontroller-y-client.json"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_paths paths;
        char want[512];

        forget_environment();
        if (rows[i].env != NULL)
            setenv(rows[i].env, rows[i].value, 1);
        print_message("row: %s\n", rows[i].name);
        assert_int_equal(ipmpi_paths_find(&rows[i].where, &paths), 0);
        assert_string_equal(paths.profile_dir, rows[i].profile_dir);
        snprintf(want, sizeof(want), "%s%s", rows[i].profile_dir,
                 rows[i].client_file);
        assert_string_equal(paths.client_file, want);
        ipmpi_paths_clear(&paths);
    }
    forget_environment();
}

static void refuses_a_slash(void **state)
{
    struct ipmpi_paths paths;

    (void)state;
    assert_int_equal(ipmpi_paths_make("/d", "a/b", &paths), IPMPI_EINVAL);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_profile(const char *name, char dir[64])
{
    char security[96];

    snprintf(dir, 64, "%s/profile_%s", root, name);
    mkdir(dir, 0700);
    snprintf(security, sizeof(security), "%s/security", dir);
    mkdir(security, 0700);
}

static void reads_the_holder(void **state)
{
    struct ipmpi_holder holder;
    struct ipmpi_paths paths;
    char dir[64], host[200], line[256];
    int fd;

    (void)state;
    make_profile("held", dir);
    assert_int_equal(ipmpi_paths_make(dir, "", &paths), 0);
    ipmpi_holder_read(&paths, &holder);
    assert_false(holder.held);
    gethostname(host, sizeof(host));
    snprintf(line, sizeof(line), "%s 4711\n", host);
    write_file(paths.lock_file, line);
    ipmpi_holder_read(&paths, &holder);
    assert_false(holder.held); /* left behind */
    fd = open(paths.lock_file, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    ipmpi_holder_read(&paths, &holder);
    assert_true(holder.held && holder.here);
    assert_int_equal(holder.pid, 4711);
    close(fd);
    ipmpi_paths_clear(&paths);
}

static void finds_profiles(void **state)
{
    static const char *const names[] = {
        "security/.ipmpi-b.lock", "security/ipcontroller-a-client.json",
        "security/ipcontroller-b-client.json",
        "security/ipcontroller-client.json", "security/ipcontroller-a.json"};
    static const char *const ids[] = {"", "a", "b"};
    const struct ipmpi_where where = {.ipython_dir = root};
    struct ipmpi_profiles profiles;
    char dir[64], path[160];

    (void)state;
    make_profile("found", dir);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        write_file(path, "{}");
    }
    assert_int_equal(ipmpi_profiles_find(&where, &profiles), 0);
    assert_true(profiles.n >= 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(profiles.at[i].profile_dir, dir);
        assert_string_equal(profiles.at[i].cluster_id, ids[i]);
    }
    ipmpi_profiles_clear(&profiles);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_paths),
        cmocka_unit_test(refuses_a_slash),
        cmocka_unit_test(finds_profiles),
        cmocka_unit_test(reads_the_holder),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}

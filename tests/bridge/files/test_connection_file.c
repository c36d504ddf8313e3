/* Connection files: what is in them, how they appear and go. */
#include "bridge/files/connection_file.h"

#include <dirent.h>

#include <jansson.h>

#include "runtime/base/error.h"
#include "tests/bridge/files/scratch.h"

static const struct ipmpi_connection connection = {
    .ports = {1001, 1002, 1003, 1004, 1005, 1006, 65535},
    .interface = "tcp://127.0.0.1",
    .location = "host1",
    .key = "5be6d19a-ad0a0d4b453be6c64b3b282e",
    .task_scheme = "leastload",
};

static struct ipmpi_profile *open_profile(struct scratch *s)
{
    struct ipmpi_profile *p;

    CHECK_EQ(ipmpi_profile_open(s->profile, "c", &p), 0);
    return p;
}

static int count_json(struct scratch *s)
{
    char path[128];
    int n = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/security", s->profile);
    dir = opendir(path);
    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += strstr(e->d_name, "json") != NULL;
    closedir(dir);
    return n;
}

static void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK_EQ(fclose(file), 0);
}

static void check_file(const char *path, const char *want)
{
    json_t *got = json_load_file(path, 0, NULL);
    json_t *wanted = json_loads(want, 0, NULL);
    struct stat st;

    CHECK(got != NULL && wanted != NULL);
    CHECK(json_equal(got, wanted));
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    json_decref(got);
    json_decref(wanted);
}

#define COMMON                                                              \
    "\"interface\":\"tcp://127.0.0.1\",\"registration\":1001,"              \
    "\"control\":1002,\"mux\":1003,\"task\":1004,\"iopub\":1006,"           \
    "\"notification\":65535,\"task_scheme\":\"leastload\",\"ssh\":\"\","    \
    "\"key\":\"5be6d19a-ad0a0d4b453be6c64b3b282e\",\"location\":\"host1\"," \
    "\"signature_scheme\":\"hmac-sha256\",\"pack\":\"json\","               \
    "\"unpack\":\"json\",\"curve_serverkey\":null,"

static void both_files_come_and_go(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p = open_profile(s);

    umask(0);
    for (int again = 0; again < 2; again++) { /* also over old ones */
        CHECK_EQ(ipmpi_connection_write(p, &connection), 0);
        CHECK_EQ(count_json(s), 2); /* no temporary file is left */
        check_file(ipmpi_profile_client_file(p),
                   "{" COMMON "\"broadcast\":1005}");
        check_file(ipmpi_profile_engine_file(p),
                   "{" COMMON "\"broadcast\":[1005]}");
    }
    ipmpi_connection_remove(p);
    CHECK_EQ(count_json(s), 0);
    ipmpi_connection_remove(p); /* missing ones are fine */
    CHECK_STR(scratch_log(s), "");
    ipmpi_profile_close(&p);
}

static void a_file_can_be_reused(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p = open_profile(s);
    struct ipmpi_ports ports;
    char *key = NULL;

    CHECK_EQ(ipmpi_connection_read(p, &ports, &key), IPMPI_ENOENT);
    CHECK_EQ(ipmpi_connection_write(p, &connection), 0);
    CHECK_EQ(ipmpi_connection_read(p, &ports, &key), 0);
    CHECK_MEM(&ports, &connection.ports, sizeof(ports));
    CHECK_STR(key, connection.key);
    ipmpi_connection_destroy_key(&key);
    CHECK(key == NULL);
    ipmpi_profile_close(&p);
}

static void a_file_of_another_kind_is_not(void **state)
{
    static const char *const rows[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"key\":1}",
        "{\"key\":\"k\",\"registration\":1}",
        "{" COMMON "\"broadcast\":[1005]}",
        "{" COMMON "\"broadcast\":0}",
        "{" COMMON "\"broadcast\":65536}",
        "{" COMMON "\"broadcast\":\"1005\"}",
    };
    struct scratch *s = *state;
    struct ipmpi_profile *p = open_profile(s);
    struct ipmpi_ports ports;
    char *key = NULL;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put_file(ipmpi_profile_client_file(p), rows[i]);
        if (ipmpi_connection_read(p, &ports, &key) != IPMPI_EJSON)
            fail_msg("%s was read", rows[i]);
        CHECK(key == NULL);
    }
    check_logged(s, "start without --reuse");
    ipmpi_profile_close(&p);
}

static void curve_and_ssh_are_written(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p = open_profile(s);
    struct ipmpi_connection c = connection;
    json_t *got;

    c.curve_serverkey = "z85";
    c.ssh = "me@gate";
    c.key = "";
    c.location = NULL;
    CHECK_EQ(ipmpi_connection_write(p, &c), 0);
    got = json_load_file(ipmpi_profile_client_file(p), 0, NULL);
    CHECK_STR(json_string_value(json_object_get(got, "curve_serverkey")),
              "z85");
    CHECK_STR(json_string_value(json_object_get(got, "ssh")), "me@gate");
    CHECK_STR(json_string_value(json_object_get(got, "key")), "");
    CHECK(json_is_null(json_object_get(got, "location")));
    json_decref(got);
    ipmpi_profile_close(&p);
}

static void a_failure_leaves_nothing(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p = open_profile(s);
    struct ipmpi_connection c = connection;

    /* the client's name is taken by a directory: rename fails */
    CHECK_EQ(mkdir(ipmpi_profile_client_file(p), 0700), 0);
    CHECK_EQ(ipmpi_connection_write(p, &connection), IPMPI_ESYS);
    check_logged(s, ipmpi_profile_client_file(p));
    CHECK_EQ(rmdir(ipmpi_profile_client_file(p)), 0);
    CHECK_EQ(count_json(s), 0);

    c.location = "\xff";
    CHECK_EQ(ipmpi_connection_write(p, &c), IPMPI_EINVAL);
    CHECK_EQ(count_json(s), 0);
    ipmpi_profile_close(&p);
}

static void keys_are_random(void **state)
{
    char *a, *b;

    (void)state;
    CHECK_EQ(ipmpi_connection_make_key(&a), 0);
    CHECK_EQ(ipmpi_connection_make_key(&b), 0);
    CHECK_EQ(strlen(a), 33);
    CHECK_EQ(strspn(a, "0123456789abcdef"), 8);
    CHECK_EQ(a[8], '-');
    CHECK_EQ(strspn(a + 9, "0123456789abcdef"), 24);
    CHECK(strcmp(a, b) != 0);
    ipmpi_connection_destroy_key(&a);
    ipmpi_connection_destroy_key(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(both_files_come_and_go),
        IN_SCRATCH(a_file_can_be_reused),
        IN_SCRATCH(a_file_of_another_kind_is_not),
        IN_SCRATCH(curve_and_ssh_are_written),
        IN_SCRATCH(a_failure_leaves_nothing),
        cmocka_unit_test(keys_are_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

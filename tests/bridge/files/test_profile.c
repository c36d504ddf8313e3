/* Profiles: their directories, and who may use them. */
#include "bridge/files/profile.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "runtime/base/error.h"
#include "tests/bridge/files/scratch.h"

static int mode_of(const char *dir, const char *name)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return stat(path, &st) == 0 ? (int)(st.st_mode & 0777) : -1;
}

static void the_tree_is_made(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p;
    char want[256];

    CHECK_EQ(ipmpi_profile_open(s->profile, "c", &p), 0);
    CHECK_EQ(mode_of(s->profile, "security"), 0700);
    CHECK_EQ(mode_of(s->profile, "pid"), 0700);
    CHECK(mode_of(s->profile, "log") >= 0700);
    CHECK(mode_of(s->profile, "startup") >= 0700);
    CHECK_STR(ipmpi_profile_dir(p), s->profile);
    snprintf(want, sizeof(want), "%s/security/ipcontroller-c-client.json",
             s->profile);
    CHECK_STR(ipmpi_profile_client_file(p), want);
    CHECK_EQ(mode_of(s->profile, "security/.ipmpi-c.lock"), 0600);
    ipmpi_profile_close(&p);
    CHECK_EQ(mode_of(s->profile, "security/.ipmpi-c.lock"), -1);

    /* again, with no id, over what is there and too open */
    snprintf(want, sizeof(want), "%s/security", s->profile);
    CHECK_EQ(chmod(want, 0755), 0);
    CHECK_EQ(ipmpi_profile_open(s->profile, NULL, &p), 0);
    CHECK_EQ(mode_of(s->profile, "security"), 0700);
    snprintf(want, sizeof(want), "%s/security/ipcontroller-engine.json",
             s->profile);
    CHECK_STR(ipmpi_profile_engine_file(p), want);
    ipmpi_profile_close(&p);
    ipmpi_profile_close(&p); /* NULL is fine */
    CHECK_STR(scratch_log(s), "");
}

static void a_second_start_is_refused(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *first, *other, *second = NULL;
    char host[256] = "", holder[300];

    gethostname(host, sizeof(host) - 1);
    snprintf(holder, sizeof(holder), "on %s (pid %ld)", host, (long)getpid());
    CHECK_EQ(ipmpi_profile_open(s->profile, "c", &first), 0);
    CHECK_EQ(ipmpi_profile_open(s->profile, "", &other), 0); /* another id */
    CHECK_EQ(ipmpi_profile_open(s->profile, "c", &second), IPMPI_EBUSY);
    CHECK(second == NULL);
    check_logged(s, holder);
    ipmpi_profile_close(&first);
    CHECK_EQ(ipmpi_profile_open(s->profile, "c", &second), 0);
    ipmpi_profile_close(&second);
    ipmpi_profile_close(&other);
}

/* A killed holder leaves its file but not its lock. */
static void a_dead_holder_is_replaced(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p;
    int fds[2], status;
    char byte;
    pid_t pid;

    CHECK_EQ(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        if (ipmpi_profile_open(s->profile, "c", &p) != 0 ||
            write(fds[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(fds[1]);
    CHECK_EQ(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    CHECK_EQ(ipmpi_profile_open(s->profile, "c", &p), IPMPI_EBUSY);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(mode_of(s->profile, "security/.ipmpi-c.lock"), 0600);
    CHECK_EQ(ipmpi_profile_open(s->profile, "c", &p), 0);
    ipmpi_profile_close(&p);
}

/* Looks for a holder without a pause, as many `ipmpi list`s would. */
static pid_t start_looking(const char *path)
{
    const pid_t pid = fork();

    while (pid == 0) {
        const int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd >= 0) {
            (void)flock(fd, LOCK_SH | LOCK_NB);
            close(fd);
        }
        if (getppid() == 1)
            _exit(1);
    }
    return pid;
}

static void who_looks_is_not_in_the_way(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p;
    char path[256];
    pid_t pid;

    snprintf(path, sizeof(path), "%s/security/.ipmpi-c.lock", s->profile);
    pid = start_looking(path);
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(ipmpi_profile_open(s->profile, "c", &p), 0);
        ipmpi_profile_close(&p);
    }
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static void unusable_places(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p = NULL;
    char path[200];

    /* below a plain file: not even root can make that */
    snprintf(path, sizeof(path), "%s/log/profile_x", s->dir);
    CHECK_EQ(ipmpi_profile_open(path, "", &p), IPMPI_ESYS);
    check_logged(s, path);
    check_logged(s, "choose a writable one with --profile-dir");

    /* security is a plain file */
    CHECK_EQ(ipmpi_profile_open(s->profile, "", &p), 0);
    ipmpi_profile_close(&p);
    snprintf(path, sizeof(path), "%s/security", s->profile);
    CHECK_EQ(rmdir(path), 0);
    CHECK_EQ(symlink("/dev/null", path), 0);
    CHECK_EQ(ipmpi_profile_open(s->profile, "", &p), IPMPI_ESYS);
    check_logged(s, path);

    CHECK_EQ(ipmpi_profile_open(s->profile, "a/b", &p), IPMPI_EINVAL);
    CHECK_EQ(ipmpi_profile_open(s->profile, "a\nb", &p), IPMPI_EINVAL);
    CHECK(p == NULL);
}

static void a_directory_that_may_not_be_written(void **state)
{
    struct scratch *s = *state;
    struct ipmpi_profile *p;

    if (geteuid() == 0) {
        /* as somebody else, in a child */
        pid_t pid;
        int status;

        CHECK_EQ(chmod(s->dir, 0755), 0);
        pid = fork();
        if (pid == 0)
            _exit(setuid(65534) != 0 ||
                  ipmpi_profile_open(s->profile, "", &p) != IPMPI_ESYS);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    } else {
        CHECK_EQ(chmod(s->dir, 0500), 0);
        CHECK_EQ(ipmpi_profile_open(s->profile, "", &p), IPMPI_ESYS);
        CHECK_EQ(chmod(s->dir, 0700), 0);
    }
    check_logged(s, "Permission denied; choose a writable one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(the_tree_is_made),
        IN_SCRATCH(a_second_start_is_refused),
        IN_SCRATCH(a_dead_holder_is_replaced),
        IN_SCRATCH(who_looks_is_not_in_the_way),
        IN_SCRATCH(unusable_places),
        IN_SCRATCH(a_directory_that_may_not_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

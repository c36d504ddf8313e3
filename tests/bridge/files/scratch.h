/* A directory of the test's own, and the log of what it did. */
#ifndef IPMPI_TESTS_BRIDGE_FILES_SCRATCH_H
#define IPMPI_TESTS_BRIDGE_FILES_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "tests/check.h"

struct scratch {
    char dir[64];     /* exists */
    char profile[80]; /* does not */
    int log_fd;
};

static inline int scratch_setup(void **state)
{
    static struct scratch s;
    char path[96];

    strcpy(s.dir, "/tmp/ipmpi-test-XXXXXX");
    if (mkdtemp(s.dir) == NULL)
        return -1;
    snprintf(s.profile, sizeof(s.profile), "%s/a/profile_x", s.dir);
    snprintf(path, sizeof(path), "%s/log", s.dir);
    s.log_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ipmpi_log_set_fd(s.log_fd);
    *state = &s;
    return s.log_fd < 0;
}

static inline int scratch_unlink(const char *path, const struct stat *st,
                                 int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline int scratch_teardown(void **state)
{
    struct scratch *s = *state;

    ipmpi_log_set_fd(2);
    close(s->log_fd);
    return nftw(s->dir, scratch_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

/* What was logged so far. */
static inline const char *scratch_log(struct scratch *s)
{
    static char text[8192];
    ssize_t len = pread(s->log_fd, text, sizeof(text) - 1, 0);

    text[len > 0 ? len : 0] = '\0';
    return text;
}

static inline void check_logged(struct scratch *s, const char *want)
{
    if (strstr(scratch_log(s), want) == NULL)
        fail_msg("'%s' is not in the log: %s", want, scratch_log(s));
}

#define IN_SCRATCH(test) \
    cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

#endif

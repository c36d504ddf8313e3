/* Lock files. A lock is an flock, so it ends with its holder, even by SIGKILL
 * or a crash; the file itself may stay behind and is taken over.
 *
 * Invariant: the holder's descriptor is of the file that has the name. A file
 * that was unlinked between open and flock is let go and opened anew. */
#include "bridge/files/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

/* Who asks whether a cluster runs, as `ipmpi list`, holds a shared lock for
 * some microseconds: one that stays busy for so long has a cluster. */
enum { HOLDER_CAP = 320, TRIES = 20, PAUSE_US = 10 * 1000 };

static bool still_has_the_name(int fd, const char *path)
{
    struct stat mine, named;

    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 &&
           mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

static void write_holder(int fd, const char *path)
{
    char host[256] = "?", text[HOLDER_CAP];
    int len;

    gethostname(host, sizeof(host) - 1);
    len = snprintf(text, sizeof(text), "%s %ld\n", host, (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len)
        ipmpi_log_warn("FILES-LOCK", "%s: cannot write its holder: %s", path,
                       strerror(errno));
}

/* The file may be empty yet: its holder locks first and writes then. */
static void log_holder(int fd, const char *path)
{
    char text[HOLDER_CAP], host[256];
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    long pid;

    text[len > 0 ? len : 0] = '\0';
    if (sscanf(text, "%255s %ld", host, &pid) == 2)
        ipmpi_log_error("FILES-BUSY",
                        "a cluster of this profile and cluster id is running "
                        "on %s (pid %ld): stop it, or choose another "
                        "--cluster-id (lock %s)",
                        host, pid, path);
    else
        ipmpi_log_error("FILES-BUSY",
                        "a cluster of this profile and cluster id is just "
                        "starting: choose another --cluster-id (lock %s)",
                        path);
}

/* 0; IPMPI_EBUSY; IPMPI_ENOENT: lost the file to one that just ended;
 * IPMPI_EINVAL: cannot be locked here. */
static int try_lock(int fd, const char *path)
{
    for (int tries = TRIES; flock(fd, LOCK_EX | LOCK_NB) != 0;) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return IPMPI_EINVAL;
        if (--tries == 0)
            return IPMPI_EBUSY;
        usleep(PAUSE_US);
    }
    return still_has_the_name(fd, path) ? 0 : IPMPI_ENOENT;
}

int ipmpi_lock_take(const char *path, int *fd_out)
{
    for (;;) {
        const int fd =
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        int err;

        if (fd < 0) {
            ipmpi_log_error(
                "FILES-LOCK",
                "cannot open %s: %s; choose a writable profile with "
                "--profile-dir",
                path, strerror(errno));
            return IPMPI_ESYS;
        }
        err = try_lock(fd, path);
        if (err == 0) {
            write_holder(fd, path);
            *fd_out = fd;
            return 0;
        }
        if (err == IPMPI_EBUSY)
            log_holder(fd, path);
        else if (err == IPMPI_EINVAL)
            ipmpi_log_warn("FILES-LOCK",
                           "cannot lock %s (%s): a second cluster of this "
                           "profile and cluster id would not be noticed",
                           path, strerror(errno));
        close(fd);
        if (err == IPMPI_EBUSY)
            return err;
        if (err == IPMPI_EINVAL) {
            *fd_out = -1;
            return 0;
        }
    }
}

void ipmpi_lock_give(const char *path, int *fd)
{
    if (*fd < 0)
        return;
    unlink(path); /* still locked: nobody can have it in between */
    close(*fd);
    *fd = -1;
}

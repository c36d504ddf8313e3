/* A nanny's side of the zygote: the socket, and packets with descriptors.
 *
 * Both sides check the other's uid: abstract names belong to whoever comes
 * first. */
#include "runtime/process/zygote.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/process/attach.h"
#include "runtime/process/settings.h"

enum { REQUEST_FDS = 6, ANSWER_LEN = 300, BACKLOG = 512 };

/* FNV-1a: a name of fixed length from parts of any. */
static uint64_t mix(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return (hash ^ '/') * 0x100000001b3u;
}

void ipmpi_zygote_name(const struct ipmpi_place *place,
                       char name_out[IPMPI_ZYGOTE_NAME_CAP])
{
    uint64_t hash = 0xcbf29ce484222325u;
    char part[128] = "";
    struct stat pids, mounts;

    hash = mix(hash, place->job);
    gethostname(part, sizeof(part) - 1);
    hash = mix(hash, part);
    /* Containers may share a name and a network, but then not their pids or
     * not their files: a rank with another's /dev/shm would crash in MPI. */
    if (stat("/proc/self/ns/pid", &pids) != 0)
        pids.st_ino = 0;
    if (stat("/proc/self/ns/mnt", &mounts) != 0)
        mounts.st_ino = 0;
    snprintf(part, sizeof(part), "%lu/%lu/%lu", (unsigned long)getuid(),
             (unsigned long)pids.st_ino, (unsigned long)mounts.st_ino);
    hash = mix(hash, part);
    snprintf(name_out, IPMPI_ZYGOTE_NAME_CAP, "ipmpi-zygote-%016llx",
             (unsigned long long)hash);
}

static int open_socket(const char *name, struct sockaddr_un *at,
                       socklen_t *len_out, int *fd_out)
{
    memset(at, 0, sizeof(*at));
    at->sun_family = AF_UNIX;
    memcpy(at->sun_path + 1, name, strlen(name));
    *len_out =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    *fd_out = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return *fd_out < 0 ? IPMPI_ESYS : 0;
}

static int close_failed(int fd, int err)
{
    const int saved = errno;

    close(fd);
    errno = saved;
    return err;
}

int ipmpi_zygote_listen(const char *name, int *fd_out)
{
    struct sockaddr_un at;
    socklen_t len;
    int fd;

    if (open_socket(name, &at, &len, &fd) != 0)
        return IPMPI_ESYS;
    if (bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, BACKLOG) != 0)
        return close_failed(fd, IPMPI_ESYS);
    *fd_out = fd;
    return 0;
}

int ipmpi_zygote_connect(const char *name, int *fd_out)
{
    struct ucred peer;
    struct sockaddr_un at;
    socklen_t len;
    int fd;

    if (open_socket(name, &at, &len, &fd) != 0)
        return IPMPI_ESYS;
    if (connect(fd, (struct sockaddr *)&at, len) != 0)
        return close_failed(fd, errno == ECONNREFUSED || errno == EAGAIN
                                    ? IPMPI_EEMPTY
                                    : IPMPI_ESYS);
    len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return close_failed(fd, IPMPI_ESYS);
    if (peer.uid != getuid())
        return close_failed(fd, IPMPI_EAUTH);
    *fd_out = fd;
    return 0;
}

int ipmpi_zygote_request(int fd, int rank, int link_fd,
                         const struct ipmpi_signals *signals)
{
    struct ipmpi_settings_fds opened;
    int err = ipmpi_settings_open(rank, signals, &opened);

    if (err == 0) {
        const int fds[REQUEST_FDS] = {opened.standard[0], opened.standard[1],
                                      opened.standard[2], link_fd,
                                      opened.settings,    opened.directory};

        if (ipmpi_attach_send(fd, "fork", 4, fds, REQUEST_FDS, MSG_NOSIGNAL) <
            0)
            err = IPMPI_EDEAD;
    }
    ipmpi_settings_close(&opened);
    return err;
}

static bool parse_answer(const char *text, struct ipmpi_zygote_answer *out)
{
    int number;

    if (sscanf(text, "started %d", &number) == 1) {
        out->type = IPMPI_ZYGOTE_STARTED;
        out->pid = number;
    } else if (sscanf(text, "ended %d", &number) == 1) {
        out->type = IPMPI_ZYGOTE_ENDED;
        out->wait_status = number;
    } else if (strncmp(text, "refused ", 8) == 0) {
        out->type = IPMPI_ZYGOTE_REFUSED;
        snprintf(out->reason, sizeof(out->reason), "%.255s", text + 8);
    } else {
        return false;
    }
    return true;
}

int ipmpi_zygote_receive(int fd, struct ipmpi_zygote_answer *out)
{
    char text[ANSWER_LEN + 1];
    ssize_t len;
    int pid_fd;

    do
        len = ipmpi_attach_receive(fd, text, ANSWER_LEN, &pid_fd, MSG_DONTWAIT);
    while (len < 0 && errno == EINTR);
    if (len < 0 && errno == EAGAIN)
        return IPMPI_EEMPTY;
    if (len <= 0)
        return IPMPI_EDEAD;
    text[len] = '\0';
    memset(out, 0, sizeof(*out));
    out->pid_fd = pid_fd;
    return parse_answer(text, out) ? 0 : IPMPI_EDEAD;
}

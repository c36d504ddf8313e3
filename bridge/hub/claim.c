/* Claims on a task database: each is a shared lock on one byte, which ends with
 * its process, however that ends. The byte lies far past those that SQLite
 * locks (the first GiB and 512), and the lock belongs to the descriptor, so
 * that SQLite's own closing of descriptors does not drop it. */
#include "bridge/hub/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CLAIM_BYTE ((off_t)1 << 60)

static int lock(int fd, int command, short type)
{
    struct flock range = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = CLAIM_BYTE,
        .l_len = 1,
    };
    int rc;

    do
        rc = fcntl(fd, command, &range);
    while (rc != 0 && errno == EINTR);
    return rc;
}

int ipmpi_claim_open(const char *path, bool *alone_out)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return -1;
    /* Where nothing can be locked, nobody else is seen. */
    *alone_out = lock(fd, F_OFD_SETLK, F_WRLCK) == 0 ||
                 (errno != EAGAIN && errno != EACCES);
    lock(fd, F_OFD_SETLKW, F_RDLCK); /* others are here for microseconds */
    return fd;
}

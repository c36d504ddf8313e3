/* The vigil: a thread that waits for the link to hang up or for its end. */
#include "runtime/process/vigil.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct ipmpi_vigil {
    pthread_t thread;
    int link_fd;
    int end_fd; /* readable: it is over */
};

static void *keep(void *arg)
{
    const struct ipmpi_vigil *vigil = arg;
    struct pollfd items[2] = {
        {.fd = vigil->link_fd}, /* no events: only that it hangs up */
        {.fd = vigil->end_fd, .events = POLLIN},
    };

    while (items[1].revents == 0) {
        if (poll(items, 2, -1) < 0 && errno != EINTR)
            break;
        if (items[0].revents != 0)
            _exit(IPMPI_EXIT_NO_NANNY);
    }
    return NULL;
}

static int start(struct ipmpi_vigil *vigil)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all); /* signals are for the rank's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&vigil->thread, NULL, keep, vigil);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        pthread_setname_np(vigil->thread, "ipmpi-vigil");
    return failed;
}

struct ipmpi_vigil *ipmpi_vigil_begin(int link_fd)
{
    struct ipmpi_vigil *vigil;

    if (link_fd < 0)
        return NULL;
    vigil = calloc(1, sizeof(*vigil));
    if (vigil == NULL)
        return NULL;
    vigil->link_fd = link_fd;
    vigil->end_fd = eventfd(0, EFD_CLOEXEC);
    if (vigil->end_fd < 0 || start(vigil) != 0) {
        if (vigil->end_fd >= 0)
            close(vigil->end_fd);
        free(vigil);
        return NULL;
    }
    return vigil;
}

void ipmpi_vigil_end(struct ipmpi_vigil **vigil)
{
    if (*vigil == NULL)
        return;
    eventfd_write((*vigil)->end_fd, 1);
    pthread_join((*vigil)->thread, NULL);
    close((*vigil)->end_fd);
    free(*vigil);
    *vigil = NULL;
}

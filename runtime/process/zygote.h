/* The zygote seen from a nanny: one a host and job, found by an abstract Unix
 * socket. A nanny sends one request for its rank; the zygote forks, answers,
 * and later tells how the rank ended. A connection that ends takes the rank
 * with it: the zygote kills the child of a nanny that is gone. The zygote's
 * own side is the Python module ipmpi_engine.zygote.
 *
 * Request: one packet "fork" with six descriptors: 0, 1 and 2 of the rank, its
 * end of the link, a file with settings and environment, its directory.
 * Answers, each one packet of text:
 *     started PID       with a pidfd, if the kernel has them
 *     ended STATUS      as of waitpid()
 *     refused REASON
 *
 * Threads: the nanny's one. */
#ifndef IPMPI_PROCESS_ZYGOTE_H
#define IPMPI_PROCESS_ZYGOTE_H

#include <sys/types.h>

#include "runtime/process/child.h"
#include "runtime/process/place.h"

/* In the zygote's environment: "LISTENING,KEEPER", its two descriptors. It
 * serves until keeper and all connections are closed. */
#define IPMPI_ZYGOTE_ENV "IPMPI_ZYGOTE_FDS"

#define IPMPI_ZYGOTE_NAME_CAP 48

enum ipmpi_zygote_answer_type {
    IPMPI_ZYGOTE_STARTED,
    IPMPI_ZYGOTE_ENDED,
    IPMPI_ZYGOTE_REFUSED,
};

struct ipmpi_zygote_answer {
    enum ipmpi_zygote_answer_type type;
    pid_t pid;       /* STARTED */
    int pid_fd;      /* STARTED; -1: none. The receiver closes it */
    int wait_status; /* ENDED */
    char reason[256];
};

/* The socket's name: the same in all processes of this user, job and host. */
void ipmpi_zygote_name(const struct ipmpi_place *place,
                       char name_out[IPMPI_ZYGOTE_NAME_CAP]);

/* The starting nanny's part: IPMPI_ESYS with errno. */
int ipmpi_zygote_listen(const char *name, int *fd_out);

/* IPMPI_EEMPTY: nobody listens there (yet). IPMPI_EAUTH: it is another
 * user's. IPMPI_ESYS. */
int ipmpi_zygote_connect(const char *name, int *fd_out);

/* Asks for a rank with this process's environment, directory, descriptors,
 * cpu affinity, limits, umask, priority and process group, and with these
 * signal settings. IPMPI_EDEAD; IPMPI_ESYS. Does not wait for the answer. */
int ipmpi_zygote_request(int fd, int rank, int link_fd,
                         const struct ipmpi_signals *signals);

/* Takes one answer if there is one: 0, IPMPI_EEMPTY, or IPMPI_EDEAD. */
int ipmpi_zygote_receive(int fd, struct ipmpi_zygote_answer *out);

#endif

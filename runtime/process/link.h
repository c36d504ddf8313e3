/* The link between a nanny and its rank: a SOCK_SEQPACKET pair, one fixed
 * struct a packet. Its end of file tells either side that the other is gone:
 * a rank without nanny leaves at once.
 *
 * The rank finds its end by the environment variable IPMPI_LINK_FD. */
#ifndef IPMPI_PROCESS_LINK_H
#define IPMPI_PROCESS_LINK_H

#include <stdint.h>

#include "runtime/bell/bell.h"

#define IPMPI_LINK_ENV "IPMPI_LINK_FD"

enum ipmpi_link_type {
    IPMPI_LINK_JOINED = 1, /* rank -> nanny: rank 0's bell and my rank; from
                            * now on report my exit there. An engine attaches
                            * its account (account.h) */
    IPMPI_LINK_LEAVING,    /* rank -> nanny: I am about to exit in good order;
                            * `code` is the exit code to pass on */
    IPMPI_LINK_TERMINATE,  /* nanny -> rank: the job is told to end; `code` is
                            * the signal that said so */
    IPMPI_LINK_START,      /* nanny -> zygote's child: you are the rank, go on.
                            * The child waits for it, so that a child whose
                            * nanny has given it up never becomes a rank. Taken
                            * before the rank's own code runs */
};

struct ipmpi_link_packet {
    uint32_t type;
    int32_t rank;
    int32_t code;
    struct ipmpi_bell_address controller;
};

/* The rank's side; -1 if there is no nanny (run by hand, in a test). The
 * descriptor becomes close-on-exec: the rank's children do not hold it. */
int ipmpi_link_fd(void);

/* A new link; both ends are close-on-exec. IPMPI_ESYS with errno. */
int ipmpi_link_pair(int *nanny_out, int *rank_out);

/* Sends one packet; never blocks: IPMPI_EFULL when the other end has not read
 * for long. IPMPI_EDEAD: it is gone. Any thread. */
int ipmpi_link_send(int fd, const struct ipmpi_link_packet *packet);

/* The same with a descriptor (lent; -1: none). */
int ipmpi_link_send_fd(int fd, const struct ipmpi_link_packet *packet,
                       int attached);

/* Takes one packet if there is one: 0, IPMPI_EEMPTY, or IPMPI_EDEAD. Never
 * blocks. */
int ipmpi_link_receive(int fd, struct ipmpi_link_packet *packet_out);

/* The same; a descriptor that came along is the caller's, else -1. */
int ipmpi_link_receive_fd(int fd, struct ipmpi_link_packet *packet_out,
                          int *attached_out);

#endif

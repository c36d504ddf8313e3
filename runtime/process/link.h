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
                            * now on report my exit there */
    IPMPI_LINK_LEAVING,    /* rank -> nanny: I am about to exit in good order;
                            * `code` is the exit code to pass on */
    IPMPI_LINK_TERMINATE,  /* nanny -> rank: the job is told to end; `code` is
                            * the signal that said so */
};

struct ipmpi_link_packet {
    uint32_t type;
    int32_t rank;
    int32_t code;
    struct ipmpi_bell_address controller;
};

/* The rank's side; -1 if there is no nanny (run by hand, in a test). */
int ipmpi_link_fd(void);

/* Sends one packet; never blocks for long. IPMPI_EDEAD: the other end is gone.
 * Any thread. */
int ipmpi_link_send(int fd, const struct ipmpi_link_packet *packet);

/* Takes one packet if there is one: 0, IPMPI_EEMPTY, or IPMPI_EDEAD. */
int ipmpi_link_receive(int fd, struct ipmpi_link_packet *packet_out);

#endif

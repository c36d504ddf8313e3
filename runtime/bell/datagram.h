/* What travels between bells: one fixed struct a datagram, and how an address
 * becomes a socket address. Private to runtime/bell. Any thread; pure or one
 * system call. */
#ifndef IPMPI_BELL_DATAGRAM_H
#define IPMPI_BELL_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "runtime/bell/bell.h"

enum ipmpi_datagram_kind {
    IPMPI_DATAGRAM_RING = 1,
    IPMPI_DATAGRAM_NOTICE,
    IPMPI_DATAGRAM_PROBE, /* is anybody there? answered by an ACK */
    IPMPI_DATAGRAM_ACK,   /* answers the NOTICE or PROBE of the same id */
};

/* The machine's own layout: all processes of a job run one build. Only a
 * NOTICE is sent whole; the others end before `notice`. */
struct ipmpi_datagram {
    uint32_t magic;
    uint32_t kind;
    uint8_t token[IPMPI_TOKEN_LEN];
    uint64_t id; /* random; 0 in a RING */
    struct ipmpi_exit_notice notice;
};

struct ipmpi_socket_address {
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    } at;
    socklen_t len;
};

/* Fills host, boot and netns of this process; what cannot be read stays
 * empty, which means: not the same host as anybody. */
void ipmpi_bell_identify(struct ipmpi_bell_address *address);

/* Can the two reach each other by abstract Unix sockets? Boot id and network
 * namespace decide; the host's name is for people. */
bool ipmpi_bell_same_host(const struct ipmpi_bell_address *a,
                          const struct ipmpi_bell_address *b);

void ipmpi_datagram_fill(struct ipmpi_datagram *datagram, uint32_t kind,
                         const uint8_t token[IPMPI_TOKEN_LEN], uint64_t id);

/* How much of a datagram of this kind is sent. */
size_t ipmpi_datagram_len(uint32_t kind);

/* Is this a whole datagram of the job with this token? */
bool ipmpi_datagram_valid(const struct ipmpi_datagram *datagram, ssize_t len,
                          const uint8_t token[IPMPI_TOKEN_LEN]);

/* The abstract Unix address of that name. */
void ipmpi_socket_address_unix(const char *name,
                               struct ipmpi_socket_address *out);
void ipmpi_socket_address_udp(uint32_t ipv4_be, uint16_t port_be,
                              struct ipmpi_socket_address *out);

#endif

/* Datagrams between bells and the addresses they go to. */
#include "runtime/bell/datagram.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC = 0x69706d62 };

static void read_boot_id(char *text_out, size_t cap)
{
    const int fd =
        open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len;

    if (fd < 0)
        return;
    len = read(fd, text_out, cap - 1);
    close(fd);
    text_out[len > 0 ? len : 0] = '\0';
    text_out[strcspn(text_out, "\n")] = '\0';
}

void ipmpi_bell_identify(struct ipmpi_bell_address *address)
{
    struct stat st;

    if (gethostname(address->host, sizeof(address->host)) != 0)
        address->host[0] = '\0';
    address->host[sizeof(address->host) - 1] = '\0';
    read_boot_id(address->boot, sizeof(address->boot));
    if (stat("/proc/self/ns/net", &st) == 0)
        address->netns = st.st_ino;
}

bool ipmpi_bell_same_host(const struct ipmpi_bell_address *a,
                          const struct ipmpi_bell_address *b)
{
    return a->boot[0] != '\0' && a->netns != 0 && a->netns == b->netns &&
           strncmp(a->boot, b->boot, sizeof(a->boot)) == 0;
}

void ipmpi_datagram_fill(struct ipmpi_datagram *datagram, uint32_t kind,
                         const uint8_t token[IPMPI_TOKEN_LEN], uint64_t id)
{
    memset(datagram, 0, sizeof(*datagram));
    datagram->magic = MAGIC;
    datagram->kind = kind;
    memcpy(datagram->token, token, IPMPI_TOKEN_LEN);
    datagram->id = id;
}

size_t ipmpi_datagram_len(uint32_t kind)
{
    return kind == IPMPI_DATAGRAM_NOTICE
               ? sizeof(struct ipmpi_datagram)
               : offsetof(struct ipmpi_datagram, notice);
}

bool ipmpi_datagram_valid(const struct ipmpi_datagram *datagram, ssize_t len,
                          const uint8_t token[IPMPI_TOKEN_LEN])
{
    unsigned differ = 0;

    if (len < (ssize_t)offsetof(struct ipmpi_datagram, notice) ||
        len != (ssize_t)ipmpi_datagram_len(datagram->kind) ||
        datagram->magic != MAGIC)
        return false;
    for (int i = 0; i < IPMPI_TOKEN_LEN; i++) /* in constant time */
        differ |= (unsigned)(datagram->token[i] ^ token[i]);
    return differ == 0;
}

void ipmpi_socket_address_unix(const char *name,
                               struct ipmpi_socket_address *out)
{
    const size_t len = strnlen(name, sizeof(out->at.un.sun_path) - 1);

    memset(out, 0, sizeof(*out));
    out->at.un.sun_family = AF_UNIX;
    memcpy(out->at.un.sun_path + 1, name, len); /* after a NUL: abstract */
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

void ipmpi_socket_address_udp(uint32_t ipv4_be, uint16_t port_be,
                              struct ipmpi_socket_address *out)
{
    memset(out, 0, sizeof(*out));
    out->at.in.sin_family = AF_INET;
    out->at.in.sin_addr.s_addr = ipv4_be;
    out->at.in.sin_port = port_be;
    out->len = sizeof(out->at.in);
}

/* What a node has: processors, ports, Open MPI, shared memory. */
#include "launch/agent/node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum {
    VERSION_WAIT_MS = 10000,
    SHM_BASE_MIB = 16, /* and 8 MiB a rank: Open MPI's segments and ours */
    SHM_RANK_MIB = 8,
};

uint16_t ipmpi_node_port(const char *name)
{
    const char *prefix = getenv("IPMPI_PORT_PREFIX");
    char variable[128];
    const char *value;
    long port;

    snprintf(variable, sizeof(variable), "%sPORT_%s", prefix ? prefix : "",
             name);
    value = getenv(variable);
    port = value ? strtol(value, NULL, 10) : 0;
    return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static unsigned count_slots(void)
{
    const char *given = getenv("IPMPI_SLOTS");
    cpu_set_t set;

    if (given == NULL)
        given = getenv("MARATHON_APP_RESOURCE_CPUS");
    if (given != NULL)
        return strtod(given, NULL) >= 1 ? (unsigned)strtod(given, NULL) : 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    return 1;
}

/* First bytes of what a command prints, within its time. */
static void capture(char *const argv[], char *text, size_t cap)
{
    const int64_t end_us = ipmpi_clock_now_us() + VERSION_WAIT_MS * 1000LL;
    size_t len = 0;
    int ends[2];
    pid_t pid;

    text[0] = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid = fork();
    if (pid == 0) {
        const int null = open("/dev/null", O_RDWR);
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(null, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(ends[1]);
    while (pid > 0 && len + 1 < cap) {
        struct pollfd item = {.fd = ends[0], .events = POLLIN};
        const int64_t left_us = end_us - ipmpi_clock_now_us();
        ssize_t got;

        if (left_us <= 0 || poll(&item, 1, (int)(left_us / 1000) + 1) <= 0)
            break;
        got = read(ends[0], text + len, cap - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    text[len] = 0;
    close(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL); /* it has said all, or it hangs */
        waitpid(pid, NULL, 0);
    }
}

static void find_mpi(char version_out[32])
{
    char *const argv[] = {"mpirun", "--version", NULL};
    char text[512];
    const char *at;

    capture(argv, text, sizeof(text));
    at = strstr(text, "(Open MPI) ");
    version_out[0] = 0;
    if (at != NULL)
        sscanf(at, "(Open MPI) %31[0-9.]", version_out);
}

/* Reads one word out of a child's memory, as Open MPI would. */
static bool probe_cma(void)
{
    static volatile int word = 42;
    int got = 0;
    struct iovec here = {.iov_base = &got, .iov_len = sizeof(got)};
    struct iovec there = {.iov_base = (void *)&word, .iov_len = sizeof(word)};
    const pid_t pid = fork();
    bool works;

    if (pid == 0) {
        for (;;)
            pause();
    }
    if (pid < 0)
        return false;
    works = process_vm_readv(pid, &here, 1, &there, 1, 0) == sizeof(got) &&
            got == 42;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return works;
}

void ipmpi_node_probe(unsigned slots, struct ipmpi_node *node_out)
{
    memset(node_out, 0, sizeof(*node_out));
    gethostname(node_out->hostname, sizeof(node_out->hostname) - 1);
    node_out->slots = slots ? slots : count_slots();
    node_out->oob_port = ipmpi_node_port("OOB");
    for (unsigned i = 0; i < IPMPI_PORTS_MAX; i++) {
        char name[16];

        snprintf(name, sizeof(name), "MPI%u", i);
        node_out->rank_port[i] = ipmpi_node_port(name);
        if (node_out->rank_port[i] == 0)
            break;
        node_out->nrank_ports++;
    }
    find_mpi(node_out->mpi);
    node_out->cma = probe_cma();
}

static unsigned mask_bits(const struct sockaddr *mask)
{
    const struct sockaddr_in *v4 = (const void *)mask;

    return mask ? (unsigned)__builtin_popcount(v4->sin_addr.s_addr) : 32;
}

int ipmpi_node_network(const struct sockaddr *address,
                       char address_out[IPMPI_CIDR_CAP],
                       char network_out[IPMPI_CIDR_CAP])
{
    const struct sockaddr_in *want = (const void *)address;
    struct ifaddrs *list, *at;
    int err = IPMPI_ENOENT;

    if (address->sa_family != AF_INET || getifaddrs(&list) != 0)
        return IPMPI_ENOENT;
    for (at = list; at != NULL && err != 0; at = at->ifa_next) {
        const struct sockaddr_in *have = (const void *)at->ifa_addr;
        char host[INET_ADDRSTRLEN], net[INET_ADDRSTRLEN];
        struct in_addr masked;
        unsigned bits;

        if (have == NULL || have->sin_family != AF_INET ||
            ((ntohl(have->sin_addr.s_addr) >> 24) == 127
                 ? (ntohl(want->sin_addr.s_addr) >> 24) != 127
                 : have->sin_addr.s_addr != want->sin_addr.s_addr))
            continue;
        bits = mask_bits(at->ifa_netmask);
        masked.s_addr =
            want->sin_addr.s_addr & (bits ? htonl(~0u << (32 - bits)) : 0);
        inet_ntop(AF_INET, &want->sin_addr, host, sizeof(host));
        inet_ntop(AF_INET, &masked, net, sizeof(net));
        snprintf(address_out, IPMPI_CIDR_CAP, "%s/%u", host, bits);
        snprintf(network_out, IPMPI_CIDR_CAP, "%s/%u", net, bits);
        err = 0;
    }
    freeifaddrs(list);
    return err;
}

static bool parse_cidr(const char *text, uint32_t *address_out,
                       unsigned *bits_out)
{
    char host[INET_ADDRSTRLEN];
    struct in_addr address;

    *bits_out = 32;
    if (sscanf(text, "%15[0-9.]/%u", host, bits_out) < 1 || *bits_out > 32 ||
        inet_pton(AF_INET, host, &address) != 1)
        return false;
    *address_out = ntohl(address.s_addr);
    return true;
}

bool ipmpi_node_in_networks(const char *address, const char *list)
{
    uint32_t mine, net;
    unsigned bits;
    const char *at = list;

    if (!parse_cidr(address, &mine, &bits))
        return false;
    while (at != NULL && *at != 0) {
        if (parse_cidr(at, &net, &bits) &&
            (bits == 0 || (mine >> (32 - bits)) == (net >> (32 - bits))))
            return true;
        at = strchr(at, ',');
        if (at != NULL)
            at++;
    }
    return false;
}

/* Ranks bind without SO_REUSEADDR: a port in TIME_WAIT is taken to them.
 * mpirun itself binds with it. */
static bool port_free(uint16_t port, int reuse)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
    is_free = bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
    close(fd);
    return is_free;
}

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[4096];

    while (path != NULL && *path != 0) {
        const size_t len = strcspn(path, ":");

        snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, program);
        if (access(file, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

static unsigned long shm_mib(void)
{
    struct statvfs fs;

    if (statvfs("/dev/shm", &fs) != 0)
        return 0;
    return (unsigned long)((uint64_t)fs.f_bavail * fs.f_frsize >> 20);
}

uint16_t ipmpi_node_oob(const struct ipmpi_node *node)
{
    if (node->oob_port == 0 || port_free(node->oob_port, 1))
        return node->oob_port;
    for (unsigned i = node->nrank_ports; i-- > 0;)
        if (port_free(node->rank_port[i], 1))
            return node->rank_port[i];
    return 0;
}

#define REFUSE(...)                                          \
    do {                                                     \
        snprintf(reason_out, IPMPI_REASON_CAP, __VA_ARGS__); \
        return false;                                        \
    } while (0)

bool ipmpi_node_ready(const struct ipmpi_node *node, unsigned ranks, bool leads,
                      char reason_out[IPMPI_REASON_CAP])
{
    const char *daemon = atoi(node->mpi) >= 5 ? "prted" : "orted";
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    const unsigned need_mib = SHM_BASE_MIB + SHM_RANK_MIB * ranks;
    unsigned free_ports = 0;

    if (node->mpi[0] == 0)
        REFUSE("no mpirun of Open MPI in PATH");
    if (!in_path(daemon))
        REFUSE("no %s in PATH", daemon);
    if (access(tmp, W_OK | X_OK) != 0)
        REFUSE("%s is not writable", tmp);
    if (shm_mib() < need_mib)
        REFUSE("/dev/shm has %lu MiB free, %u ranks need %u: raise the "
               "container's shm-size",
               shm_mib(), ranks, need_mib);
    if (leads && node->oob_port != 0 && ipmpi_node_oob(node) == 0)
        REFUSE("port %u, for mpirun, is taken, and no other is free",
               node->oob_port);
    for (unsigned i = 0; i < node->nrank_ports; i++)
        free_ports += port_free(node->rank_port[i], 0);
    if (node->nrank_ports > 0 && free_ports < ranks)
        REFUSE("%u of the %u ports for ranks are free, %u are needed",
               free_ports, node->nrank_ports, ranks);
    return true;
}

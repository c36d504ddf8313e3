/* What a node has to offer: found out once, when its agent starts, and
 * checked again before each generation.
 *
 * Threads: one. probe runs `mpirun --version` and waits for it, 10 s at most;
 * nothing else blocks. */
#ifndef IPMPI_LAUNCH_AGENT_NODE_H
#define IPMPI_LAUNCH_AGENT_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <jansson.h>

enum { IPMPI_CIDR_CAP = 64, IPMPI_REASON_CAP = 256, IPMPI_PORTS_MAX = 512 };

struct ipmpi_node {
    char hostname[256];
    char mpi[32]; /* "4.1.4"; empty: no mpirun of Open MPI in PATH */
    unsigned slots;
    bool cma;          /* processes may read each other's memory */
    uint16_t oob_port; /* 0: any */
    uint16_t rank_port[IPMPI_PORTS_MAX]; /* what ranks may listen on */
    unsigned nrank_ports;                /* 0: any */
};

/* Port number of a declared port, "AGENT" or "MPI0", from the environment
 * (PORT_<name>, with the prefix that IPMPI_PORT_PREFIX tells); 0 if none. */
uint16_t ipmpi_node_port(const char *name);

/* Fills the node. `slots` 0: IPMPI_SLOTS, else what Marathon gave the
 * container, else the processors that this process may use. */
void ipmpi_node_probe(unsigned slots, struct ipmpi_node *node_out);

/* The address with the prefix of its interface, "10.0.0.2/24", and the network
 * alone, "10.0.0.0/24". IPMPI_ENOENT: no interface has it (address
 * translation). */
int ipmpi_node_network(const struct sockaddr *address,
                       char address_out[IPMPI_CIDR_CAP],
                       char network_out[IPMPI_CIDR_CAP]);

/* Is "10.0.0.2/24" in a list such as "10.0.0.0/24,192.168.0.0/16"? */
bool ipmpi_node_in_networks(const char *address, const char *list);

/* A free port for mpirun: the declared one, or else one of the ranks', of
 * which there are more than ranks. 0: any, or none is free. */
uint16_t ipmpi_node_oob(const struct ipmpi_node *node);

/* May a generation of `ranks` ranks run here now? Otherwise a sentence. */
bool ipmpi_node_ready(const struct ipmpi_node *node, unsigned ranks, bool leads,
                      char reason_out[IPMPI_REASON_CAP]);

#endif

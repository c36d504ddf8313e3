/* What an agent knows: its connections, and what runs on the node for which
 * generation. Each file beside this one has one business with it.
 *
 * Threads: one, the loop. */
#ifndef IPMPI_LAUNCH_AGENT_AGENT_H
#define IPMPI_LAUNCH_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "launch/agent/node.h"
#include "launch/channel/peer.h"
#include "launch/channel/protocol.h"
#include "launch/channel/tunnel.h"

enum { AGENT_PEERS = 64 };

/* One connection; after the handshake a launcher's, or the leader's rsh. */
struct agent_peer {
    struct ipmpi_peer *peer; /* NULL: free place */
    bool launcher;
    bool offered; /* a launcher: has it our offer? */
};

enum agent_state { AGENT_IDLE, AGENT_PREPARED, AGENT_COMMITTED };
enum agent_work { WORK_NONE, WORK_DAEMON, WORK_MPIRUN };

/* The job's processes on this node, of one generation. */
struct agent_job {
    enum agent_state state;
    uint64_t generation; /* the newest seen; older ones are refused */
    char digest[IPMPI_SECRET_HEX];
    json_t *commit; /* body of COMMIT */
    bool leads;
    struct ipmpi_secret exec_key;

    enum agent_work work;
    bool ran;             /* this generation had its work */
    pid_t pid;            /* mpirun or the daemon; 0: it has ended */
    int out[2];           /* its stdout and stderr; -1 closed */
    pid_t rank0;          /* 0: not there yet */
    int64_t rank0_end_us; /* 0: not ended */
    int rank0_status;
    int64_t started_us;
    unsigned nodes_lost;
    struct ipmpi_tunnel tunnel; /* of the daemon to mpirun */
    char why[IPMPI_REASON_CAP]; /* why it is being ended */

    /* Everything that descends from us is to go: TERM at once, KILL at
     * kill_us. 0: nothing is to go. */
    int64_t kill_us;
    int64_t term_us;  /* when mpirun is told; 0: it knows, see note [order] */
    int64_t sweep_us; /* when to look again */
    json_t *prepare;  /* waits until all is gone; its launcher is `asker` */
    struct ipmpi_peer *asker;
};

struct agent {
    char name[IPMPI_JOB_CAP]; /* the job */
    bool has_secret, has_public;
    struct ipmpi_secret secret, public;
    struct ipmpi_node node;
    char dir[128];      /* 0700: socket, table, key, connection files */
    char program[4096]; /* this program's absolute path */
    int listen_fd, local_fd, signal_fd, watch_fd;
    uint16_t port;
    struct agent_peer peer[AGENT_PEERS];
    struct agent_job job;
    json_t *last_end; /* the JOB_END of the newest generation that ended */
    bool leaving;     /* TERM came: exit when nothing runs */
    int64_t now_us;
};

#endif

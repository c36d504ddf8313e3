/* The agent's inside: agent.c keeps the connections and the loop, and
 * agent_job.c what runs on the node for which generation.
 *
 * Threads: one, the loop. */
#ifndef IPMPI_LAUNCH_AGENT_AGENT_H
#define IPMPI_LAUNCH_AGENT_AGENT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "launch/agent/node.h"
#include "launch/channel/peer.h"
#include "launch/channel/protocol.h"

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
    char why[IPMPI_REASON_CAP]; /* why it is being ended */

    /* Everything that descends from us is to go: TERM at once, KILL at
     * kill_us. 0: nothing is to go. */
    int64_t kill_us;
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

/* -- agent.c -------------------------------------------------------------- */

/* Sends JSON (given: it is released) to one peer, or to all launchers. */
void ipmpi_agent_send(struct ipmpi_peer *peer, uint8_t type, json_t *body);
void ipmpi_agent_tell(struct agent *agent, uint8_t type, json_t *body);

/* The rsh that brought the daemon; NULL if it is gone. */
struct ipmpi_peer *ipmpi_agent_rsh(struct agent *agent);

/* -- agent_loss.c --------------------------------------------------------- */

/* Tells rank 0 that the ranks of a lost node are dead. */
void ipmpi_agent_mourn(struct agent *agent, const char *node);

/* -- agent_job.c ---------------------------------------------------------- */

void ipmpi_agent_job_init(struct agent *agent);
void ipmpi_agent_job_record(struct agent *agent, struct agent_peer *from,
                            const struct ipmpi_record *record);
/* rsh is gone, before or after its daemon: the daemon has to go. */
void ipmpi_agent_job_rsh_lost(struct agent *agent);
/* A word from rsh or rank 0 on this node: "rank0 PID", "lost NODE WHY". */
void ipmpi_agent_job_local(struct agent *agent, const char *text);
void ipmpi_agent_job_file(struct agent *agent, const char *name);
/* Reads the work's output; `which` is 0 or 1. */
void ipmpi_agent_job_output(struct agent *agent, int which);
void ipmpi_agent_job_reaped(struct agent *agent, pid_t pid, int status);
/* Deadlines; returns when to call again. */
int64_t ipmpi_agent_job_tick(struct agent *agent);
/* Begins to end all work. */
void ipmpi_agent_job_stop(struct agent *agent, int64_t grace_us,
                          const char *why);
bool ipmpi_agent_job_idle(const struct agent *agent);

#endif

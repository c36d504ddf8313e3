/* The agent's private directory: a socket for rsh and rank 0, files for
 * mpirun's children, and a place where rank 0 writes its connection files,
 * which we watch.
 *
 * Threads: the agent's loop. Blocks on the file system only. */
#ifndef IPMPI_LAUNCH_AGENT_DIR_H
#define IPMPI_LAUNCH_AGENT_DIR_H

#include "launch/agent/agent.h"

/* Makes the directory, its socket (local_fd) and its watch (watch_fd).
 * IPMPI_EIO, IPMPI_ESYS; close it in any case. */
int ipmpi_agent_open_dir(struct agent *agent);
void ipmpi_agent_close_dir(struct agent *agent);

/* The clients' key for the ranks of this node: a file that only we can read,
 * so that it is on no command line, in no environment that mpirun forwards,
 * and on no wire. Every node derives it. IPMPI_EIO. */
int ipmpi_agent_write_key(const struct agent *agent);

/* The table for rsh, with the key of this generation. IPMPI_EIO,
 * IPMPI_ENOMEM. */
int ipmpi_agent_write_table(struct agent *agent);

/* Is rank 0 a controller of ours? It has written down where its bell hangs. */
bool ipmpi_agent_has_controller(const struct agent *agent);

/* Is it what rank 0 calls the clients' connection file, once it is whole? */
bool ipmpi_agent_is_connection(const char *name);

/* The clients' connection file, key and all, as rank 0 wrote it; NULL: it has
 * written none. The caller has it. */
json_t *ipmpi_agent_read_connection(const struct agent *agent);

/* Removes what a generation's files were. */
void ipmpi_agent_forget_files(const struct agent *agent);

#endif

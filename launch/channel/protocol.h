/* What launcher, agents and rsh say to each other inside a session.
 *
 * | record    | from, to            | body                                  |
 * |-----------|---------------------|---------------------------------------|
 * | OFFER     | agent -> launcher   | JSON: what the node has, what it runs  |
 * | ADMIT     | launcher -> agent   | the job's secret (public mode only)    |
 * | PREPARE   | launcher -> agent   | JSON: generation, version, digest      |
 * | READY     | agent -> launcher   | JSON: generation                       |
 * | REFUSE    | agent -> launcher   | JSON: generation, reason               |
 * | COMMIT    | launcher -> agent   | JSON: generation, table, leader, job   |
 * | EXEC      | rsh -> agent        | JSON: generation, node, words          |
 * | STARTED   | agent -> rsh        | JSON: generation                       |
 * | OUTPUT    | agent -> rsh, launcher | stream number (1 byte), bytes       |
 * | SIGNAL    | rsh -> agent        | JSON: signal                           |
 * | EXIT      | agent -> rsh        | JSON: status                           |
 * | STREAM    | both, agent and rsh | the daemon's connection, see tunnel.h  |
 * | PING PONG | both                | empty                                  |
 * | RUNNING   | leader -> launcher  | JSON: generation                       |
 * | NODE      | leader -> launcher  | JSON: node, reason, joined             |
 * | FILE      | leader -> launcher  | JSON: connection file, without the key |
 * | GROW      | launcher -> leader  | JSON: generation, one node more        |
 * | DRAIN     | launcher -> agent   | JSON: generation: end it in good order |
 * | JOB_END   | leader -> launcher  | JSON: generation, status, cause        |
 *
 * A generation is one attempt to run the job. An agent obeys only the newest
 * it has seen and refuses all older ones for ever: that fences. */
#ifndef IPMPI_LAUNCH_CHANNEL_PROTOCOL_H
#define IPMPI_LAUNCH_CHANNEL_PROTOCOL_H

enum ipmpi_record_type {
    IPMPI_REC_OFFER = 1,
    IPMPI_REC_ADMIT,
    IPMPI_REC_PREPARE,
    IPMPI_REC_READY,
    IPMPI_REC_REFUSE,
    IPMPI_REC_COMMIT,
    IPMPI_REC_EXEC,
    IPMPI_REC_STARTED,
    IPMPI_REC_OUTPUT,
    IPMPI_REC_SIGNAL,
    IPMPI_REC_EXIT,
    IPMPI_REC_PING,
    IPMPI_REC_PONG,
    IPMPI_REC_RUNNING,
    IPMPI_REC_NODE,
    IPMPI_REC_FILE,
    IPMPI_REC_DRAIN,
    IPMPI_REC_JOB_END,
    IPMPI_REC_STREAM,
    IPMPI_REC_GROW,
};

/* Seconds are the unit of people; the code counts microseconds. */
enum {
    IPMPI_SECOND_US = 1000 * 1000,
    IPMPI_HANDSHAKE_S = 5,
    IPMPI_CONNECT_S = 5,
    IPMPI_DAEMON_START_S = 15,
    IPMPI_JOB_START_S = 60,
    IPMPI_BEAT_S = 5, /* a peer that is silent for three is lost */
    IPMPI_SILENCE_S = 15,
    IPMPI_ORPHAN_S = 60,
    IPMPI_RANK_GRACE_S = 5, /* odls_base_sigkill_timeout: TERM after one,
                             * KILL after two of it */
    IPMPI_KILL_GRACE_S = 2 * IPMPI_RANK_GRACE_S + 2,
    IPMPI_NODES_MAX = 1000,
};

#endif

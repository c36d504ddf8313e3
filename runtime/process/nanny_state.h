/* The nanny's parts: what it knows, and what its three files do for each
 * other. Private to runtime/process. nanny.c has the loop, nanny_birth.c the
 * start of a rank, nanny_death.c its end. Threads: the nanny's one. */
#ifndef IPMPI_PROCESS_NANNY_STATE_H
#define IPMPI_PROCESS_NANNY_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/bell/bell.h"
#include "runtime/process/child.h"
#include "runtime/process/nanny.h"
#include "runtime/process/verdict.h"
#include "runtime/process/zygote.h"

/* How long each wait may last. */
enum ipmpi_nanny_limit {
    IPMPI_CALL_MS = 15 * 1000, /* for the zygote's socket to appear */
    IPMPI_CALL_AGAIN_MS = 20,
    IPMPI_FORK_MS = 120 * 1000, /* for its answer: it may import from afar */
    IPMPI_END_MS = 3000,        /* from TERM to KILL */
    IPMPI_GRACE_MS = 100,       /* for a TERM that was sent to rank and nanny */
    IPMPI_STATUS_MS = 1000,     /* for the zygote to tell a status */
    IPMPI_NOTICE_MS = 300,
    IPMPI_PROBE_MS = 200,
    IPMPI_PROBE_PAUSE_MS = 1000,
    IPMPI_PROBE_SOON_MS = 50, /* between probes once the job ends */
    IPMPI_PROBES_MOST = 60,   /* unanswered: rank 0 is taken for gone */
    IPMPI_HELPER_MS = 3000,   /* for the zygote to end by itself */
};

enum ipmpi_nanny_state {
    IPMPI_NANNY_CALLING,
    IPMPI_NANNY_RUNNING,
    IPMPI_NANNY_ENDING,
    IPMPI_NANNY_MOURNING,
    IPMPI_NANNY_DONE,
};

struct ipmpi_nanny {
    const struct ipmpi_nanny_task *task;
    struct ipmpi_signals signals;
    int signal_fd;
    int parent_fd; /* pidfd of the launcher; -1: none, or it has gone */

    enum ipmpi_nanny_state state;
    int64_t deadline_us; /* of CALLING and ENDING; next probe in MOURNING */
    int exit_code;

    int link_fd;    /* -1: the rank has closed its end */
    int rank_end;   /* the rank's end, until it is handed over; -1 */
    int account_fd; /* of the rank, see account.h; -1: it has sent none */
    int zygote_fd;  /* -1: none, or gone */
    bool asked;     /* the zygote has our request */
    char zygote_name[IPMPI_ZYGOTE_NAME_CAP];

    pid_t rank_pid; /* 0: there is none (any more) */
    bool direct;    /* ours to wait for */
    int pid_fd;     /* of a zygote's child; -1 */
    struct ipmpi_rank_end end;
    int job_rank; /* as the rank itself said; else the launcher's */
    struct ipmpi_bell_address controller;

    bool reported;
    unsigned unanswered;
    int64_t oom_kills;      /* of this host when the rank started */
    int64_t mourn_until_us; /* told to end: no longer than this; 0: not told */
    struct ipmpi_exit_notice notice;

    pid_t helper_pid; /* zygote or check, if this nanny started one; 0 */
    int keeper_fd;
};

/* Closes and forgets a descriptor; -1 is fine. */
void ipmpi_nanny_drop(int *fd);

void ipmpi_nanny_set_deadline(struct ipmpi_nanny *n, int ms);
bool ipmpi_nanny_is_late(const struct ipmpi_nanny *n);
bool ipmpi_nanny_is_controller(const struct ipmpi_nanny *n);

/* The nanny is done. */
void ipmpi_nanny_finish(struct ipmpi_nanny *n, int exit_code);

/* Reads all signals that wait and acts on them. */
void ipmpi_nanny_take_signals(struct ipmpi_nanny *n);

/* Reads all packets of the rank that wait. IPMPI_EEMPTY, or IPMPI_EDEAD: the
 * link has ended and is closed. */
int ipmpi_nanny_take_packets(struct ipmpi_nanny *n);

/* How long poll may wait; -1: for ever. */
int ipmpi_nanny_wait_ms(const struct ipmpi_nanny *n);

/* Starts the rank, the zygote, the check: whatever falls to this nanny. */
void ipmpi_nanny_start(struct ipmpi_nanny *n);
void ipmpi_nanny_start_directly(struct ipmpi_nanny *n);

/* Tries to reach the zygote; after the deadline starts directly. */
void ipmpi_nanny_call_zygote(struct ipmpi_nanny *n);

/* The zygote has forked: the child may become the rank. */
void ipmpi_nanny_accept(struct ipmpi_nanny *n,
                        const struct ipmpi_zygote_answer *answer);

/* Says errno, and is done. */
void ipmpi_nanny_cannot_start(struct ipmpi_nanny *n, const char *what);

void ipmpi_nanny_kill_rank(const struct ipmpi_nanny *n, int signal);
void ipmpi_nanny_tell_to_end(struct ipmpi_nanny *n, int signal);
void ipmpi_nanny_pass_on(const struct ipmpi_nanny *n, int signal);
void ipmpi_nanny_rank_ended(struct ipmpi_nanny *n, int wait_status);
void ipmpi_nanny_helper_ended(struct ipmpi_nanny *n, int wait_status);

/* The process `pid` (0: there was none) died early: to MOURNING. */
void ipmpi_nanny_start_mourning(struct ipmpi_nanny *n, pid_t pid);
/* In MOURNING, when the time has come: reports, or asks for rank 0. */
void ipmpi_nanny_mourn(struct ipmpi_nanny *n);

/* Nothing that this nanny started outlives it. The zygote ends when its last
 * nanny leaves it; if others hang, it is killed. */
void ipmpi_nanny_end_helper(struct ipmpi_nanny *n);

#endif

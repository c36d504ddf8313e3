/* One poll loop over signals, the link to the rank, the zygote and the rank's
 * pidfd; without anything to do it sleeps.
 *
 *   CALLING   a rank is wanted from the zygote
 *   RUNNING   the rank is there
 *   ENDING    the rank was told to end; KILL follows at a deadline
 *   MOURNING  the rank died early; it is reported, then rank 0 is asked now
 *             and then whether the job still goes on. Open MPI 5 ends a job
 *             when a process that had joined leaves it, so the nanny stays
 *   DONE      leave with exit_code
 *
 * Invariant: at most one process can become this rank. A rank that has been
 *            given up before it started never gets LINK_START.
 * Threads:   one. */
#include "runtime/process/nanny.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/process/host.h"
#include "runtime/process/link.h"
#include "runtime/process/starter.h"
#include "runtime/process/verdict.h"
#include "runtime/process/zygote.h"

enum {
    CALL_MS = 15 * 1000, /* for the zygote's socket to appear */
    CALL_AGAIN_MS = 20,
    FORK_MS = 120 * 1000, /* for its answer: it may import from afar */
    END_MS = 3000,        /* from TERM to KILL */
    GRACE_MS = 100,       /* for a TERM that was sent to rank and nanny */
    STATUS_MS = 1000,     /* for the zygote to tell a status */
    NOTICE_MS = 300,
    PROBE_MS = 200,
    PROBE_PAUSE_MS = 1000,
    PROBES_MOST = 60, /* unanswered: rank 0 is taken for gone */
    HELPER_MS = 3000, /* for the zygote to end by itself */
};

enum state { CALLING, RUNNING, ENDING, MOURNING, DONE };

struct nanny {
    const struct ipmpi_nanny_task *task;
    struct ipmpi_signals signals;
    int signal_fd;

    enum state state;
    int64_t deadline_us; /* of CALLING and ENDING; next probe in MOURNING */
    int exit_code;

    int link_fd;   /* -1: the rank has closed its end */
    int rank_end;  /* the rank's end, until it is handed over; -1 */
    int zygote_fd; /* -1: none, or gone */
    bool asked;    /* the zygote has our request */
    char zygote_name[IPMPI_ZYGOTE_NAME_CAP];

    pid_t rank_pid; /* 0: there is none (any more) */
    bool direct;    /* ours to wait for */
    int pid_fd;     /* of a zygote's child; -1 */
    struct ipmpi_rank_end end;
    int job_rank; /* as the rank itself said; else the launcher's */
    struct ipmpi_bell_address controller;

    bool reported;
    unsigned unanswered;
    struct ipmpi_exit_notice notice;

    pid_t helper_pid; /* zygote or check, if this nanny started one; 0 */
    int keeper_fd;
};

static void drop_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void set_deadline(struct nanny *n, int ms)
{
    n->deadline_us = ipmpi_clock_now_us() + (int64_t)ms * 1000;
}

static bool deadline_passed(const struct nanny *n)
{
    return ipmpi_clock_now_us() >= n->deadline_us;
}

static void finish(struct nanny *n, int exit_code)
{
    n->exit_code = exit_code;
    n->state = DONE;
}

/* --- starting ---------------------------------------------------------- */

static bool is_controller(const struct nanny *n)
{
    return n->task->place->rank == 0;
}

static bool uses_zygote(const struct nanny *n)
{
    return n->task->options->zygote && ipmpi_place_wants_zygote(n->task->place);
}

static void cannot_start(struct nanny *n, const char *what)
{
    ipmpi_log_error("NANNY-START", "cannot start %s: %s", what,
                    strerror(errno));
    finish(n, 1);
}

static int renew_link(struct nanny *n)
{
    drop_fd(&n->link_fd);
    drop_fd(&n->rank_end);
    return ipmpi_link_pair(&n->link_fd, &n->rank_end);
}

/* A child that waits for LINK_START on the old link finds it closed. */
static void start_directly(struct nanny *n)
{
    int err = renew_link(n);

    drop_fd(&n->zygote_fd);
    if (err == 0 && is_controller(n))
        err = ipmpi_start_controller(n->task, &n->signals, n->rank_end,
                                     &n->rank_pid);
    else if (err == 0)
        err =
            ipmpi_start_engine(n->task, &n->signals, n->rank_end, &n->rank_pid);
    if (err != 0) {
        cannot_start(n, "the rank");
        return;
    }
    drop_fd(&n->rank_end);
    n->direct = true;
    n->state = RUNNING;
}

static void call_zygote(struct nanny *n)
{
    switch (ipmpi_zygote_connect(n->zygote_name, &n->zygote_fd)) {
    case 0:
        break;
    case IPMPI_EEMPTY:
        if (!deadline_passed(n))
            return; /* its nanny is not as far as we are */
        /* fall through */
    default:
        ipmpi_log_debug("NANNY-ZYGOTE", "no zygote; direct start");
        start_directly(n);
        return;
    }
    if (renew_link(n) != 0 ||
        ipmpi_zygote_request(n->zygote_fd, n->task->place->rank, n->rank_end,
                             &n->signals) != 0) {
        start_directly(n);
        return;
    }
    n->asked = true;
    set_deadline(n, FORK_MS);
}

/* The zygote, or where there is none, rank 0's look at the engines' Python. */
static void start_helper(struct nanny *n)
{
    const struct ipmpi_place *place = n->task->place;
    int err = 0;

    if (uses_zygote(n)) {
        if (place->local_rank == 0)
            err = ipmpi_start_zygote(n->task, &n->signals, n->zygote_name,
                                     &n->keeper_fd, &n->helper_pid);
    } else if (is_controller(n) && place->local_size != 1) {
        err = ipmpi_start_check(n->task, &n->signals, &n->helper_pid);
    }
    if (err != 0) /* then each engine starts by itself */
        ipmpi_log_warn("NANNY-ZYGOTE", "cannot start the zygote: %s",
                       strerror(errno));
}

static void start(struct nanny *n)
{
    ipmpi_zygote_name(n->task->place, n->zygote_name);
    if (is_controller(n))
        start_directly(n);
    if (n->state != DONE)
        start_helper(n);
    if (is_controller(n))
        return;
    if (uses_zygote(n)) {
        set_deadline(n, CALL_MS);
        call_zygote(n);
    } else {
        start_directly(n);
    }
}

/* --- ending ------------------------------------------------------------ */

static void kill_rank(const struct nanny *n, int signal)
{
    if (n->rank_pid == 0)
        return;
    if (n->pid_fd >= 0)
        syscall(SYS_pidfd_send_signal, n->pid_fd, signal, NULL, 0);
    else
        kill(n->rank_pid, signal);
}

static void tell_to_end(struct nanny *n, int signal)
{
    const struct ipmpi_link_packet packet = {.type = IPMPI_LINK_TERMINATE,
                                             .code = signal};

    if (!n->end.told) {
        n->end.told = true;
        n->end.told_signal = signal;
    }
    if (n->state == RUNNING) {
        if (n->link_fd < 0 || ipmpi_link_send(n->link_fd, &packet) != 0)
            kill_rank(n, SIGTERM);
        n->state = ENDING;
        set_deadline(n, END_MS);
    } else if (n->state != ENDING) {
        finish(n, n->state == MOURNING ? 0 : 128 + signal);
    }
}

/* A launcher signals the whole process group; a rank that is in another one
 * gets these from us. */
static void pass_on(const struct nanny *n, int signal)
{
    if (n->rank_pid != 0 && getpgid(n->rank_pid) != getpgrp())
        kill_rank(n, signal);
}

static void mourn(struct nanny *n, pid_t pid)
{
    struct ipmpi_bell_address self = {0};

    memset(&n->notice, 0, sizeof(n->notice));
    if (gethostname(self.host, sizeof(self.host) - 1) == 0)
        memcpy(n->notice.host, self.host, sizeof(n->notice.host));
    n->notice.rank = n->job_rank;
    n->notice.pid = pid;
    n->notice.wait_status = n->end.wait_status;
    n->state = MOURNING;
    n->deadline_us = 0;
}

static void say_how_it_ended(const struct nanny *n, pid_t pid)
{
    char how[128], host[256] = "";

    gethostname(host, sizeof(host) - 1);
    ipmpi_verdict_describe(n->end.wait_status, how, sizeof(how));
    ipmpi_log_error("RANK-DIED", "rank %d (pid %d on %s) %s%s", n->job_rank,
                    (int)pid, host, how,
                    n->end.controller ? "; without the controller the job ends"
                    : n->end.joined   ? ""
                                      : " before it had joined the job");
}

static void take_signals(struct nanny *n);

static void rank_ended(struct nanny *n, int wait_status)
{
    const pid_t pid = n->rank_pid;
    struct pollfd item = {.fd = n->signal_fd, .events = POLLIN};
    struct ipmpi_link_packet packet;
    struct ipmpi_verdict verdict;

    n->rank_pid = 0;
    n->end.wait_status = wait_status;
    drop_fd(&n->pid_fd);
    while (n->link_fd >= 0 && ipmpi_link_receive(n->link_fd, &packet) == 0)
        if (packet.type == IPMPI_LINK_LEAVING) { /* its last words */
            n->end.leaving = true;
            n->end.leave_code = packet.code;
        }
    /* The TERM that killed it may be on its way to us. */
    if (!n->end.leaving && !n->end.told && WIFSIGNALED(wait_status) &&
        poll(&item, 1, GRACE_MS) > 0)
        take_signals(n);
    verdict = ipmpi_verdict(&n->end);
    if (verdict.log)
        say_how_it_ended(n, pid);
    if (verdict.mourn)
        mourn(n, pid);
    else
        finish(n, verdict.exit_code);
}

static void helper_ended(struct nanny *n, int wait_status)
{
    n->helper_pid = 0;
    if (n->end.joined || n->state == DONE)
        return;
    if (WIFEXITED(wait_status) &&
        WEXITSTATUS(wait_status) == IPMPI_EXIT_PYTHON) {
        kill_rank(n, SIGKILL); /* no engine can come; it has told why */
        finish(n, IPMPI_EXIT_PYTHON);
    } else if (wait_status != 0 && !n->end.told) {
        ipmpi_log_warn("NANNY-ZYGOTE",
                       "the zygote is gone; engines start by themselves");
    }
}

static void reap(struct nanny *n)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == n->helper_pid)
            helper_ended(n, status);
        else if (n->direct && pid == n->rank_pid)
            rank_ended(n, status);
    }
}

static void take_signals(struct nanny *n)
{
    struct signalfd_siginfo info;
    bool children = false;

    while (read(n->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            children = true;
            break;
        case SIGUSR1:
        case SIGUSR2:
            pass_on(n, (int)info.ssi_signo);
            break;
        default:
            tell_to_end(n, (int)info.ssi_signo);
        }
    }
    if (children) /* after a TERM that came with it */
        reap(n);
}

/* --- the other descriptors --------------------------------------------- */

static void take_link(struct nanny *n)
{
    struct ipmpi_link_packet packet;
    int err;

    while ((err = ipmpi_link_receive(n->link_fd, &packet)) == 0) {
        if (packet.type == IPMPI_LINK_JOINED) {
            n->end.joined = true;
            n->job_rank = packet.rank;
            n->controller = packet.controller;
        } else if (packet.type == IPMPI_LINK_LEAVING) {
            n->end.leaving = true;
            n->end.leave_code = packet.code;
        }
    }
    if (err != IPMPI_EDEAD)
        return;
    drop_fd(&n->link_fd);
    /* Nothing else would tell of the end of such a rank. */
    if (n->rank_pid != 0 && !n->direct && n->pid_fd < 0 && n->zygote_fd < 0)
        rank_ended(n, -1);
}

static void zygote_started(struct nanny *n,
                           const struct ipmpi_zygote_answer *answer)
{
    const struct ipmpi_link_packet go = {.type = IPMPI_LINK_START};

    n->rank_pid = answer->pid;
    n->pid_fd = answer->pid_fd;
    n->state = RUNNING;
    drop_fd(&n->rank_end);
    (void)ipmpi_link_send(n->link_fd, &go); /* dead already: we shall hear */
}

static void zygote_lost(struct nanny *n)
{
    drop_fd(&n->zygote_fd);
    if (n->state == CALLING)
        start_directly(n);
    else if (n->rank_pid != 0 && n->pid_fd < 0 && n->link_fd < 0)
        rank_ended(n, -1);
}

static void take_zygote(struct nanny *n)
{
    struct ipmpi_zygote_answer answer;
    int err;

    while (n->zygote_fd >= 0 && (err = ipmpi_zygote_receive(
                                     n->zygote_fd, &answer)) != IPMPI_EEMPTY) {
        if (err != 0) {
            zygote_lost(n);
        } else if (answer.type == IPMPI_ZYGOTE_STARTED && n->rank_pid == 0 &&
                   n->state == CALLING) {
            zygote_started(n, &answer);
        } else if (answer.type == IPMPI_ZYGOTE_ENDED && n->rank_pid != 0) {
            rank_ended(n, answer.wait_status);
        } else if (answer.type == IPMPI_ZYGOTE_REFUSED && n->state == CALLING) {
            ipmpi_log_warn("NANNY-ZYGOTE",
                           "the zygote cannot start rank %d: "
                           "%s; direct start",
                           n->job_rank, answer.reason);
            start_directly(n);
        }
    }
}

/* The rank has ended; the zygote, if it lives, will tell how. */
static void take_pid_fd(struct nanny *n)
{
    struct pollfd item = {.fd = n->zygote_fd, .events = POLLIN};

    if (n->zygote_fd >= 0 && poll(&item, 1, STATUS_MS) > 0)
        take_zygote(n);
    if (n->rank_pid != 0)
        rank_ended(n, -1);
}

/* --- time -------------------------------------------------------------- */

static void report(struct nanny *n)
{
    switch (ipmpi_notice_send(&n->controller, &n->notice, NOTICE_MS)) {
    case 0:
        n->reported = true;
        set_deadline(n, PROBE_PAUSE_MS);
        break;
    case IPMPI_EDEAD:
        finish(n, 0);
        break;
    case IPMPI_ENOENT:
        ipmpi_log_error("NANNY-REPORT",
                        "rank 0 cannot be told of the death of rank %d: no "
                        "network leads from here to %.64s",
                        n->job_rank, n->controller.host);
        finish(n, 1);
        break;
    default:
        if (++n->unanswered >= PROBES_MOST)
            finish(n, 0);
    }
}

static void probe(struct nanny *n)
{
    const int err = ipmpi_bell_probe(&n->controller, PROBE_MS);

    n->unanswered = err == 0 ? 0 : n->unanswered + 1;
    if (err == IPMPI_EDEAD || n->unanswered >= PROBES_MOST)
        finish(n, 0);
    else
        set_deadline(n, PROBE_PAUSE_MS);
}

static void on_time(struct nanny *n)
{
    if (n->state == CALLING && !n->asked) {
        call_zygote(n);
        return;
    }
    if (n->state == RUNNING || n->state == DONE || !deadline_passed(n))
        return;
    if (n->state == CALLING) {
        ipmpi_log_warn("NANNY-ZYGOTE", "the zygote does not answer; direct "
                                       "start");
        start_directly(n);
    } else if (n->state == ENDING) {
        kill_rank(n, SIGKILL);
        set_deadline(n, END_MS); /* again, if it could not be killed yet */
    } else if (n->reported) {
        probe(n);
    } else {
        report(n);
    }
}

static int wait_ms(const struct nanny *n)
{
    int64_t left_us;

    if (n->state == RUNNING)
        return -1;
    if (n->state == CALLING && !n->asked)
        return CALL_AGAIN_MS;
    left_us = n->deadline_us - ipmpi_clock_now_us();
    return left_us <= 0 ? 0 : (int)(left_us / 1000) + 1;
}

static void turn(struct nanny *n)
{
    struct pollfd items[4] = {{.fd = n->signal_fd, .events = POLLIN},
                              {.fd = n->link_fd, .events = POLLIN},
                              {.fd = n->zygote_fd, .events = POLLIN},
                              {.fd = n->pid_fd, .events = POLLIN}};

    if (poll(items, 4, wait_ms(n)) < 0)
        return; /* EINTR */
    if (items[0].revents != 0)
        take_signals(n);
    if (items[1].revents != 0 && n->link_fd == items[1].fd && n->link_fd >= 0)
        take_link(n);
    if (items[2].revents != 0 && n->state != DONE)
        take_zygote(n);
    if (items[3].revents != 0 && n->pid_fd >= 0 && n->state != DONE)
        take_pid_fd(n);
    on_time(n);
}

/* Nothing that this nanny started outlives it. The zygote ends when its last
 * nanny leaves it; if others hang, it is killed. */
static void end_helper(struct nanny *n)
{
    struct pollfd item = {.fd = n->signal_fd, .events = POLLIN};

    drop_fd(&n->keeper_fd);
    set_deadline(n, n->end.told ? GRACE_MS : HELPER_MS);
    while (n->helper_pid != 0 && !deadline_passed(n)) {
        poll(&item, 1, wait_ms(n));
        take_signals(n);
    }
    if (n->helper_pid != 0) {
        kill(n->helper_pid, SIGKILL);
        waitpid(n->helper_pid, NULL, 0);
    }
}

int ipmpi_nanny_run(const struct ipmpi_nanny_task *task)
{
    struct nanny n = {.task = task,
                      .link_fd = -1,
                      .rank_end = -1,
                      .zygote_fd = -1,
                      .pid_fd = -1,
                      .keeper_fd = -1,
                      .job_rank = task->place->rank,
                      .state = CALLING};

    n.end.controller = task->place->rank == 0;
    if (ipmpi_signals_take(&n.signals, &n.signal_fd) != 0) {
        cannot_start(&n, "the nanny");
        return n.exit_code;
    }
    start(&n);
    while (n.state != DONE)
        turn(&n);
    kill_rank(&n, SIGKILL);
    drop_fd(&n.link_fd);
    drop_fd(&n.rank_end);
    drop_fd(&n.pid_fd);
    drop_fd(&n.zygote_fd);
    end_helper(&n);
    drop_fd(&n.signal_fd);
    return n.exit_code;
}

/* The end of a rank: told, killed, reported, mourned. */
#include "runtime/process/nanny_state.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/process/account.h"
#include "runtime/process/host.h"
#include "runtime/process/link.h"
#include "runtime/process/oom.h"

void ipmpi_nanny_kill_rank(const struct ipmpi_nanny *n, int signal)
{
    if (n->rank_pid == 0)
        return;
    if (n->pid_fd >= 0)
        syscall(SYS_pidfd_send_signal, n->pid_fd, signal, NULL, 0);
    else
        kill(n->rank_pid, signal);
}

/* When the nanny of a rank that died leaves, mpirun sees that the rank never
 * finalised, and kills what is left of the job at once: rank 0 in the middle
 * of its clean end. So this nanny goes after rank 0. */
static void mourn_to_the_end(struct ipmpi_nanny *n)
{
    if (n->mourn_until_us == 0)
        n->mourn_until_us = ipmpi_clock_now_us() + IPMPI_END_MS * 1000;
    ipmpi_nanny_set_deadline(n, 0);
}

void ipmpi_nanny_tell_to_end(struct ipmpi_nanny *n, int signal)
{
    const struct ipmpi_link_packet packet = {.type = IPMPI_LINK_TERMINATE,
                                             .code = signal};

    if (!n->end.told) {
        n->end.told = true;
        n->end.told_signal = signal;
    }
    if (n->state == IPMPI_NANNY_RUNNING) {
        if (n->link_fd < 0 || ipmpi_link_send(n->link_fd, &packet) != 0)
            ipmpi_nanny_kill_rank(n, SIGTERM);
        n->state = IPMPI_NANNY_ENDING;
        ipmpi_nanny_set_deadline(n, IPMPI_END_MS);
    } else if (n->state == IPMPI_NANNY_MOURNING) {
        mourn_to_the_end(n);
    } else if (n->state == IPMPI_NANNY_CALLING) {
        ipmpi_nanny_finish(n, 128 + signal);
    }
}

/* A launcher signals the whole process group; a rank that is in another one
 * gets these from us. */
void ipmpi_nanny_pass_on(const struct ipmpi_nanny *n, int signal)
{
    if (n->rank_pid != 0 && getpgid(n->rank_pid) != getpgrp())
        ipmpi_nanny_kill_rank(n, signal);
}

static uint32_t exit_flags(struct ipmpi_nanny *n)
{
    const int status = n->end.wait_status;
    const bool killed =
        status == -1 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    uint32_t flags = 0;

    if (n->account_fd >= 0 &&
        ipmpi_account_read(n->account_fd, &n->notice.begun) == 0)
        flags |= IPMPI_EXIT_COUNTED;
    if (killed && ipmpi_oom_kills() > n->oom_kills)
        flags |= IPMPI_EXIT_NO_MEMORY;
    return flags;
}

void ipmpi_nanny_start_mourning(struct ipmpi_nanny *n, pid_t pid)
{
    memset(&n->notice, 0, sizeof(n->notice));
    (void)gethostname(n->notice.host, sizeof(n->notice.host) - 1);
    n->notice.rank = n->job_rank;
    n->notice.pid = pid;
    n->notice.wait_status = n->end.wait_status;
    n->notice.flags = exit_flags(n);
    n->state = IPMPI_NANNY_MOURNING;
    n->deadline_us = 0;
}

static void say_how_it_ended(const struct ipmpi_nanny *n, pid_t pid)
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

void ipmpi_nanny_rank_ended(struct ipmpi_nanny *n, int wait_status)
{
    const pid_t pid = n->rank_pid;
    struct pollfd item = {.fd = n->signal_fd, .events = POLLIN};
    struct ipmpi_verdict verdict;

    n->rank_pid = 0;
    if (n->state == IPMPI_NANNY_DONE) /* the exit code is settled */
        return;
    n->end.wait_status = wait_status;
    ipmpi_nanny_drop(&n->pid_fd);
    (void)ipmpi_nanny_take_packets(n); /* its last words */
    /* The TERM that killed it may be on its way to us. */
    if (!n->end.leaving && !n->end.told && WIFSIGNALED(wait_status) &&
        poll(&item, 1, IPMPI_GRACE_MS) > 0)
        ipmpi_nanny_take_signals(n);
    verdict = ipmpi_verdict(&n->end);
    if (verdict.log)
        say_how_it_ended(n, pid);
    if (verdict.mourn)
        ipmpi_nanny_start_mourning(n, pid);
    else
        ipmpi_nanny_finish(n, verdict.exit_code);
}

void ipmpi_nanny_helper_ended(struct ipmpi_nanny *n, int wait_status)
{
    n->helper_pid = 0;
    if (n->end.joined || n->state == IPMPI_NANNY_DONE)
        return;
    if (WIFEXITED(wait_status) &&
        WEXITSTATUS(wait_status) == IPMPI_EXIT_PYTHON) {
        /* No engine can come; it has told why. */
        ipmpi_nanny_kill_rank(n, SIGKILL);
        ipmpi_nanny_finish(n, IPMPI_EXIT_PYTHON);
    } else if (wait_status != 0 && !n->end.told) {
        ipmpi_log_warn("NANNY-ZYGOTE",
                       "the zygote is gone; engines start by themselves");
    }
}

static void report(struct ipmpi_nanny *n)
{
    switch (ipmpi_notice_send(&n->controller, &n->notice, IPMPI_NOTICE_MS)) {
    case 0:
        n->reported = true;
        ipmpi_nanny_set_deadline(n, IPMPI_PROBE_PAUSE_MS);
        break;
    case IPMPI_EDEAD:
        ipmpi_nanny_finish(n, 0);
        break;
    case IPMPI_ENOENT:
        ipmpi_log_error("NANNY-REPORT",
                        "rank 0 cannot be told of the death of rank %d: no "
                        "network leads from here to %.64s",
                        n->job_rank, n->controller.host);
        ipmpi_nanny_finish(n, 1);
        break;
    default:
        if (++n->unanswered >= IPMPI_PROBES_MOST)
            ipmpi_nanny_finish(n, 0);
    }
}

static void probe(struct ipmpi_nanny *n)
{
    const int err = ipmpi_bell_probe(&n->controller, IPMPI_PROBE_MS);

    n->unanswered = err == 0 ? 0 : n->unanswered + 1;
    if (err == IPMPI_EDEAD || n->unanswered >= IPMPI_PROBES_MOST ||
        (n->mourn_until_us != 0 && ipmpi_clock_now_us() >= n->mourn_until_us))
        ipmpi_nanny_finish(n, 0);
    else
        ipmpi_nanny_set_deadline(n, n->mourn_until_us != 0
                                        ? IPMPI_PROBE_SOON_MS
                                        : IPMPI_PROBE_PAUSE_MS);
}

void ipmpi_nanny_mourn(struct ipmpi_nanny *n)
{
    if (n->reported)
        probe(n);
    else
        report(n);
}

void ipmpi_nanny_end_helper(struct ipmpi_nanny *n)
{
    struct pollfd item = {.fd = n->signal_fd, .events = POLLIN};

    ipmpi_nanny_drop(&n->keeper_fd);
    ipmpi_nanny_set_deadline(
        n, n->end.told || n->exit_code != 0 ? IPMPI_GRACE_MS : IPMPI_HELPER_MS);
    while (n->helper_pid != 0 && !ipmpi_nanny_is_late(n)) {
        poll(&item, 1, ipmpi_nanny_wait_ms(n));
        ipmpi_nanny_take_signals(n);
    }
    if (n->helper_pid != 0) {
        kill(n->helper_pid, SIGKILL);
        waitpid(n->helper_pid, NULL, 0);
    }
}

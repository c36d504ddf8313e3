/* One poll loop over signals, the link to the rank, the zygote, the rank's
 * pidfd and the launcher's; without anything to do it sleeps.
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

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/process/link.h"
#include "runtime/process/nanny_state.h"
#include "runtime/process/oom.h"

void ipmpi_nanny_drop(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void ipmpi_nanny_set_deadline(struct ipmpi_nanny *n, int ms)
{
    n->deadline_us = ipmpi_clock_now_us() + (int64_t)ms * 1000;
}

bool ipmpi_nanny_is_late(const struct ipmpi_nanny *n)
{
    return ipmpi_clock_now_us() >= n->deadline_us;
}

void ipmpi_nanny_finish(struct ipmpi_nanny *n, int exit_code)
{
    n->exit_code = exit_code;
    n->state = IPMPI_NANNY_DONE;
}

bool ipmpi_nanny_is_controller(const struct ipmpi_nanny *n)
{
    return ipmpi_place_is_controller(n->task->place);
}

static void reap(struct ipmpi_nanny *n)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == n->helper_pid)
            ipmpi_nanny_helper_ended(n, status);
        else if (n->direct && pid == n->rank_pid)
            ipmpi_nanny_rank_ended(n, status);
    }
}

void ipmpi_nanny_take_signals(struct ipmpi_nanny *n)
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
            ipmpi_nanny_pass_on(n, (int)info.ssi_signo);
            break;
        default:
            ipmpi_nanny_tell_to_end(n, (int)info.ssi_signo);
        }
    }
    if (children) /* after a TERM that came with it */
        reap(n);
}

int ipmpi_nanny_take_packets(struct ipmpi_nanny *n)
{
    struct ipmpi_link_packet packet;
    int err = IPMPI_EDEAD, attached;

    while (n->link_fd >= 0 &&
           (err = ipmpi_link_receive_fd(n->link_fd, &packet, &attached)) == 0) {
        if (packet.type == IPMPI_LINK_JOINED) {
            n->end.joined = true;
            n->job_rank = packet.rank;
            n->controller = packet.controller;
            ipmpi_nanny_drop(&n->account_fd);
            n->account_fd = attached;
            attached = -1;
        } else if (packet.type == IPMPI_LINK_LEAVING) {
            n->end.leaving = true;
            n->end.leave_code = packet.code;
        }
        ipmpi_nanny_drop(&attached);
    }
    if (err == IPMPI_EDEAD)
        ipmpi_nanny_drop(&n->link_fd);
    return err;
}

static void take_link(struct ipmpi_nanny *n)
{
    /* The link's end counts only if nothing else tells of the rank's: user
     * code may have closed all its descriptors. */
    if (ipmpi_nanny_take_packets(n) == IPMPI_EDEAD && n->rank_pid != 0 &&
        !n->direct && n->pid_fd < 0 && n->zygote_fd < 0)
        ipmpi_nanny_rank_ended(n, -1);
}

static void zygote_lost(struct ipmpi_nanny *n)
{
    ipmpi_nanny_drop(&n->zygote_fd);
    if (n->state == IPMPI_NANNY_CALLING)
        ipmpi_nanny_start_directly(n);
    else if (n->rank_pid != 0 && n->pid_fd < 0 && n->link_fd < 0)
        ipmpi_nanny_rank_ended(n, -1);
}

static void take_zygote(struct ipmpi_nanny *n)
{
    struct ipmpi_zygote_answer answer;
    int err;

    while (n->zygote_fd >= 0 && (err = ipmpi_zygote_receive(
                                     n->zygote_fd, &answer)) != IPMPI_EEMPTY) {
        if (err != 0) {
            zygote_lost(n);
        } else if (answer.type == IPMPI_ZYGOTE_STARTED && n->rank_pid == 0 &&
                   n->state == IPMPI_NANNY_CALLING) {
            ipmpi_nanny_accept(n, &answer);
        } else if (answer.type == IPMPI_ZYGOTE_ENDED && n->rank_pid != 0) {
            ipmpi_nanny_rank_ended(n, answer.wait_status);
        } else if (answer.type == IPMPI_ZYGOTE_REFUSED &&
                   n->state == IPMPI_NANNY_CALLING) {
            ipmpi_log_warn("NANNY-ZYGOTE",
                           "the zygote cannot start rank %d: %s; direct start",
                           n->job_rank, answer.reason);
            ipmpi_nanny_start_directly(n);
        }
    }
}

/* The rank has ended; the zygote, if it lives, will tell how. */
static void take_pid_fd(struct ipmpi_nanny *n)
{
    struct pollfd item = {.fd = n->zygote_fd, .events = POLLIN};

    if (n->zygote_fd >= 0 && poll(&item, 1, IPMPI_STATUS_MS) > 0)
        take_zygote(n);
    if (n->rank_pid != 0)
        ipmpi_nanny_rank_ended(n, -1);
}

/* A launcher that was killed tells nobody, and its job would stay for ever. */
static void parent_gone(struct ipmpi_nanny *n)
{
    ipmpi_nanny_drop(&n->parent_fd);
    if (ipmpi_nanny_is_controller(n) && !n->end.told)
        ipmpi_log_warn("NANNY-ORPHAN", "the launcher is gone; the job ends");
    ipmpi_nanny_tell_to_end(n, SIGTERM);
}

static void watch_parent(struct ipmpi_nanny *n)
{
    const pid_t parent = getppid();

    if (!n->task->place->launched)
        return;
    n->parent_fd = (int)syscall(SYS_pidfd_open, parent, 0);
    if (n->parent_fd >= 0)
        fcntl(n->parent_fd, F_SETFD, FD_CLOEXEC);
    if (getppid() != parent) /* it died meanwhile */
        parent_gone(n);
}

static void on_time(struct ipmpi_nanny *n)
{
    if (n->state == IPMPI_NANNY_CALLING && !n->asked) {
        ipmpi_nanny_call_zygote(n);
        return;
    }
    if (n->state == IPMPI_NANNY_RUNNING || n->state == IPMPI_NANNY_DONE ||
        !ipmpi_nanny_is_late(n))
        return;
    if (n->state == IPMPI_NANNY_CALLING) {
        ipmpi_log_warn("NANNY-ZYGOTE",
                       "the zygote does not answer; direct start");
        ipmpi_nanny_start_directly(n);
    } else if (n->state == IPMPI_NANNY_ENDING) {
        ipmpi_nanny_kill_rank(n, SIGKILL);
        ipmpi_nanny_set_deadline(n, IPMPI_END_MS); /* it may need another */
    } else {
        ipmpi_nanny_mourn(n);
    }
}

int ipmpi_nanny_wait_ms(const struct ipmpi_nanny *n)
{
    int64_t left_us;

    if (n->state == IPMPI_NANNY_RUNNING)
        return -1;
    if (n->state == IPMPI_NANNY_CALLING && !n->asked)
        return IPMPI_CALL_AGAIN_MS;
    left_us = n->deadline_us - ipmpi_clock_now_us();
    return left_us <= 0 ? 0 : (int)(left_us / 1000) + 1;
}

static void turn(struct ipmpi_nanny *n)
{
    struct pollfd items[] = {{.fd = n->signal_fd, .events = POLLIN},
                             {.fd = n->link_fd, .events = POLLIN},
                             {.fd = n->zygote_fd, .events = POLLIN},
                             {.fd = n->pid_fd, .events = POLLIN},
                             {.fd = n->parent_fd, .events = POLLIN}};

    if (poll(items, sizeof(items) / sizeof(items[0]), ipmpi_nanny_wait_ms(n)) <
        0)
        return; /* EINTR */
    if (items[0].revents != 0)
        ipmpi_nanny_take_signals(n);
    if (items[1].revents != 0 && n->state != IPMPI_NANNY_DONE)
        take_link(n);
    if (items[2].revents != 0 && n->state != IPMPI_NANNY_DONE)
        take_zygote(n);
    if (items[3].revents != 0 && n->pid_fd >= 0 && n->state != IPMPI_NANNY_DONE)
        take_pid_fd(n);
    if (items[4].revents != 0 && n->state != IPMPI_NANNY_DONE)
        parent_gone(n);
    on_time(n);
}

/* The bell of rank 0, where it is known before the rank has joined. */
static bool find_controller(struct ipmpi_bell_address *out)
{
    const char *text = getenv(IPMPI_SPAWNED_ENV);
    const char *hex = text != NULL ? strchr(text, ':') : NULL;
    uint8_t *bytes = (uint8_t *)out;
    unsigned byte;

    if (hex == NULL || strlen(++hex) != 2 * sizeof(*out))
        return false;
    for (size_t i = 0; i < sizeof(*out); i++) {
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        bytes[i] = (uint8_t)byte;
    }
    return true;
}

int ipmpi_nanny_run(const struct ipmpi_nanny_task *task)
{
    struct ipmpi_nanny n = {.task = task,
                            .link_fd = -1,
                            .rank_end = -1,
                            .account_fd = -1,
                            .zygote_fd = -1,
                            .pid_fd = -1,
                            .parent_fd = -1,
                            .keeper_fd = -1,
                            .job_rank = ipmpi_place_number(task->place),
                            .state = IPMPI_NANNY_CALLING};

    n.oom_kills = ipmpi_oom_kills();
    n.end.controller = ipmpi_place_is_controller(task->place);
    n.end.joined = ipmpi_place_is_added() && find_controller(&n.controller);
    if (ipmpi_signals_take(&n.signals, &n.signal_fd) != 0) {
        ipmpi_nanny_cannot_start(&n, "the nanny");
        return n.exit_code;
    }
    watch_parent(&n);
    if (n.state != IPMPI_NANNY_DONE)
        ipmpi_nanny_start(&n);
    while (n.state != IPMPI_NANNY_DONE)
        turn(&n);
    ipmpi_nanny_kill_rank(&n, SIGKILL);
    ipmpi_nanny_drop(&n.link_fd);
    ipmpi_nanny_drop(&n.rank_end);
    ipmpi_nanny_drop(&n.account_fd);
    ipmpi_nanny_drop(&n.pid_fd);
    ipmpi_nanny_drop(&n.zygote_fd);
    ipmpi_nanny_end_helper(&n);
    ipmpi_nanny_drop(&n.parent_fd);
    ipmpi_nanny_drop(&n.signal_fd);
    return n.exit_code;
}

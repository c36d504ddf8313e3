/* The start of a rank: the controller's program, an engine from the zygote, or
 * one that embeds Python by itself.
 *
 * Invariant: at most one process can become this rank. A child that has been
 *            given up never gets LINK_START: its link is closed first. */
#include "runtime/process/nanny_state.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/process/link.h"
#include "runtime/process/starter.h"

static bool uses_zygote(const struct ipmpi_nanny *n)
{
    return n->task->options->zygote && ipmpi_place_wants_zygote(n->task->place);
}

/* A job that has to form ends; one that lives already hears of it. */
void ipmpi_nanny_cannot_start(struct ipmpi_nanny *n, const char *what)
{
    ipmpi_log_error("NANNY-START", "cannot start %s: %s", what,
                    strerror(errno));
    n->end.wait_status = -1;
    if (n->end.joined)
        ipmpi_nanny_start_mourning(n, 0);
    else
        ipmpi_nanny_finish(n, 1);
}

static int renew_link(struct ipmpi_nanny *n)
{
    ipmpi_nanny_drop(&n->link_fd);
    ipmpi_nanny_drop(&n->rank_end);
    return ipmpi_link_pair(&n->link_fd, &n->rank_end);
}

/* A child that waits for LINK_START on the old link finds it closed. */
void ipmpi_nanny_start_directly(struct ipmpi_nanny *n)
{
    int err = renew_link(n);

    ipmpi_nanny_drop(&n->zygote_fd);
    if (err == 0 && ipmpi_nanny_is_controller(n))
        err = ipmpi_start_controller(n->task, &n->signals, n->rank_end,
                                     &n->rank_pid);
    else if (err == 0)
        err =
            ipmpi_start_engine(n->task, &n->signals, n->rank_end, &n->rank_pid);
    if (err != 0) {
        ipmpi_nanny_cannot_start(n, "the rank");
        return;
    }
    ipmpi_nanny_drop(&n->rank_end);
    n->direct = true;
    n->state = IPMPI_NANNY_RUNNING;
}

void ipmpi_nanny_call_zygote(struct ipmpi_nanny *n)
{
    switch (ipmpi_zygote_connect(n->zygote_name, &n->zygote_fd)) {
    case 0:
        break;
    case IPMPI_EEMPTY:
        if (!ipmpi_nanny_is_late(n))
            return; /* its nanny is not as far as we are */
        /* fall through */
    default:
        ipmpi_log_debug("NANNY-ZYGOTE", "no zygote; direct start");
        ipmpi_nanny_start_directly(n);
        return;
    }
    if (renew_link(n) != 0 ||
        ipmpi_zygote_request(n->zygote_fd, n->task->place->rank, n->rank_end,
                             &n->signals) != 0) {
        ipmpi_nanny_start_directly(n);
        return;
    }
    n->asked = true;
    ipmpi_nanny_set_deadline(n, IPMPI_FORK_MS);
}

/* The zygote, or where there is none, rank 0's look at the engines' Python. */
static void start_helper(struct ipmpi_nanny *n)
{
    const struct ipmpi_place *place = n->task->place;
    int err = 0;

    if (uses_zygote(n)) {
        if (place->local_rank == 0)
            err = ipmpi_start_zygote(n->task, &n->signals, n->zygote_name,
                                     &n->keeper_fd, &n->helper_pid);
    } else if (ipmpi_nanny_is_controller(n) && place->local_size != 1) {
        err = ipmpi_start_check(n->task, &n->signals, &n->helper_pid);
    }
    if (err != 0) /* then each engine starts by itself */
        ipmpi_log_warn("NANNY-ZYGOTE", "cannot start the zygote: %s",
                       strerror(errno));
}

void ipmpi_nanny_start(struct ipmpi_nanny *n)
{
    ipmpi_zygote_name(n->task->place, n->zygote_name);
    if (ipmpi_nanny_is_controller(n))
        ipmpi_nanny_start_directly(n);
    if (n->state != IPMPI_NANNY_DONE)
        start_helper(n);
    if (ipmpi_nanny_is_controller(n))
        return;
    if (uses_zygote(n)) {
        ipmpi_nanny_set_deadline(n, IPMPI_CALL_MS);
        ipmpi_nanny_call_zygote(n);
    } else {
        ipmpi_nanny_start_directly(n);
    }
}

void ipmpi_nanny_accept(struct ipmpi_nanny *n,
                        const struct ipmpi_zygote_answer *answer)
{
    const struct ipmpi_link_packet go = {.type = IPMPI_LINK_START};

    n->rank_pid = answer->pid;
    n->pid_fd = answer->pid_fd;
    n->state = IPMPI_NANNY_RUNNING;
    ipmpi_nanny_drop(&n->rank_end);
    (void)ipmpi_link_send(n->link_fd, &go); /* dead already: we shall hear */
}

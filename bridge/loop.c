/* Rank 0's loop: one turn takes a bounded share from every source, so that one
 * chatty client cannot starve the engines, and sleeps when there was nothing.
 *
 * Threads: this is the thread. */
#include "bridge/controller_state.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utlist.h>

#include "bridge/engines.h"
#include "bridge/farewells.h"
#include "bridge/hub/taskdb.h"
#include "bridge/requests/dask.h"
#include "bridge/requests/survey.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/schedulers/gathers.h"
#include "bridge/spawner.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/engine/protocol.h"
#include "runtime/process/interfaces.h"
#include "runtime/process/link.h"
#include "runtime/process/vigil.h"

enum {
    TURN_BUDGET = 64,           /* messages a turn from each source */
    LOOK_UP_TURNS = 32,         /* busy turns between looks at the rest */
    BYE_US = 1000 * 1000,       /* for the last messages to leave */
    SPAWN_MS = 1500,            /* for engines that are just being added */
    FINALIZE_MS = 2500,         /* for MPI to end with the engines */
    LOSS_GRACE_US = 20 * 1000,  /* for relayed replies to win the race against
                                 * the notice that their engine is gone */
    BEHIND_US = 1000 * 1000,    /* between looks at a slow disk */
    LATE_US = 30 * 1000 * 1000, /* between complaints about late engines */
};

/* --- engines that end ------------------------------------------------ */

/* A nanny repeats its notice, as a new one, when rank 0 was too busy to
 * acknowledge it in time; a rank ends once. Without memory it counts as new. */
static bool heard_before(struct ipmpi_controller *c, int rank)
{
    bool was;

    if (rank >= c->nlost) {
        bool *grown = realloc(c->lost, (size_t)c->size * sizeof(*grown));

        if (grown == NULL)
            return false;
        memset(grown + c->nlost, 0,
               (size_t)(c->size - c->nlost) * sizeof(*grown));
        c->lost = grown;
        c->nlost = c->size;
    }
    was = c->lost[rank];
    c->lost[rank] = true;
    return was;
}

/* An engine ended. What it sent before may still be on its way through MPI:
 * the loss is acted upon when nothing more comes, and a little later. */
static void on_notice(void *ctx, const struct ipmpi_exit_notice *notice)
{
    struct ipmpi_controller *c = ctx;
    struct ipmpi_loss *loss;

    if (notice->rank <= 0 || notice->rank >= c->size)
        return;
    loss = calloc(1, sizeof(*loss));
    if (loss == NULL || heard_before(c, notice->rank)) {
        free(loss);
        return;
    }
    loss->notice = *notice;
    loss->due_us = ipmpi_clock_now_us() + LOSS_GRACE_US;
    LL_APPEND(c->losses, loss);
}

static void act_on_losses(struct ipmpi_controller *c)
{
    while (c->losses != NULL && c->losses->due_us <= ipmpi_clock_now_us()) {
        struct ipmpi_loss *loss = c->losses;
        char why[192];

        LL_DELETE(c->losses, loss);
        ipmpi_engines_describe_end(&loss->notice, why, sizeof(why));
        ipmpi_comm_mark_dead(c->comm, loss->notice.rank);
        ipmpi_engines_lost(&c->hub, loss->notice.rank, &loss->notice);
        ipmpi_spawner_lost(c, loss->notice.rank, why);
        free(loss);
    }
}

/* --- one turn -------------------------------------------------------- */

static void receive(void *ctx, int rank, struct ipmpi_frames *frames)
{
    struct ipmpi_controller *c = ctx;

    ipmpi_engines_receive(&c->hub, rank, frames);
}

static void take_signals(struct ipmpi_controller *c)
{
    struct signalfd_siginfo info;

    while (read(c->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (!c->stopping)
            ipmpi_log_info("BRIDGE-STOP", "%s: the cluster ends",
                           strsignal((int)info.ssi_signo));
        c->stopping = true;
    }
}

static void take_link(struct ipmpi_controller *c)
{
    struct ipmpi_link_packet packet;
    int err;

    if (c->link_fd < 0)
        return;
    while ((err = ipmpi_link_receive(c->link_fd, &packet)) == 0) {
        if (packet.type == IPMPI_LINK_TERMINATE)
            c->stopping = true;
    }
    if (err == IPMPI_EDEAD)
        c->stopping = true; /* the nanny is gone: so is the job */
}

static void complain_of_late_engines(struct ipmpi_controller *c)
{
    char ids[256] = "";
    struct ipmpi_engine *engine, *next;
    size_t at = 0;

    HASH_ITER (by_id, c->hub.registry.by_id, engine, next) {
        if (engine->state == IPMPI_ENGINE_JOINING && at + 16 < sizeof(ids))
            at += (size_t)snprintf(ids + at, sizeof(ids) - at, "%s%d",
                                   at > 0 ? ", " : "", engine->id);
    }
    ipmpi_log_warn("BRIDGE-LATE", "still waiting for engines %s", ids);
    c->complain_us = ipmpi_clock_now_us() + LATE_US;
}

/* The files appear when all engines are there, so that whoever finds them
 * finds a whole cluster. */
static void publish_when_ready(struct ipmpi_controller *c)
{
    if (c->published)
        return;
    if (ipmpi_engines_joining(&c->hub) == 0) {
        if (ipmpi_controller_publish(c) != 0)
            c->stopping = c->failed = true;
    } else if (ipmpi_clock_now_us() >= c->complain_us) {
        complain_of_late_engines(c);
    }
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long the timers let us sleep, in ms; -1: for ever. */
static int timers_wait_ms(const struct ipmpi_controller *c)
{
    int64_t next = ipmpi_balanced_deadline_us(&c->hub);
    int64_t left;

    next = earliest(next, ipmpi_joiners_deadline_us(&c->intake.joiners));
    next = earliest(next, ipmpi_engines_deadline_us(&c->hub));
    next = earliest(next, ipmpi_gathers_deadline_us(&c->hub));
    next = earliest(next, ipmpi_farewells_deadline_us(&c->hub));
    next = earliest(next, ipmpi_dask_deadline_us(c->hub.dask));
    next = earliest(next, ipmpi_spawner_deadline_us(c));
    next = earliest(next, ipmpi_survey_deadline_us(c->hub.survey));
    next = earliest(next,
                    ipmpi_outflow_deadline_us(ipmpi_doors_outflow(c->doors)));
    if (c->losses != NULL)
        next = earliest(next, c->losses->due_us);
    if (!c->published)
        next = earliest(next, c->complain_us);
    if (ipmpi_taskdb_is_behind(c->db)) /* a disk that is stuck tells nobody */
        next = earliest(next, ipmpi_clock_now_us() + BEHIND_US);
    if (next == INT64_MAX)
        return -1;
    left = (next - ipmpi_clock_now_us() + 999) / 1000;
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Also the only place where notices, signals and the link are read, so it runs
 * now and then under load, too, without waiting. */
static void wait_for_something(struct ipmpi_controller *c, bool may_sleep)
{
    const int timers = may_sleep ? timers_wait_ms(c) : 0;
    enum { AT_SIGNAL, AT_LINK, AT_REST };
    int wait = ipmpi_comm_before_sleep(c->comm);
    int fds[8] = {[AT_SIGNAL] = c->signal_fd, [AT_LINK] = c->link_fd};
    size_t n = AT_REST + (size_t)ipmpi_comm_fds(c->comm, fds + AT_REST);
    unsigned readable;

    fds[n++] = ipmpi_taskdb_fd(c->db);
    if (ipmpi_dask_fd(c->hub.dask) >= 0)
        fds[n++] = ipmpi_dask_fd(c->hub.dask);
    if (ipmpi_comm_spawn_fd(c->comm) >= 0)
        fds[n++] = ipmpi_comm_spawn_fd(c->comm);
    if (wait < 0 || (timers >= 0 && timers < wait))
        wait = timers;
    readable =
        ipmpi_doors_wait(c->doors, ipmpi_intake_mask(&c->intake), fds, n, wait);
    ipmpi_comm_after_sleep(c->comm, on_notice, c);
    if (readable & 1u << AT_SIGNAL)
        take_signals(c);
    if (readable & 1u << AT_LINK)
        take_link(c);
}

static void watch_outflow(struct ipmpi_controller *c)
{
    struct ipmpi_outflow *outflow = ipmpi_doors_outflow(c->doors);

    ipmpi_outflow_look(outflow, ipmpi_clock_now_us());
    ipmpi_dispatch_hold_back(&c->hub, ipmpi_outflow_holds_back(outflow));
}

static void turn(struct ipmpi_controller *c)
{
    unsigned mask = ipmpi_intake_mask(&c->intake);
    unsigned did;

    ipmpi_comm_hold(c->comm); /* so that work for one engine shares a packet */
    did = ipmpi_intake_turn(&c->intake, mask, TURN_BUDGET);
    did += ipmpi_comm_progress(c->comm, TURN_BUDGET, receive, c);
    ipmpi_comm_let_go(c->comm);
    ipmpi_taskdb_poll(c->db);
    ipmpi_dask_turn(&c->hub);
    ipmpi_spawner_turn(c);
    ipmpi_survey_turn(&c->hub);
    ipmpi_balanced_fire_timers(&c->hub);
    ipmpi_gathers_fire_timers(&c->hub);
    ipmpi_engines_announce_again(&c->hub);
    ipmpi_farewells_turn(&c->hub);
    publish_when_ready(c);
    watch_outflow(c);
    if (did > 0 && ++c->busy_turns % LOOK_UP_TURNS != 0) {
        ipmpi_doors_wait(c->doors, mask, NULL, 0, 0);
        return;
    }
    act_on_losses(c);
    wait_for_something(c, did == 0);
}

/* --- the job --------------------------------------------------------- */

/* An agent that runs us in containers reports the ranks of a lost node in the
 * place of their nannies: it needs to know where our bell hangs. */
static void tell_bell(const struct ipmpi_bell_address *bell)
{
    const char *path = getenv("IPMPI_BELL_FILE");
    int fd;

    if (path == NULL)
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bell, sizeof(*bell)) != (ssize_t)sizeof(*bell))
        ipmpi_log_warn("BRIDGE-BELL",
                       "%s cannot be written: lost nodes will "
                       "be noticed late",
                       path);
    if (fd >= 0)
        close(fd);
}

static int join(struct ipmpi_controller *c)
{
    struct ipmpi_link_packet packet = {.type = IPMPI_LINK_JOINED};
    struct ipmpi_comm_options options = {.protocol = IPMPI_PROTOCOL_VERSION};
    struct ipmpi_interface interface;
    struct ipmpi_vigil *vigil;
    int err;

    if (ipmpi_interface_choose(&interface) == 0)
        options.bell_ipv4_be = interface.ipv4_be;
    vigil = ipmpi_vigil_begin(c->link_fd);
    err = ipmpi_comm_open(&options, &c->comm);
    ipmpi_vigil_end(&vigil);

    if (err != 0)
        return err;
    c->size = ipmpi_comm_size(c->comm);
    packet.controller = *ipmpi_comm_address(c->comm, 0);
    tell_bell(&packet.controller);
    if (c->link_fd >= 0)
        ipmpi_link_send(c->link_fd, &packet);
    for (int rank = 1; err == 0 && rank < c->size; rank++)
        err = ipmpi_controller_welcome(c, rank, rank - 1);
    c->complain_us = ipmpi_clock_now_us() + LATE_US;
    return err;
}

/* A job that is ended from outside (a signal, a time limit) tells its clients
 * that the engines are gone, so that what they wait for fails and does not
 * hang. After a shutdown that was announced they know already. */
static void tell_clients(struct ipmpi_controller *c)
{
    struct ipmpi_engine *engine, *next;

    ipmpi_farewells_hurry(&c->hub);
    if (c->hub.shutdown_announced)
        return;
    HASH_ITER (by_id, c->hub.registry.by_id, engine, next) {
        if (ipmpi_engine_is_known(engine))
            ipmpi_farewells_say(&c->hub, engine, false);
    }
}

/* Whoever waits for tasks that no engine will run must hear so. */
static void give_up_tasks(struct ipmpi_controller *c)
{
    const int64_t deadline_us = ipmpi_clock_now_us() + BYE_US;

    while (ipmpi_balanced_give_up(&c->hub, "the cluster has ended") &&
           ipmpi_clock_now_us() < deadline_us)
        ;
}

/* Lets the last messages leave; then all ranks finalise MPI together. */
static int leave(struct ipmpi_controller *c)
{
    const int64_t deadline_us = ipmpi_clock_now_us() + BYE_US;
    struct ipmpi_link_packet packet = {
        .type = IPMPI_LINK_LEAVING,
        .code = c->failed ? EXIT_FAILURE : EXIT_SUCCESS,
    };

    /* mpirun kills a second after its SIGTERM: files and lock go first */
    ipmpi_controller_withdraw(c);
    tell_clients(c);
    ipmpi_profile_close(&c->profile);
    /* Engines on their way into the job must hear that it ends. */
    (void)ipmpi_comm_await_spawns(c->comm, SPAWN_MS);
    ipmpi_engines_say_bye(&c->hub, c->size);
    while (ipmpi_comm_unsent_bytes(c->comm, -1) > 0 &&
           ipmpi_clock_now_us() < deadline_us)
        ipmpi_comm_progress(c->comm, TURN_BUDGET, receive, c);
    ipmpi_engines_forget(&c->hub);
    ipmpi_farewells_hurry(&c->hub);
    give_up_tasks(c);
    ipmpi_controller_close_clients(c);
    if (c->link_fd >= 0)
        ipmpi_link_send(c->link_fd, &packet);
    return ipmpi_comm_close(&c->comm, FINALIZE_MS);
}

int ipmpi_controller_run(struct ipmpi_controller *c)
{
    int err = join(c);

    if (err != 0)
        return EXIT_FAILURE;
    while (!c->stopping && !c->hub.shutdown_asked)
        turn(c);
    err = leave(c);
    if (err != 0)
        ipmpi_log_warn("BRIDGE-FINALIZE", "some ranks did not end in time: %s",
                       ipmpi_strerror(err));
    return c->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

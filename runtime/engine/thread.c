/* The comm thread: one turn takes in messages and sends what waits; when
 * nothing moves it sleeps until the bell, the outbox, a pipe or the link.
 *
 * Invariant: it never blocks outside its poll, and never takes the GIL.
 *
 * Note [last resort]. User code may compute for hours, or hang, when the job
 * ends. It is interrupted once, and if that does not help the process goes
 * without it: a job must not outlive its end for one engine.
 *
 * Note [busy]. Most tasks are short: their reply follows what says that they
 * began. To wake up for each of the two would be the larger part of their
 * cost. So after work has been queued the first sleep is short, and main does
 * not ring for "busy" meanwhile; of a longer task it is known 1 ms late.
 *
 * Note [abandoned]. Large output that waits for rank 0 when the job ends is
 * never received: rank 0 says BYE and finalises. It is given a short while,
 * then abandoned, as if rank 0 were dead; MPI_Finalize does not wait for it. */
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/engine/state.h"
#include "runtime/process/link.h"
#include "runtime/process/vigil.h"

enum {
    TURN_BUDGET = 64,
    LOOK_US = 5 * 1000,        /* even when busy, look at pipes */
    SHORT_MS = 1,              /* see note [busy] */
    INTERRUPT_US = 300 * 1000, /* see note [last resort] */
    ABANDON_US = 500 * 1000,   /* see note [abandoned] */
    LAST_RESORT_US = 2 * 1000 * 1000,
};

/* ---- stopping ------------------------------------------------------- */

void ipmpi_engine_stop(struct ipmpi_engine *engine, enum ipmpi_stop stop)
{
    const int64_t now = ipmpi_clock_now_us();

    if (atomic_load(&engine->stop) < (int)stop)
        atomic_store(&engine->stop, (int)stop);
    if (stop == IPMPI_STOP_JOB) {
        ipmpi_controls_end(&engine->controls);
        if (engine->gone_by_us == 0) {
            engine->interrupt_at_us = now + INTERRUPT_US;
            engine->gone_by_us = now + LAST_RESORT_US;
        }
    }
    ipmpi_engine_wake(engine);
}

static _Noreturn void leave_at_once(const struct ipmpi_engine *engine)
{
    const struct ipmpi_link_packet packet = {
        .type = IPMPI_LINK_LEAVING,
        .rank = ipmpi_comm_rank(engine->comm),
        .code = engine->exit_code,
    };

    ipmpi_log_warn("ENGINE-BUSY", "%s when the job ended; leaving without it",
                   atomic_load(&engine->leaving) ? "rank 0 did not say goodbye"
                                                 : "user code did not stop");
    if (engine->link_fd >= 0)
        ipmpi_link_send(engine->link_fd, &packet);
    _exit(engine->exit_code);
}

static void fire_timers(struct ipmpi_engine *engine, int64_t now_us)
{
    if (engine->interrupt_at_us != 0 && now_us >= engine->interrupt_at_us) {
        engine->interrupt_at_us = 0;
        if (!atomic_load(&engine->leaving))
            pthread_kill(engine->main_thread, SIGINT);
    }
    if (engine->gone_by_us != 0 && now_us >= engine->gone_by_us)
        leave_at_once(engine); /* see note [last resort] */
}

void ipmpi_engine_check_link(struct ipmpi_engine *engine)
{
    struct ipmpi_link_packet packet;
    int err;

    while ((err = ipmpi_link_receive(engine->link_fd, &packet)) == 0) {
        if (packet.type != IPMPI_LINK_TERMINATE)
            continue;
        engine->exit_code = 128 + packet.code;
        ipmpi_engine_stop(engine, IPMPI_STOP_JOB);
    }
    if (err == IPMPI_EDEAD)
        _exit(IPMPI_EXIT_NO_NANNY); /* nobody would report or end us */
}

/* ---- sleeping ------------------------------------------------------- */

/* What is polled besides the bell; -1 where there is nothing. */
enum { AT_OUTBOX, AT_LINK, AT_PIPE, AT_ECHO = AT_PIPE + 2, NFDS = AT_ECHO + 2 };

static void fill_fds(struct ipmpi_engine *engine, struct pollfd *fds)
{
    const bool full = ipmpi_outbox_is_full(engine->outbox);

    fds[AT_OUTBOX] =
        (struct pollfd){ipmpi_outbox_fd(engine->outbox), POLLIN, 0};
    fds[AT_LINK] = (struct pollfd){engine->link_fd, POLLIN, 0};
    for (int i = 0; i < 2; i++) {
        const struct ipmpi_echo *echo = &engine->sender.echo[i];

        fds[AT_PIPE + i] = (struct pollfd){
            full ? -1 : ipmpi_output_pipe(engine->output, i), POLLIN, 0};
        fds[AT_ECHO + i] =
            (struct pollfd){echo->len > 0 ? echo->fd : -1, POLLOUT, 0};
    }
}

/* Acts on what poll found. Returns how many things it did. */
static unsigned look_after(struct ipmpi_engine *engine,
                           const struct pollfd *fds)
{
    unsigned did = 0;

    if (fds[AT_LINK].revents != 0) {
        ipmpi_engine_check_link(engine);
        did++;
    }
    if ((fds[AT_PIPE].revents | fds[AT_PIPE + 1].revents) != 0) {
        ipmpi_output_drain(engine->output, false);
        did++;
    }
    return did;
}

static unsigned write_echo(struct ipmpi_engine *engine)
{
    unsigned did = 0;

    for (int i = 0; i < 2; i++) {
        struct ipmpi_echo *echo = &engine->sender.echo[i];
        const size_t before = echo->len;

        if (before > 0) {
            ipmpi_echo_write(echo);
            did += echo->len < before;
        }
    }
    return did;
}

static unsigned look(struct ipmpi_engine *engine)
{
    struct pollfd fds[NFDS];

    fill_fds(engine, fds);
    return poll(fds, NFDS, 0) > 0 ? look_after(engine, fds) : 0;
}

/* The shorter of two waits in ms; -1 is for ever. */
static int shorter(int a_ms, int b_ms)
{
    if (a_ms < 0 || b_ms < 0)
        return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

static int until_ms(int64_t at_us, int64_t now_us)
{
    if (at_us == 0)
        return -1;
    return at_us <= now_us ? 0 : (int)((at_us - now_us) / 1000) + 1;
}

static int own_wait_ms(const struct ipmpi_engine *engine, int64_t text_due_us,
                       int64_t now_us)
{
    int wait = text_due_us < 0 ? -1 : (int)((text_due_us + 999) / 1000);

    wait = shorter(wait, until_ms(engine->interrupt_at_us, now_us));
    wait = shorter(wait, until_ms(engine->abandon_at_us, now_us));
    wait = shorter(wait, until_ms(engine->theft.answer_by_us, now_us));
    wait = shorter(wait,
                   until_ms(ipmpi_branches_due_us(&engine->branches), now_us));
    return shorter(wait, until_ms(engine->gone_by_us, now_us));
}

static void sleep_until_something(struct ipmpi_engine *engine)
{
    struct pollfd fds[NFDS + 2];
    const int64_t now = ipmpi_clock_now_us();
    const int64_t text_due =
        ipmpi_outbox_before_sleep(engine->outbox, now, engine->expects);
    int bell[2], nbell, wait;

    wait = own_wait_ms(engine, text_due, now);
    if (!engine->job_ended && ipmpi_sender_is_behind(&engine->sender) &&
        ipmpi_sender_may_send(&engine->sender))
        wait = 0;
    if (engine->expects)
        wait = shorter(wait, SHORT_MS);
    engine->expects = false;
    fill_fds(engine, fds);
    nbell = ipmpi_comm_fds(engine->comm, bell);
    for (int i = 0; i < nbell; i++)
        fds[NFDS + i] = (struct pollfd){bell[i], POLLIN, 0};
    if (wait != 0)
        wait = shorter(wait, ipmpi_comm_before_sleep(engine->comm));
    if (poll(fds, (nfds_t)(NFDS + nbell), wait) > 0)
        look_after(engine, fds);
    ipmpi_comm_after_sleep(engine->comm, NULL, NULL);
    ipmpi_outbox_after_sleep(engine->outbox);
}

/* ---- turns ---------------------------------------------------------- */

/* After BYE nobody waits for what we have to say, but what MPI has begun to
 * send should end, for a clean MPI_Finalize. Rank 0 may be in there already,
 * and take nothing more: see note [abandoned]. */
static bool is_over(struct ipmpi_engine *engine, int64_t now_us)
{
    if (!engine->job_ended || !atomic_load(&engine->leaving))
        return false;
    if (ipmpi_comm_unsent_bytes(engine->comm, 0) == 0)
        return true;
    if (engine->abandon_at_us == 0)
        engine->abandon_at_us = now_us + ABANDON_US;
    if (now_us < engine->abandon_at_us)
        return false;
    ipmpi_comm_mark_dead(engine->comm, 0);
    return true;
}

void *ipmpi_engine_run(void *arg)
{
    struct ipmpi_engine *engine = arg;
    int64_t looked_us = 0, now;
    unsigned did;

    while (!is_over(engine, ipmpi_clock_now_us())) {
        did = ipmpi_comm_progress(engine->comm, TURN_BUDGET,
                                  ipmpi_engine_receive, engine);
        if (!engine->job_ended) {
            did += ipmpi_sender_turn(&engine->sender, TURN_BUDGET);
            ipmpi_theft_turn(engine);
        }
        did += write_echo(engine);
        now = ipmpi_clock_now_us();
        if (!engine->job_ended)
            did += ipmpi_branches_turn(&engine->branches, now);
        fire_timers(engine, now);
        if (did == 0) {
            sleep_until_something(engine);
            looked_us = ipmpi_clock_now_us();
        } else if (now - looked_us > LOOK_US) {
            look(engine);
            looked_us = now;
        }
    }
    return NULL;
}

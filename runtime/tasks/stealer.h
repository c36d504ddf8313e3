/* When an engine looks for work, whom it asks, and what it does when others
 * ask: events in, actions out.
 *
 *   state    | dry          | fed   | refused by the one asked | woken by m
 *   ---------+--------------+-------+--------------------------+-----------
 *   FED      | hint: SEEKING|       |                          | hint
 *            | else: QUIET  |       |                          |
 *   SEEKING  |              | FED   | next one: SEEKING        | m is next
 *            |              |       | none left: QUIET, told   |
 *   QUIET    | hint: SEEKING| FED   |                          | SEEKING, m
 *
 * One question is open at a time. Who does not answer for long (it was stopped,
 * or its node is overloaded) counts as if it had refused, and is passed over in
 * searches until it says something. A search that found nothing ends in
 * silence: nothing is asked again until rank 0, or another engine by its
 * lifelines (lifelines.h), says that there is work. The `hint` says so
 * beforehand: that it is worth a search when the engine runs dry.
 *
 * Threads: none of its own. Nothing blocks or allocates; no clock. */
#ifndef IPMPI_TASKS_STEALER_H
#define IPMPI_TASKS_STEALER_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/tasks/deque.h"
#include "runtime/tasks/lifelines.h"
#include "runtime/tasks/seating.h"

/* What it asks of its engine. Members are numbers in the seating. They must
 * not call back. */
struct ipmpi_steal_actions {
    void *ctx;
    void (*ask)(void *ctx, int victim);   /* STEAL */
    void (*refuse)(void *ctx, int thief); /* that one asked in vain */
    /* Takes half of the deque (ipmpi_deque_steal_half), reports it to its
     * origins, then sends it. Returns how many tasks that were. */
    size_t (*give)(void *ctx, int thief);
    void (*wake)(void *ctx, int member); /* there is work here */
    void (*quiet)(void *ctx); /* a search found nothing: rank 0 may know */
};

enum ipmpi_stealer_state {
    IPMPI_STEALER_FED,
    IPMPI_STEALER_SEEKING,
    IPMPI_STEALER_QUIET,
};

/* So many that do not answer are remembered: the oldest give way. */
enum { IPMPI_SILENT_CAP = 16 };

struct ipmpi_stealer {
    struct ipmpi_steal_actions actions;
    struct ipmpi_seating *seating; /* lent */
    struct ipmpi_search search;
    struct ipmpi_lifelines lifelines;
    enum ipmpi_stealer_state state;
    bool hint;
    bool off;  /* --steal off, or the engine leaves: asks and gives nothing */
    int asked; /* whose answer is awaited; -1: nobody's */
    int next;  /* who woke us: asked before all others; -1: nobody */
    int silent[IPMPI_SILENT_CAP]; /* who did not answer, oldest first */
    int nsilent;
    uint64_t nasked, nrefused, ngiven, ngot; /* for tests and metrics */
};

void ipmpi_stealer_init(struct ipmpi_stealer *stealer,
                        const struct ipmpi_steal_actions *actions,
                        struct ipmpi_seating *seating, int self, unsigned seed);

/* --- the engine ------------------------------------------------------- */

/* It has nothing to run. May be said again at any time. */
void ipmpi_stealer_dry(struct ipmpi_stealer *stealer);
/* It has something to run. */
void ipmpi_stealer_fed(struct ipmpi_stealer *stealer);
/* Rank 0 says that there is more than engines are free. */
void ipmpi_stealer_hint(struct ipmpi_stealer *stealer);
/* It has more than it can do at once: wakes those who are tied to it. */
void ipmpi_stealer_surplus(struct ipmpi_stealer *stealer);

/* The one that was asked takes too long to answer. */
void ipmpi_stealer_stalled(struct ipmpi_stealer *stealer);

/* --- other members ---------------------------------------------------- */

/* A thief asks: it gets some, or is refused and tied. */
void ipmpi_stealer_asked(struct ipmpi_stealer *stealer, int thief);
/* The victim has nothing. */
void ipmpi_stealer_refused(struct ipmpi_stealer *stealer, int victim);
/* Tasks came from it. */
void ipmpi_stealer_got(struct ipmpi_stealer *stealer, int victim, size_t n);
/* It has work. */
void ipmpi_stealer_woken(struct ipmpi_stealer *stealer, int member);
/* It is gone, and will not answer. */
void ipmpi_stealer_died(struct ipmpi_stealer *stealer, int member);

#endif

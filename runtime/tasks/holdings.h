/* Who holds which task: the origin's account (rank 0's for clients' tasks, an
 * engine's for the children of its tasks). A task is with one holder at a time
 * until it is decided; it moves only when its origin says so.
 *
 * A theft, in phases:
 *   1. thief   -> victim: STEAL
 *   2. victim  -> origin: HANDOVER (tasks, thief); from here on the victim
 *                         will not run them
 *   3. victim  -> thief:  the tasks, which the thief keeps in limbo.h
 *   4. origin  -> thief:  GRANT (tasks granted, tasks refused)
 * Whoever dies between two of them: what was not granted is still in the
 * victim's account, and is given out again from there; what was granted is in
 * the thief's.
 *
 * Threads: none of its own. Nothing blocks or allocates. */
#ifndef IPMPI_TASKS_HOLDINGS_H
#define IPMPI_TASKS_HOLDINGS_H

#include <stdbool.h>
#include <stddef.h>

struct ipmpi_holder;

/* Embedded in the origin's record of a task. Zero: nobody holds it. */
struct ipmpi_held {
    struct ipmpi_holder *holder;
    struct ipmpi_held *prev, *next; /* of its holder, oldest first */
    bool started;                   /* the holder has begun it */
    bool withdrawn; /* aborted, timed out: not to begin any more */
};

/* Embedded in the origin's record of a member. Zero: it holds nothing. */
struct ipmpi_holder {
    struct ipmpi_held *first;
    size_t n;
    bool gone; /* it can hold nothing any more */
};

/* To a task that nobody holds: it is given to `holder`, as its newest. */
void ipmpi_hold(struct ipmpi_holder *holder, struct ipmpi_held *held);

/* Takes the task back, from whoever holds it; it has not started then. */
void ipmpi_release(struct ipmpi_held *held);

enum ipmpi_handover {
    IPMPI_HANDOVER_GRANTED, /* the thief holds it */
    IPMPI_HANDOVER_STALE,   /* the victim did not hold it: nothing changed */
    IPMPI_HANDOVER_BACK,    /* the thief must not have it, the victim has let
                             * go of it: nobody holds it, and the origin
                             * decides it or gives it out again */
};

/* The victim reports that it hands the task over. `thief` NULL: to the origin
 * itself. */
enum ipmpi_handover ipmpi_hand_over(struct ipmpi_held *held,
                                    struct ipmpi_holder *victim,
                                    struct ipmpi_holder *thief);

#endif

/* What a thief has of thefts that are not complete: tasks that came from a
 * victim before their origin granted them, and grants that came before their
 * tasks. Whichever comes second makes the task the thief's own.
 *
 * Threads: none of its own. Nothing blocks. */
#ifndef IPMPI_TASKS_LIMBO_H
#define IPMPI_TASKS_LIMBO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A task here has the caller's `what`, which is the caller's again when it is
 * handed out; it is never NULL. Members are numbered as the caller likes. */
struct ipmpi_limbo {
    struct ipmpi_limbo_entry *entries;
    size_t n;
};

enum ipmpi_limbo_verdict {
    IPMPI_LIMBO_WAIT,  /* one half is still to come */
    IPMPI_LIMBO_RUN,   /* the task is ours */
    IPMPI_LIMBO_ABORT, /* it is ours, and withdrawn: answer it as aborted */
    IPMPI_LIMBO_DROP,  /* it is not ours */
};

/* The task has come from `victim`. WAIT: the limbo owns `what`; else the
 * caller does. IPMPI_ENOMEM (negative): the caller does, nothing changed. */
int ipmpi_limbo_arrived(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
                        void *what);

/* Its origin grants it, or refuses it. RUN and DROP give it in *what_out, WAIT
 * means that it has not come yet. IPMPI_ENOMEM. */
int ipmpi_limbo_granted(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
                        void **what_out);
int ipmpi_limbo_refused(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
                        void **what_out);

/* Its origin withdraws it. True: it was granted and has not come; the verdict
 * will be ABORT. */
bool ipmpi_limbo_withdraw(struct ipmpi_limbo *limbo, uint64_t ref);

/* The victim is dead, and what has not come from it never will. Takes one
 * entry of it: *what_out is the task that nobody will grant any more, or NULL:
 * the task *ref_out was granted and is missing. False: there are no more. */
bool ipmpi_limbo_orphan(struct ipmpi_limbo *limbo, int victim,
                        uint64_t *ref_out, void **what_out);

/* Takes a task whose ref matches: its origin is gone, nobody will grant it.
 * False: there is none. */
bool ipmpi_limbo_take_if(struct ipmpi_limbo *limbo,
                         bool (*matches)(uint64_t ref, const void *ctx),
                         const void *ctx, void **what_out);

/* Takes any entry, to clear up; as above. */
bool ipmpi_limbo_take(struct ipmpi_limbo *limbo, void **what_out);

#endif

/* A balanced task: what its metadata asks for, and what has been tried.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_TASK_H
#define IPMPI_SCHEDULERS_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/hub/job.h"
#include "bridge/schedulers/dependency.h"

enum ipmpi_task_state {
    IPMPI_TASK_NEW,
    IPMPI_TASK_BLOCKED, /* `after` is not met */
    IPMPI_TASK_READY,   /* waits for an engine */
    IPMPI_TASK_AHEAD,   /* waits at an engine: ahead.h */
    IPMPI_TASK_ASSIGNED,
};

struct ipmpi_bulk;
struct ipmpi_gang;

struct ipmpi_task {
    struct ipmpi_job *job;
    struct ipmpi_bulk *bulk; /* a bulk job; else NULL */
    struct ipmpi_gang *gang; /* a task of several engines; else NULL */
    enum ipmpi_task_state state;
    struct ipmpi_dependency after, follow;
    json_t *targets;    /* array of uuids; NULL: any engine */
    json_t *blacklist;  /* array of uuids that had it; NULL: none */
    int64_t timeout_us; /* of each time in the queue; 0: none */
    int64_t retries_left;
    int64_t deadline_us; /* while queued; 0: none */
    bool expired; /* timed out while AHEAD: its engine is asked to drop it */
    struct ipmpi_task *prev, *next;             /* in the queue of its state */
    struct ipmpi_task *timer_prev, *timer_next; /* if it has a deadline */
};

/* Reads the request's metadata. IPMPI_EJSON: a member has the wrong type.
 * IPMPI_ENOMEM. */
int ipmpi_task_create(struct ipmpi_job *job, struct ipmpi_task **task_out);
void ipmpi_task_destroy(struct ipmpi_task **task);

/* Notes that this engine had it and shall not get it again. */
void ipmpi_task_blacklist(struct ipmpi_task *task, const char *uuid);

/* Whether it is all the same to the task which engine runs it: no targets, no
 * follow, and none has had it. */
bool ipmpi_task_is_for_any(const struct ipmpi_task *task);

/* Whether targets and blacklist allow the engine. */
bool ipmpi_task_allows(const struct ipmpi_task *task, const char *uuid);

/* Whether no engine that is there now can be a target any more. */
bool ipmpi_task_targets_gone(const struct ipmpi_task *task,
                             const struct ipmpi_registry *registry);

#endif

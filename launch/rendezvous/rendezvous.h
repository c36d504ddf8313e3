/* The rendezvous: which nodes run which generation of the job. No sockets and
 * no clock here: events come in with their time, decisions go out by calls, so
 * that a test can step through every state.
 *
 * A member is one agent. It is LISTED (we try to reach it), OPEN (it has
 * proved itself), OFFERED (spare: it told what it has), ASKED (PREPARE sent),
 * READY, COMMITTED, or LOST (gone; may be listed again after its cool-down).
 *
 * A round gathers at least `min` members, waits a last call for up to `max`,
 * prepares those it chose, and commits when all are ready. What goes wrong
 * before that starts a new round with a higher generation; a member lost after
 * it does not end the job, and a spare takes its place if the job can grow; a
 * lost leader does, and starts a new round, unless it is back before that.
 *
 * Threads: one. Nothing blocks. */
#ifndef IPMPI_LAUNCH_RENDEZVOUS_RENDEZVOUS_H
#define IPMPI_LAUNCH_RENDEZVOUS_RENDEZVOUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IPMPI_MEMBER_ID_CAP = 256, IPMPI_MEMBER_REASON_CAP = 256 };

enum ipmpi_member_state {
    IPMPI_MEMBER_UNSEEN, /* free place */
    IPMPI_MEMBER_LISTED,
    IPMPI_MEMBER_OPEN,
    IPMPI_MEMBER_OFFERED,
    IPMPI_MEMBER_ASKED,
    IPMPI_MEMBER_READY,
    IPMPI_MEMBER_COMMITTED,
    IPMPI_MEMBER_LOST,
    IPMPI_MEMBER_NSTATES,
};

enum ipmpi_member_event {
    IPMPI_MEMBER_LIST,   /* the scheduler names it */
    IPMPI_MEMBER_PROVED, /* handshake done */
    IPMPI_MEMBER_OFFER,  /* it told what it has */
    IPMPI_MEMBER_ASK,    /* (ours) chosen for a round */
    IPMPI_MEMBER_IS_READY,
    IPMPI_MEMBER_REFUSED,
    IPMPI_MEMBER_COMMIT,  /* (ours) the round is committed */
    IPMPI_MEMBER_RELEASE, /* (ours) the round is off, or over */
    IPMPI_MEMBER_BACK,    /* (ours) lost, but still at work for the round */
    IPMPI_MEMBER_GONE,    /* connection or task lost */
    IPMPI_MEMBER_UNLIST,  /* once it is lost: it will not come back */
    IPMPI_MEMBER_NEVENTS,
};

enum ipmpi_round_state {
    IPMPI_ROUND_GATHERING,
    IPMPI_ROUND_LAST_CALL,
    IPMPI_ROUND_PREPARING,
    IPMPI_ROUND_COMMITTED, /* mpirun starts */
    IPMPI_ROUND_RUNNING,
    IPMPI_ROUND_DRAINING,
    IPMPI_ROUND_ENDED,
    IPMPI_ROUND_FAILED,
    IPMPI_ROUND_NSTATES,
};

enum ipmpi_round_event {
    IPMPI_ROUND_BELOW,  /* fewer than min are offered */
    IPMPI_ROUND_ENOUGH, /* min or more */
    IPMPI_ROUND_FULL,   /* max */
    IPMPI_ROUND_TIMEOUT,
    IPMPI_ROUND_ALL_READY,
    IPMPI_ROUND_BROKEN, /* one of the chosen refused or is gone */
    IPMPI_ROUND_RUNS,
    IPMPI_ROUND_LOST_ONE,    /* one of the committed, not the leader */
    IPMPI_ROUND_LOST_LEADER, /* or more than the job can spare */
    IPMPI_ROUND_BACK,        /* the leader was only out of reach */
    IPMPI_ROUND_END,         /* the job came to its end */
    IPMPI_ROUND_FALSE_START, /* it ended before rank 0 was there */
    IPMPI_ROUND_STOP,        /* the user asks */
    IPMPI_ROUND_NEVENTS,
};

struct ipmpi_member {
    enum ipmpi_member_state state;
    char id[IPMPI_MEMBER_ID_CAP];   /* task id, or "host:port" */
    char host[IPMPI_MEMBER_ID_CAP]; /* where it is placed; cool-down is by it */
    char reason[IPMPI_MEMBER_REASON_CAP]; /* why it is not with us */
    unsigned slots;
    unsigned place;     /* in the committed table; 0 leads */
    uint64_t committed; /* the last generation that it was committed to */
    unsigned failures;  /* of its host, for the cool-down */
    int64_t cool_us;    /* not chosen before */
};

struct ipmpi_rendezvous_limits {
    unsigned min, max; /* nodes to start with */
    unsigned keep;     /* fewer left than this: a new round */
    unsigned attempts; /* rounds that fail before we give up */
    unsigned restarts; /* new generations after a lost leader */
    bool grow;         /* a spare takes a lost node's place while it runs */
    int64_t join_us, last_call_us, prepare_us, start_us, drain_us;
};

/* Decisions. `members` are indices, the leader first. Called from within the
 * functions below; they may not call back. */
struct ipmpi_rendezvous_calls {
    void (*prepare)(void *arg, uint64_t generation, const unsigned *members,
                    size_t n);
    void (*commit)(void *arg, uint64_t generation, const unsigned *members,
                   size_t n);
    void (*drain)(void *arg, uint64_t generation, unsigned member);
    /* One more, while the job runs: to be asked, and, when it is ready, to be
     * taken in by the leader. NULL if the job does not grow. */
    void (*ask)(void *arg, uint64_t generation, unsigned member);
    void (*take_in)(void *arg, uint64_t generation, unsigned member,
                    unsigned leader);
    void (*drop)(void *arg, unsigned member); /* close its connection */
    void *arg;
};

struct ipmpi_rendezvous; /* opaque */

/* IPMPI_EINVAL: min is 0 or above max. Copies what it is lent. */
int ipmpi_rendezvous_create(const struct ipmpi_rendezvous_limits *limits,
                            const struct ipmpi_rendezvous_calls *calls,
                            int64_t now_us, struct ipmpi_rendezvous **rdv_out);
void ipmpi_rendezvous_destroy(struct ipmpi_rendezvous **rdv);

/* A member is named by the scheduler; known ones (by id) are refreshed. Free
 * places are used again when there are no others. IPMPI_EFULL: more than any
 * job has. */
int ipmpi_rendezvous_list(struct ipmpi_rendezvous *rdv, const char *id,
                          const char *host, int64_t now_us,
                          unsigned *member_out);

/* What happened to one member. `generation` counts for IS_READY and REFUSED,
 * and for OFFER (the newest that the agent has seen: each round's is above
 * it). Messages of another
 * generation, repeated or out of order, are IPMPI_ESTATE and change nothing. */
int ipmpi_rendezvous_member(struct ipmpi_rendezvous *rdv, unsigned member,
                            enum ipmpi_member_event event, uint64_t generation,
                            unsigned slots, const char *reason, int64_t now_us);

/* News of the job from the leader of `generation`; others' are IPMPI_ESTATE.*/
int ipmpi_rendezvous_runs(struct ipmpi_rendezvous *rdv, uint64_t generation,
                          int64_t now_us);
int ipmpi_rendezvous_end(struct ipmpi_rendezvous *rdv, uint64_t generation,
                         bool started, int64_t now_us);
int ipmpi_rendezvous_stop(struct ipmpi_rendezvous *rdv, int64_t now_us);

/* A member that was lost is OPEN again and tells that it works (or, as leader,
 * has worked meanwhile) for `generation`: then it is one of us again, and a
 * leader brings the round back. IPMPI_EBUSY: its leader has to be back first.
 * IPMPI_EDEAD: it is of the past, and to be drained. IPMPI_ESTATE: we never
 * committed it to that one. */
int ipmpi_rendezvous_back(struct ipmpi_rendezvous *rdv, unsigned member,
                          uint64_t generation, int64_t now_us);

/* From now on limits.grow is false: the nodes' MPI cannot grow. */
void ipmpi_rendezvous_forbid_growth(struct ipmpi_rendezvous *rdv);

/* Deadlines that have passed; returns when to call again. */
int64_t ipmpi_rendezvous_tick(struct ipmpi_rendezvous *rdv, int64_t now_us);

enum ipmpi_round_state
ipmpi_rendezvous_state(const struct ipmpi_rendezvous *rdv);
uint64_t ipmpi_rendezvous_generation(const struct ipmpi_rendezvous *rdv);
/* Its leader is out of reach, and no newer round has begun. */
bool ipmpi_rendezvous_headless(const struct ipmpi_rendezvous *rdv);
unsigned ipmpi_rendezvous_count(const struct ipmpi_rendezvous *rdv,
                                enum ipmpi_member_state state);
/* Places 0..n-1; NULL for a free one. Borrowed until the next call. */
const struct ipmpi_member *
ipmpi_rendezvous_at(const struct ipmpi_rendezvous *rdv, unsigned member);
unsigned ipmpi_rendezvous_places(const struct ipmpi_rendezvous *rdv);

/* For tests: the tables themselves. False: the cell is empty. */
bool ipmpi_rendezvous_member_rule(enum ipmpi_member_state state,
                                  enum ipmpi_member_event event,
                                  enum ipmpi_member_state *next_out);
bool ipmpi_rendezvous_round_rule(enum ipmpi_round_state state,
                                 enum ipmpi_round_event event,
                                 enum ipmpi_round_state *next_out);

#endif

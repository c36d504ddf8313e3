/* Inside of the rendezvous: its members, and the round that they are in. */
#ifndef IPMPI_LAUNCH_RENDEZVOUS_RENDEZVOUS_INSIDE_H
#define IPMPI_LAUNCH_RENDEZVOUS_RENDEZVOUS_INSIDE_H

#include "launch/channel/protocol.h"
#include "launch/rendezvous/rendezvous.h"

struct ipmpi_rendezvous {
    struct ipmpi_rendezvous_limits limits;
    struct ipmpi_rendezvous_calls calls;
    enum ipmpi_round_state state;
    uint64_t generation; /* of the round that is, or was last */
    uint64_t newest;     /* that any agent has seen */
    int64_t join_end_us; /* of this gathering */
    int64_t deadline_us; /* of the state */
    int64_t pause_us;    /* no new round before */
    unsigned attempts, restarts;
    struct ipmpi_member member[IPMPI_NODES_MAX];
    unsigned nmembers;
    unsigned chosen[IPMPI_NODES_MAX]; /* of this generation, leader first */
    unsigned nchosen;
    unsigned nplaces; /* given out in this generation */
    unsigned recruit; /* who was asked while it runs; see recruits.c */
    bool recruiting;
    bool headless; /* the leader is out of reach, no newer round has begun */
    int64_t recruit_end_us;
    char last_leader[IPMPI_MEMBER_ID_CAP];
};

/* -- members.c ------------------------------------------------------------- */

/* IPMPI_ESTATE: the table has no such cell. */
int ipmpi_members_step(struct ipmpi_member *member,
                       enum ipmpi_member_event event);

/* How many could be in a round now. */
unsigned ipmpi_members_choosable(const struct ipmpi_rendezvous *rdv,
                                 int64_t now_us);
/* The best `max` of them, leader first, into `chosen`. */
void ipmpi_members_choose(struct ipmpi_rendezvous *rdv, int64_t now_us);
/* The best of them; false: there is none. */
bool ipmpi_members_choose_one(const struct ipmpi_rendezvous *rdv,
                              int64_t now_us, unsigned *index_out);
/* It is committed to the round's generation. */
void ipmpi_members_commit(struct ipmpi_rendezvous *rdv, unsigned index);
/* It is among the chosen, the last of them if it was not yet. */
void ipmpi_members_include(struct ipmpi_rendezvous *rdv, unsigned index);
void ipmpi_members_release(struct ipmpi_rendezvous *rdv);

/* A member has failed: it, and whoever comes on its host, is not chosen for a
 * while, which doubles with each failure. */
void ipmpi_members_cool(struct ipmpi_member *member, int64_t now_us);

/* -- recruits.c ------------------------------------------------------------ */

/* Asks a spare if a place is free and nobody is being asked. */
void ipmpi_recruits_look(struct ipmpi_rendezvous *rdv, int64_t now_us);
/* This one is ready: true if it was asked, and then it is one of us. */
bool ipmpi_recruits_ready(struct ipmpi_rendezvous *rdv, unsigned index);
/* This one refused, or is gone. */
void ipmpi_recruits_lost(struct ipmpi_rendezvous *rdv, unsigned index);
/* Gives up who says nothing. */
void ipmpi_recruits_tick(struct ipmpi_rendezvous *rdv, int64_t now_us);

/* -- rounds.c -------------------------------------------------------------- */

void ipmpi_rounds_step(struct ipmpi_rendezvous *rdv,
                       enum ipmpi_round_event event, int64_t now_us);

#endif

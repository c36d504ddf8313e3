/* Recruits: while a job runs, a spare takes the place of a node that was lost.
 * It is asked and made ready as in a round, but alone; then it is committed to
 * the generation that runs, and the leader takes it in.
 *
 * Invariant: at most one is under way, and only while the round is RUNNING. */
#include <stdio.h>

#include "launch/rendezvous/rendezvous_inside.h"

static unsigned committed(const struct ipmpi_rendezvous *rdv)
{
    return ipmpi_rendezvous_count(rdv, IPMPI_MEMBER_COMMITTED);
}

void ipmpi_recruits_look(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    struct ipmpi_member *member;

    if (rdv->state != IPMPI_ROUND_RUNNING || !rdv->limits.grow ||
        rdv->recruiting || committed(rdv) >= rdv->limits.max ||
        rdv->nplaces >= IPMPI_NODES_MAX ||
        !ipmpi_members_choose_one(rdv, now_us, &rdv->recruit))
        return;
    member = &rdv->member[rdv->recruit];
    rdv->recruiting = true;
    rdv->recruit_end_us = now_us + rdv->limits.prepare_us;
    member->place = rdv->nplaces++;
    ipmpi_members_step(member, IPMPI_MEMBER_ASK);
    rdv->calls.ask(rdv->calls.arg, rdv->generation, rdv->recruit);
}

bool ipmpi_recruits_ready(struct ipmpi_rendezvous *rdv, unsigned index)
{
    if (!rdv->recruiting || rdv->recruit != index ||
        rdv->state != IPMPI_ROUND_RUNNING)
        return false;
    rdv->recruiting = false;
    ipmpi_members_commit(rdv, index);
    ipmpi_members_include(rdv, index);
    rdv->calls.take_in(rdv->calls.arg, rdv->generation, index, rdv->chosen[0]);
    return true;
}

void ipmpi_recruits_lost(struct ipmpi_rendezvous *rdv, unsigned index)
{
    if (rdv->recruiting && rdv->recruit == index)
        rdv->recruiting = false;
}

void ipmpi_recruits_tick(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    struct ipmpi_member *member = &rdv->member[rdv->recruit];

    if (!rdv->recruiting || now_us < rdv->recruit_end_us)
        return;
    snprintf(member->reason, sizeof(member->reason), "said nothing to PREPARE");
    rdv->recruiting = false;
    rdv->calls.drop(rdv->calls.arg, rdv->recruit);
    ipmpi_members_step(member, IPMPI_MEMBER_GONE);
    ipmpi_members_cool(member, now_us);
}

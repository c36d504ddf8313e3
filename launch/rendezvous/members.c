/* Members: their table, and who of them is chosen.
 *
 * Invariant: only step assigns a member's state. */
#include <stdio.h>
#include <string.h>

#include "launch/rendezvous/rendezvous_inside.h"
#include "runtime/base/error.h"

enum {
    COOL_FIRST_S = 5, /* doubles with each loss of the same host */
    COOL_MOST_S = 300,
};

#define M(name) IPMPI_MEMBER_##name

/* The next state plus one, so that 0 is an empty cell. */
static const uint8_t rules[M(NSTATES)][M(NEVENTS)] = {
    [M(UNSEEN)][M(LIST)] = M(LISTED) + 1,

    [M(LISTED)][M(LIST)] = M(LISTED) + 1,
    [M(LISTED)][M(PROVED)] = M(OPEN) + 1,
    [M(LISTED)][M(GONE)] = M(LOST) + 1,

    [M(OPEN)][M(LIST)] = M(OPEN) + 1,
    [M(OPEN)][M(OFFER)] = M(OFFERED) + 1,
    [M(OPEN)][M(BACK)] = M(COMMITTED) + 1,
    [M(OPEN)][M(GONE)] = M(LOST) + 1,

    [M(OFFERED)][M(LIST)] = M(OFFERED) + 1,
    [M(OFFERED)][M(OFFER)] = M(OFFERED) + 1,
    [M(OFFERED)][M(ASK)] = M(ASKED) + 1,
    [M(OFFERED)][M(GONE)] = M(LOST) + 1,

    [M(ASKED)][M(LIST)] = M(ASKED) + 1,
    [M(ASKED)][M(IS_READY)] = M(READY) + 1,
    [M(ASKED)][M(REFUSED)] = M(OFFERED) + 1,
    [M(ASKED)][M(RELEASE)] = M(OFFERED) + 1,
    [M(ASKED)][M(GONE)] = M(LOST) + 1,

    [M(READY)][M(LIST)] = M(READY) + 1,
    [M(READY)][M(COMMIT)] = M(COMMITTED) + 1,
    [M(READY)][M(REFUSED)] = M(OFFERED) + 1,
    [M(READY)][M(RELEASE)] = M(OFFERED) + 1,
    [M(READY)][M(GONE)] = M(LOST) + 1,

    [M(COMMITTED)][M(LIST)] = M(COMMITTED) + 1,
    [M(COMMITTED)][M(REFUSED)] = M(OFFERED) + 1,
    [M(COMMITTED)][M(RELEASE)] = M(OFFERED) + 1,
    [M(COMMITTED)][M(GONE)] = M(LOST) + 1,

    [M(LOST)][M(LIST)] = M(LISTED) + 1,
    [M(LOST)][M(GONE)] = M(LOST) + 1,
    [M(LOST)][M(UNLIST)] = M(UNSEEN) + 1,
};

bool ipmpi_rendezvous_member_rule(enum ipmpi_member_state state,
                                  enum ipmpi_member_event event,
                                  enum ipmpi_member_state *next_out)
{
    const uint8_t cell = rules[state][event];

    if (cell == 0)
        return false;
    *next_out = cell - 1;
    return true;
}

int ipmpi_members_step(struct ipmpi_member *member,
                       enum ipmpi_member_event event)
{
    enum ipmpi_member_state next;

    if (!ipmpi_rendezvous_member_rule(member->state, event, &next))
        return IPMPI_ESTATE;
    member->state = next;
    return 0;
}

/* Who leads: the one that led before, else the most slots, else the smallest
 * id, so that two launchers would choose alike. */
static bool leads_before(const struct ipmpi_rendezvous *rdv, unsigned a,
                         unsigned b)
{
    const struct ipmpi_member *x = &rdv->member[a], *y = &rdv->member[b];
    const bool x_led = strcmp(x->id, rdv->last_leader) == 0;
    const bool y_led = strcmp(y->id, rdv->last_leader) == 0;

    if (x_led != y_led)
        return x_led;
    if (x->slots != y->slots)
        return x->slots > y->slots;
    return strcmp(x->id, y->id) < 0;
}

static bool is_choosable(const struct ipmpi_member *member, int64_t now_us)
{
    return member->state == IPMPI_MEMBER_OFFERED && member->cool_us <= now_us;
}

unsigned ipmpi_members_choosable(const struct ipmpi_rendezvous *rdv,
                                 int64_t now_us)
{
    unsigned n = 0;

    for (unsigned i = 0; i < rdv->nmembers; i++)
        n += is_choosable(&rdv->member[i], now_us);
    return n;
}

bool ipmpi_members_choose_one(const struct ipmpi_rendezvous *rdv,
                              int64_t now_us, unsigned *index_out)
{
    bool found = false;

    for (unsigned i = 0; i < rdv->nmembers; i++)
        if (is_choosable(&rdv->member[i], now_us) &&
            (!found || leads_before(rdv, i, *index_out))) {
            *index_out = i;
            found = true;
        }
    return found;
}

/* By insertion: few, and seldom. */
void ipmpi_members_choose(struct ipmpi_rendezvous *rdv, int64_t now_us)
{
    rdv->nchosen = 0;
    for (unsigned i = 0; i < rdv->nmembers; i++) {
        unsigned at = rdv->nchosen;

        if (!is_choosable(&rdv->member[i], now_us))
            continue;
        while (at > 0 && leads_before(rdv, i, rdv->chosen[at - 1]))
            at--;
        if (at >= rdv->limits.max)
            continue;
        if (rdv->nchosen < rdv->limits.max)
            rdv->nchosen++;
        memmove(&rdv->chosen[at + 1], &rdv->chosen[at],
                (rdv->nchosen - 1 - at) * sizeof(rdv->chosen[0]));
        rdv->chosen[at] = i;
    }
}

void ipmpi_members_commit(struct ipmpi_rendezvous *rdv, unsigned index)
{
    struct ipmpi_member *member = &rdv->member[index];

    ipmpi_members_step(member, IPMPI_MEMBER_COMMIT);
    member->committed = rdv->generation;
}

void ipmpi_members_include(struct ipmpi_rendezvous *rdv, unsigned index)
{
    for (unsigned i = 0; i < rdv->nchosen; i++)
        if (rdv->chosen[i] == index)
            return;
    rdv->chosen[rdv->nchosen++] = index;
}

void ipmpi_members_release(struct ipmpi_rendezvous *rdv)
{
    for (unsigned i = 0; i < rdv->nmembers; i++)
        ipmpi_members_step(&rdv->member[i], IPMPI_MEMBER_RELEASE);
    rdv->nchosen = 0;
    rdv->recruiting = false;
}

void ipmpi_members_cool(struct ipmpi_member *member, int64_t now_us)
{
    int64_t pause_s = COOL_FIRST_S;

    for (unsigned i = 0; i < member->failures && pause_s < COOL_MOST_S; i++)
        pause_s *= 2;
    if (pause_s > COOL_MOST_S)
        pause_s = COOL_MOST_S;
    member->failures++;
    member->cool_us = now_us + pause_s * IPMPI_SECOND_US;
}

/* The losses of a host are remembered by whoever was there before. */
static void inherit(struct ipmpi_rendezvous *rdv, struct ipmpi_member *member)
{
    for (unsigned i = 0; i < rdv->nmembers; i++) {
        const struct ipmpi_member *other = &rdv->member[i];

        if (other != member && strcmp(other->host, member->host) == 0 &&
            other->failures > member->failures) {
            member->failures = other->failures;
            member->cool_us = other->cool_us;
        }
    }
}

static bool find_member(const struct ipmpi_rendezvous *rdv, const char *id,
                        unsigned *index_out)
{
    for (unsigned i = 0; i < rdv->nmembers; i++)
        if (rdv->member[i].state != IPMPI_MEMBER_UNSEEN &&
            strcmp(rdv->member[i].id, id) == 0) {
            *index_out = i;
            return true;
        }
    return false;
}

/* A free place: a fresh one while there are any, for what is known of hosts
 * stays in the used ones. */
static bool find_place(struct ipmpi_rendezvous *rdv, unsigned *index_out)
{
    unsigned i = 0;

    if (rdv->nmembers < IPMPI_NODES_MAX) {
        *index_out = rdv->nmembers++;
        return true;
    }
    while (i < IPMPI_NODES_MAX && rdv->member[i].state != IPMPI_MEMBER_UNSEEN)
        i++;
    *index_out = i;
    return i < IPMPI_NODES_MAX;
}

int ipmpi_rendezvous_list(struct ipmpi_rendezvous *rdv, const char *id,
                          const char *host, int64_t now_us,
                          unsigned *member_out)
{
    struct ipmpi_member *member;
    unsigned i;

    if (!find_member(rdv, id, &i)) {
        if (!find_place(rdv, &i))
            return IPMPI_EFULL;
        member = &rdv->member[i];
        memset(member, 0, sizeof(*member));
        snprintf(member->id, sizeof(member->id), "%s", id);
        snprintf(member->host, sizeof(member->host), "%s", host);
        inherit(rdv, member);
    }
    member = &rdv->member[i];
    *member_out = i;
    (void)now_us;
    return ipmpi_members_step(member, IPMPI_MEMBER_LIST);
}

unsigned ipmpi_rendezvous_count(const struct ipmpi_rendezvous *rdv,
                                enum ipmpi_member_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < rdv->nmembers; i++)
        n += rdv->member[i].state == state;
    return n;
}

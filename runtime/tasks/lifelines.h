/* Whom an engine wakes when it has more than it can do: at first its
 * neighbours in a hypercube of all members, and whoever asked it in vain since.
 * Each is woken once, and again only after it has asked in vain again; so a
 * flood of work spreads to n members in lg n steps, and members with nothing
 * to do exchange no messages.
 *
 * Saraswat, Kambadur, Kodali, Grove, Krishnamoorthy: Lifeline-based global
 * load balancing, PPoPP 2011.
 *
 * Threads: none of its own. Nothing blocks or allocates. */
#ifndef IPMPI_TASKS_LIFELINES_H
#define IPMPI_TASKS_LIFELINES_H

/* More standing orders than this are not kept: the oldest give way. */
enum { IPMPI_LIFELINES_CAP = 64 };

struct ipmpi_lifelines {
    int at[IPMPI_LIFELINES_CAP]; /* oldest first, none twice */
    int n;
};

void ipmpi_lifelines_init(struct ipmpi_lifelines *lifelines, int self, int n);

/* The member asked in vain. */
void ipmpi_lifelines_tie(struct ipmpi_lifelines *lifelines, int member);

/* The member is gone, or woken. */
void ipmpi_lifelines_cut(struct ipmpi_lifelines *lifelines, int member);

/* The next to wake, no longer among them; -1: there is none. */
int ipmpi_lifelines_next(struct ipmpi_lifelines *lifelines);

#endif

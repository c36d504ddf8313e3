/* The thief's and the victim's part.
 *
 * Invariant: SEEKING exactly while an answer is awaited and the engine is
 *            dry; `asked` may outlast it, when work came by another way. Who is
 *            among the silent is not asked. */
#include "runtime/tasks/stealer.h"

#include <string.h>

void ipmpi_stealer_init(struct ipmpi_stealer *stealer,
                        const struct ipmpi_steal_actions *actions,
                        struct ipmpi_seating *seating, int self, unsigned seed)
{
    *stealer = (struct ipmpi_stealer){
        .actions = *actions,
        .seating = seating,
        .search = {.self = self, .seed = seed},
        .state = IPMPI_STEALER_QUIET,
        .asked = -1,
        .next = -1,
    };
    ipmpi_lifelines_init(&stealer->lifelines, self,
                         ipmpi_seating_size(seating));
}

/* ---- the thief ------------------------------------------------------ */

static int find_silent(const struct ipmpi_stealer *stealer, int member)
{
    int i = stealer->nsilent;

    while (--i >= 0 && stealer->silent[i] != member)
        ;
    return i;
}

static void drop_silent(struct ipmpi_stealer *stealer, int i)
{
    memmove(&stealer->silent[i], &stealer->silent[i + 1],
            (size_t)(--stealer->nsilent - i) * sizeof(stealer->silent[0]));
}

/* It has said something. */
static void heard(struct ipmpi_stealer *stealer, int member)
{
    const int i = find_silent(stealer, member);

    if (i >= 0)
        drop_silent(stealer, i);
}

static int choose_victim(struct ipmpi_stealer *stealer)
{
    int victim = stealer->next;

    stealer->next = -1;
    if (victim >= 0 && !ipmpi_seating_is_gone(stealer->seating, victim))
        return victim;
    do
        victim = ipmpi_search_next(&stealer->search, stealer->seating);
    while (victim >= 0 && find_silent(stealer, victim) >= 0);
    return victim;
}

/* Asks the next one; quiet if there is none. */
static void seek(struct ipmpi_stealer *stealer)
{
    const int victim = choose_victim(stealer);

    if (victim < 0) {
        stealer->state = IPMPI_STEALER_QUIET;
        stealer->hint = false;
        stealer->actions.quiet(stealer->actions.ctx);
        return;
    }
    stealer->state = IPMPI_STEALER_SEEKING;
    stealer->asked = victim;
    stealer->nasked++;
    stealer->actions.ask(stealer->actions.ctx, victim);
}

/* A new search, unless an answer to the last one is still to come. */
static void begin(struct ipmpi_stealer *stealer)
{
    ipmpi_search_begin(&stealer->search);
    if (stealer->asked >= 0)
        stealer->state = IPMPI_STEALER_SEEKING;
    else
        seek(stealer);
}

void ipmpi_stealer_dry(struct ipmpi_stealer *stealer)
{
    if (stealer->off || stealer->state == IPMPI_STEALER_SEEKING)
        return;
    if (stealer->hint)
        begin(stealer);
    else
        stealer->state = IPMPI_STEALER_QUIET;
}

void ipmpi_stealer_fed(struct ipmpi_stealer *stealer)
{
    stealer->state = IPMPI_STEALER_FED;
}

void ipmpi_stealer_hint(struct ipmpi_stealer *stealer)
{
    stealer->hint = true;
}

static void answered(struct ipmpi_stealer *stealer, int victim)
{
    if (stealer->asked == victim)
        stealer->asked = -1;
}

void ipmpi_stealer_stalled(struct ipmpi_stealer *stealer)
{
    if (stealer->asked < 0)
        return;
    if (stealer->nsilent == IPMPI_SILENT_CAP)
        drop_silent(stealer, 0);
    stealer->silent[stealer->nsilent++] = stealer->asked;
    stealer->asked = -1;
    if (stealer->state == IPMPI_STEALER_SEEKING)
        seek(stealer);
}

void ipmpi_stealer_refused(struct ipmpi_stealer *stealer, int victim)
{
    heard(stealer, victim);
    if (stealer->asked != victim)
        return;
    stealer->nrefused++;
    answered(stealer, victim);
    if (stealer->state == IPMPI_STEALER_SEEKING)
        seek(stealer);
}

/* Where some was, there may be more: the next time it runs dry, too. */
void ipmpi_stealer_got(struct ipmpi_stealer *stealer, int victim, size_t n)
{
    heard(stealer, victim);
    answered(stealer, victim);
    stealer->ngot += n;
    stealer->hint = true;
    stealer->state = IPMPI_STEALER_FED;
}

void ipmpi_stealer_woken(struct ipmpi_stealer *stealer, int member)
{
    heard(stealer, member);
    stealer->next = member;
    stealer->hint = true;
    if (stealer->state == IPMPI_STEALER_QUIET)
        ipmpi_stealer_dry(stealer);
}

void ipmpi_stealer_died(struct ipmpi_stealer *stealer, int member)
{
    ipmpi_seating_leave(stealer->seating, member);
    ipmpi_lifelines_cut(&stealer->lifelines, member);
    ipmpi_stealer_refused(stealer, member);
}

/* ---- the victim ----------------------------------------------------- */

void ipmpi_stealer_asked(struct ipmpi_stealer *stealer, int thief)
{
    const size_t n =
        stealer->off ? 0 : stealer->actions.give(stealer->actions.ctx, thief);

    heard(stealer, thief);
    stealer->ngiven += n;
    if (n > 0)
        return;
    ipmpi_lifelines_tie(&stealer->lifelines, thief);
    stealer->actions.refuse(stealer->actions.ctx, thief);
}

void ipmpi_stealer_surplus(struct ipmpi_stealer *stealer)
{
    int member;

    while (!stealer->off &&
           (member = ipmpi_lifelines_next(&stealer->lifelines)) >= 0)
        stealer->actions.wake(stealer->actions.ctx, member);
}

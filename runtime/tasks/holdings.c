/* Lists of what is held.
 *
 * Invariant: a task is in the list of held->holder, and in no other. */
#include "runtime/tasks/holdings.h"

#include <utlist.h>

#include "runtime/base/error.h"

void ipmpi_hold(struct ipmpi_holder *holder, struct ipmpi_held *held)
{
    IPMPI_ASSERT(held->holder == NULL && !holder->gone);
    held->holder = holder;
    DL_APPEND(holder->first, held);
    holder->n++;
}

void ipmpi_release(struct ipmpi_held *held)
{
    struct ipmpi_holder *holder = held->holder;

    if (holder == NULL)
        return;
    DL_DELETE(holder->first, held);
    holder->n--;
    held->holder = NULL;
    held->started = false;
}

enum ipmpi_handover ipmpi_hand_over(struct ipmpi_held *held,
                                    struct ipmpi_holder *victim,
                                    struct ipmpi_holder *thief)
{
    /* A victim lets go only of what it has not begun. */
    if (held->holder == NULL || held->holder != victim || held->started)
        return IPMPI_HANDOVER_STALE;
    ipmpi_release(held);
    if (thief == NULL || thief->gone || held->withdrawn)
        return IPMPI_HANDOVER_BACK;
    ipmpi_hold(thief, held);
    return IPMPI_HANDOVER_GRANTED;
}

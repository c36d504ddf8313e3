/* A short list. */
#include "runtime/tasks/lifelines.h"

#include <string.h>

/* A member with more bits than another is its neighbour by clearing one, so
 * all are connected also where n is no power of two. */
void ipmpi_lifelines_init(struct ipmpi_lifelines *lifelines, int self, int n)
{
    lifelines->n = 0;
    for (int bit = 1; bit < n; bit <<= 1) {
        if ((self ^ bit) < n)
            lifelines->at[lifelines->n++] = self ^ bit;
    }
}

static void remove_at(struct ipmpi_lifelines *lifelines, int i)
{
    lifelines->n--;
    memmove(&lifelines->at[i], &lifelines->at[i + 1],
            (size_t)(lifelines->n - i) * sizeof(lifelines->at[0]));
}

void ipmpi_lifelines_cut(struct ipmpi_lifelines *lifelines, int member)
{
    for (int i = 0; i < lifelines->n; i++) {
        if (lifelines->at[i] == member) {
            remove_at(lifelines, i);
            return;
        }
    }
}

void ipmpi_lifelines_tie(struct ipmpi_lifelines *lifelines, int member)
{
    ipmpi_lifelines_cut(lifelines, member);
    if (lifelines->n == IPMPI_LIFELINES_CAP)
        remove_at(lifelines, 0);
    lifelines->at[lifelines->n++] = member;
}

int ipmpi_lifelines_next(struct ipmpi_lifelines *lifelines)
{
    int member = -1;

    if (lifelines->n > 0) {
        member = lifelines->at[0];
        remove_at(lifelines, 0);
    }
    return member;
}

/* Recursive doubling: in round k members that differ in bit k exchange what
 * they have (Thakur, Rabenseifner, Gropp 2005, section 4.5); for small data.
 * The members past the largest power of two give theirs to a partner first and
 * get the result from it last.
 * Cost: lg p rounds (+ 2) of latency + n bytes + n operations. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

static int take_in(struct ipmpi_group *group, void *data, void *room,
                   const struct ipmpi_numbers *numbers, size_t len, int from)
{
    int err = ipmpi_group_receive(group, room, len, from);

    if (err == 0)
        err = ipmpi_group_wait(group, false);
    return err == 0 ? ipmpi_combine(room, data, numbers, numbers->count) : err;
}

/* A member past the power of two: away with it, and back with the result. */
static int stand_aside(struct ipmpi_group *group, void *data, size_t len,
                       int partner)
{
    int err = ipmpi_group_send(group, data, len, partner);

    if (err == 0)
        err = ipmpi_group_wait(group, false);
    if (err == 0)
        err = ipmpi_group_receive(group, data, len, partner);
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

int ipmpi_allreduce_doubling(struct ipmpi_group *group, void *data,
                             const struct ipmpi_numbers *numbers)
{
    const size_t len = numbers->count * ipmpi_number_size(numbers->number);
    const int n = group->n, me = group->me;
    void *room = ipmpi_group_alloc(group, len);
    int power = 1, err = 0;

    if (room == NULL)
        return IPMPI_ENOMEM;
    while (2 * power <= n)
        power *= 2;
    if (me >= power)
        return stand_aside(group, data, len, me - power);
    if (me + power < n)
        err = take_in(group, data, room, numbers, len, me + power);
    for (int step = 1; step < power && err == 0; step *= 2) {
        err = ipmpi_group_exchange(group, data, len, me ^ step, room, len,
                                   me ^ step);
        if (err == 0)
            err = ipmpi_combine(room, data, numbers, numbers->count);
    }
    if (err == 0 && me + power < n)
        err = ipmpi_group_send(group, data, len, me + power);
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}

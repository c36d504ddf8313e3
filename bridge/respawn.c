/* The pace of replacement. */
#include "bridge/respawn.h"

#include "runtime/base/log.h"

#define PAUSE_US  ((int64_t)2 * 1000 * 1000)
#define MINUTE_US ((int64_t)60 * 1000 * 1000)

void ipmpi_respawn_lost(struct ipmpi_respawn *respawn)
{
    respawn->missing++;
}

/* When it was done for the k-th last time. */
static int64_t done_us(const struct ipmpi_respawn *respawn, unsigned k)
{
    return respawn->times_us[(respawn->n - k) % IPMPI_RESPAWN_MOST];
}

int64_t ipmpi_respawn_deadline_us(const struct ipmpi_respawn *respawn)
{
    int64_t pause_us, minute_us;

    if (respawn->missing == 0)
        return INT64_MAX;
    if (respawn->n == 0)
        return 0;
    pause_us = done_us(respawn, 1) + PAUSE_US;
    if (respawn->n < IPMPI_RESPAWN_MOST)
        return pause_us;
    minute_us = done_us(respawn, IPMPI_RESPAWN_MOST) + MINUTE_US;
    return pause_us > minute_us ? pause_us : minute_us;
}

static void complain(struct ipmpi_respawn *respawn, int64_t wait_us)
{
    if (wait_us > PAUSE_US && !respawn->complained)
        ipmpi_log_warn("BRIDGE-RESPAWN",
                       "engines died %d times within a minute; the next are "
                       "replaced in %d s",
                       IPMPI_RESPAWN_MOST + 1, (int)(wait_us / 1000000));
    respawn->complained = wait_us > PAUSE_US;
}

int ipmpi_respawn_take(struct ipmpi_respawn *respawn, int64_t now_us)
{
    const int missing = respawn->missing;
    const int64_t due_us = ipmpi_respawn_deadline_us(respawn);

    if (missing == 0)
        return 0;
    complain(respawn, due_us - now_us);
    if (due_us > now_us)
        return 0;
    respawn->missing = 0;
    respawn->times_us[respawn->n++ % IPMPI_RESPAWN_MOST] = now_us;
    return missing;
}

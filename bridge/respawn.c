/* The pace of replacement. */
#include "bridge/respawn.h"

#include "runtime/base/log.h"

#define PAUSE_US  ((int64_t)2 * 1000 * 1000)
#define MINUTE_US ((int64_t)60 * 1000 * 1000)

void ipmpi_respawn_lost(struct ipmpi_respawn *respawn)
{
    if (!respawn->given_up)
        respawn->missing++;
}

static int64_t last_us(const struct ipmpi_respawn *respawn)
{
    return respawn
        ->times_us[(respawn->n + IPMPI_RESPAWN_MOST - 1) % IPMPI_RESPAWN_MOST];
}

int64_t ipmpi_respawn_deadline_us(const struct ipmpi_respawn *respawn)
{
    if (respawn->missing == 0)
        return INT64_MAX;
    return respawn->n == 0 ? 0 : last_us(respawn) + PAUSE_US;
}

int ipmpi_respawn_take(struct ipmpi_respawn *respawn, int64_t now_us)
{
    int64_t *oldest = &respawn->times_us[respawn->n % IPMPI_RESPAWN_MOST];
    const int missing = respawn->missing;

    if (ipmpi_respawn_deadline_us(respawn) > now_us)
        return 0;
    respawn->missing = 0;
    if (respawn->n >= IPMPI_RESPAWN_MOST && now_us - *oldest < MINUTE_US) {
        respawn->given_up = true;
        ipmpi_log_error("BRIDGE-RESPAWN",
                        "engines died %d times within a minute; they are not "
                        "replaced any more",
                        IPMPI_RESPAWN_MOST + 1);
        return 0;
    }
    *oldest = now_us;
    respawn->n++;
    return missing;
}

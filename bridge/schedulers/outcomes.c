/* The memory of how tasks ended. uthash keeps the order of insertion, so its
 * first element is the oldest. */
#include "bridge/schedulers/outcomes.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

static void drop(struct ipmpi_outcomes *outcomes, struct ipmpi_outcome *outcome)
{
    HASH_DEL(outcomes->by_id, outcome);
    free(outcome);
}

int ipmpi_outcomes_add(struct ipmpi_outcomes *outcomes, const char *msg_id,
                       bool ok, int engine_id)
{
    const size_t len = strlen(msg_id);
    struct ipmpi_outcome *outcome = calloc(1, sizeof(*outcome) + len + 1);

    if (outcome == NULL)
        return IPMPI_ENOMEM;
    memcpy(outcome->msg_id, msg_id, len + 1);
    outcome->ok = ok;
    outcome->engine_id = engine_id;
    if (HASH_COUNT(outcomes->by_id) >= IPMPI_OUTCOMES_CAP)
        drop(outcomes, outcomes->by_id);
    HASH_ADD_KEYPTR(hh, outcomes->by_id, outcome->msg_id, len, outcome);
    return 0;
}

const struct ipmpi_outcome *
ipmpi_outcomes_find(const struct ipmpi_outcomes *outcomes, const char *msg_id)
{
    struct ipmpi_outcome *found;

    HASH_FIND_STR(outcomes->by_id, msg_id, found);
    return found;
}

void ipmpi_outcomes_clear(struct ipmpi_outcomes *outcomes)
{
    while (outcomes->by_id != NULL)
        drop(outcomes, outcomes->by_id);
}

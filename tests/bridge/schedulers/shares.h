/* For tests of broadcasts: work of one engine beside theirs, and the reply of
 * one share. */
#ifndef IPMPI_TESTS_SCHEDULERS_SHARES_H
#define IPMPI_TESTS_SCHEDULERS_SHARES_H

#include <stdio.h>

#include "bridge/schedulers/direct.h"
#include "tests/bridge/fake_hub.h"

static inline void submit_direct(struct fake_hub *fake, const char *msg_id,
                                 struct ipmpi_engine *engine)
{
    struct ipmpi_request *request =
        fake_request(fake, "apply_request", msg_id, engine->uuid, NULL, NULL);

    ipmpi_direct_submit(&fake->hub, request);
    ipmpi_request_release(&request);
}

/* The engine's share of this broadcast has gone well. */
static inline void reply_share(struct fake_hub *fake, const char *msg_id,
                               const struct ipmpi_engine *engine)
{
    char id[128];

    snprintf(id, sizeof(id), "%s_%s", msg_id, engine->uuid);
    fake_reply(fake, id, IPMPI_STATUS_OK);
}

#endif

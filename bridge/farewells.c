/* Farewells that wait: in order of their time, since all wait equally long. */
#include "bridge/farewells.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Replies and news travel by two sockets of a client, which it reads in any
 * order (compat 4: 20 to 50 ms). */
enum { REPLIES_US = 30 * 1000 };

struct ipmpi_farewell {
    int id;
    char uuid[IPMPI_UUID_LEN + 1];
    int64_t due_us;
    struct ipmpi_farewell *next;
};

void ipmpi_farewells_say(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                         bool replies_first)
{
    struct ipmpi_farewell *farewell =
        replies_first ? malloc(sizeof(*farewell)) : NULL;

    if (farewell == NULL) {
        engine->said_gone = true;
        ipmpi_hub_notify_unregistration(hub, engine->id, engine->uuid);
        return;
    }
    farewell->id = engine->id;
    memcpy(farewell->uuid, engine->uuid, sizeof(farewell->uuid));
    farewell->due_us = hub->out.now_us(hub->out.ctx) + REPLIES_US;
    LL_APPEND(hub->farewells, farewell);
}

static void say_until(struct ipmpi_hub *hub, int64_t time_us)
{
    while (hub->farewells != NULL && hub->farewells->due_us <= time_us) {
        struct ipmpi_farewell *farewell = hub->farewells;

        LL_DELETE(hub->farewells, farewell);
        ipmpi_hub_notify_unregistration(hub, farewell->id, farewell->uuid);
        free(farewell);
    }
}

void ipmpi_farewells_turn(struct ipmpi_hub *hub)
{
    if (hub->farewells != NULL)
        say_until(hub, hub->out.now_us(hub->out.ctx));
}

void ipmpi_farewells_hurry(struct ipmpi_hub *hub)
{
    say_until(hub, INT64_MAX);
}

int64_t ipmpi_farewells_deadline_us(const struct ipmpi_hub *hub)
{
    return hub->farewells != NULL ? hub->farewells->due_us : INT64_MAX;
}

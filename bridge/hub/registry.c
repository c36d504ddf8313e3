/* The table of engines.
 *
 * Invariant: an engine is in all three hashes or in none; by_id is in
 * ascending order because ids are given in ascending order. */
#include "bridge/hub/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "runtime/base/error.h"

static void make_uuid(char uuid[IPMPI_UUID_LEN + 1])
{
    uint8_t bytes[16];
    size_t at = 0;

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        abort(); /* cannot happen: 16 bytes are never interrupted */
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (i == 4)
            uuid[at++] = '-';
        at += (size_t)snprintf(uuid + at, 3, "%02x", bytes[i]);
    }
}

static int make_name(struct ipmpi_engine *engine)
{
    struct ipmpi_buffer *copy;
    int err = ipmpi_buffer_alloc(IPMPI_UUID_LEN, &copy);

    if (err != 0)
        return err;
    memcpy(ipmpi_buffer_data(copy), engine->uuid, IPMPI_UUID_LEN);
    engine->name =
        (struct ipmpi_frame){ipmpi_buffer_data(copy), IPMPI_UUID_LEN, copy};
    return 0;
}

int ipmpi_registry_add(struct ipmpi_registry *registry, int rank, int id,
                       struct ipmpi_engine **engine_out)
{
    struct ipmpi_engine *engine;

    if (id < 0)
        id = registry->next_id;
    if (id < registry->next_id)
        return IPMPI_EEXIST;
    engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        return IPMPI_ENOMEM;
    make_uuid(engine->uuid);
    if (make_name(engine) != 0) {
        free(engine);
        return IPMPI_ENOMEM;
    }
    engine->id = id;
    engine->rank = rank;
    registry->next_id = id + 1;
    HASH_ADD(by_id, registry->by_id, id, sizeof(int), engine);
    HASH_ADD(by_rank, registry->by_rank, rank, sizeof(int), engine);
    HASH_ADD(by_uuid, registry->by_uuid, uuid, IPMPI_UUID_LEN, engine);
    *engine_out = engine;
    return 0;
}

void ipmpi_registry_ready(struct ipmpi_registry *registry,
                          struct ipmpi_engine *engine)
{
    IPMPI_ASSERT(engine->state == IPMPI_ENGINE_JOINING);
    engine->state = IPMPI_ENGINE_LIVE;
    registry->nlive++;
}

void ipmpi_registry_gone(struct ipmpi_registry *registry,
                         struct ipmpi_engine *engine)
{
    if (ipmpi_engine_is_known(engine))
        registry->nlive--;
    engine->state = IPMPI_ENGINE_GONE;
    engine->sent.gone = true;
}

void ipmpi_registry_remove(struct ipmpi_registry *registry,
                           struct ipmpi_engine **engine)
{
    struct ipmpi_engine *e = *engine;

    IPMPI_ASSERT(e->waiting == NULL && e->sent.n == 0);
    ipmpi_registry_gone(registry, e);
    HASH_DELETE(by_id, registry->by_id, e);
    HASH_DELETE(by_rank, registry->by_rank, e);
    HASH_DELETE(by_uuid, registry->by_uuid, e);
    for (size_t i = 0; i < e->nrecent; i++)
        free(e->recent[i]);
    free(e->recent);
    ipmpi_buffer_release(&e->name.owner);
    free(e);
    *engine = NULL;
}

void ipmpi_registry_clear(struct ipmpi_registry *registry)
{
    struct ipmpi_engine *e, *next;

    HASH_ITER (by_id, registry->by_id, e, next) {
        e->sent = (struct ipmpi_holder){0};
        e->waiting = NULL; /* whoever clears answers nobody */
        ipmpi_registry_remove(registry, &e);
    }
}

bool ipmpi_engine_is_known(const struct ipmpi_engine *engine)
{
    return engine->state == IPMPI_ENGINE_LIVE ||
           engine->state == IPMPI_ENGINE_LEAVING;
}

struct ipmpi_engine *
ipmpi_registry_by_rank(const struct ipmpi_registry *registry, int rank)
{
    struct ipmpi_engine *found;

    HASH_FIND(by_rank, registry->by_rank, &rank, sizeof(rank), found);
    return found;
}

static struct ipmpi_engine *if_known(struct ipmpi_engine *engine)
{
    return engine != NULL && ipmpi_engine_is_known(engine) ? engine : NULL;
}

struct ipmpi_engine *ipmpi_registry_by_id(const struct ipmpi_registry *registry,
                                          int id)
{
    struct ipmpi_engine *found;

    HASH_FIND(by_id, registry->by_id, &id, sizeof(id), found);
    return if_known(found);
}

struct ipmpi_engine *
ipmpi_registry_by_uuid(const struct ipmpi_registry *registry, const void *uuid,
                       size_t len)
{
    struct ipmpi_engine *found;

    if (len != IPMPI_UUID_LEN)
        return NULL;
    HASH_FIND(by_uuid, registry->by_uuid, uuid, len, found);
    return if_known(found);
}

bool ipmpi_registry_had(const struct ipmpi_registry *registry, int id)
{
    return id >= 0 && id < registry->next_id &&
           ipmpi_registry_by_id(registry, id) == NULL;
}

/* Doubles its room: there are many engines, and most tasks are elsewhere. */
static void make_room(struct ipmpi_engine *engine)
{
    const size_t n = engine->nrecent > 0 ? 2 * engine->nrecent : 16;
    char **grown = reallocarray(engine->recent, n, sizeof(*grown));

    if (grown == NULL)
        return; /* it remembers no more than it does */
    memset(grown + engine->nrecent, 0, (n - engine->nrecent) * sizeof(*grown));
    engine->recent = grown;
    engine->nrecent = n;
}

void ipmpi_engine_completed(struct ipmpi_engine *engine, const char *msg_id)
{
    const size_t i = engine->ncompleted++ % IPMPI_RECENT_CAP;

    if (i == engine->nrecent)
        make_room(engine);
    if (i >= engine->nrecent)
        return;
    free(engine->recent[i]);
    engine->recent[i] = strdup(msg_id);
}

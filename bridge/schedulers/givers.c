/* Levels of givers.
 *
 * Invariant: an engine is in the level that engine->giver_level names, in none
 *            if that is 0. */
#include "bridge/schedulers/givers.h"

#include <utlist.h>

/* A thief that is content with another world's engine looks at no more. */
enum { LOOK_AT_MOST = 64 };

static int level_of(const struct ipmpi_engine *engine)
{
    if (engine->nstealable == 0 || engine->sent.n < 2 || engine->emptied)
        return 0;
    return engine->nstealable < IPMPI_GIVER_LEVELS ? (int)engine->nstealable
                                                   : IPMPI_GIVER_LEVELS - 1;
}

void ipmpi_givers_note(struct ipmpi_hub *hub, struct ipmpi_engine *engine)
{
    struct ipmpi_engine **levels = hub->sharing.givers;
    const int level = level_of(engine);

    if (level == engine->giver_level)
        return;
    if (engine->giver_level > 0)
        DL_DELETE2(levels[engine->giver_level], engine, giver_prev, giver_next);
    engine->giver_level = level;
    if (level > 0)
        DL_APPEND2(levels[level], engine, giver_prev, giver_next);
}

struct ipmpi_engine *ipmpi_givers_choose(const struct ipmpi_hub *hub,
                                         const struct ipmpi_engine *thief)
{
    struct ipmpi_engine *engine, *best = NULL;
    int looked = 0;

    for (int level = IPMPI_GIVER_LEVELS - 1; level > 0; level--) {
        DL_FOREACH2(hub->sharing.givers[level], engine, giver_next)
        {
            if (engine == thief || engine->state != IPMPI_ENGINE_LIVE)
                continue;
            if (engine->world == thief->world)
                return engine;
            if (best == NULL)
                best = engine;
            if (++looked == LOOK_AT_MOST)
                return best;
        }
    }
    return best;
}

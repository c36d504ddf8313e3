/* Dependencies: parsing and predicates. With C the completed and F the failed
 * tasks, D the ids:
 *   met          A = (C if success) + (F if failure); all: D within A,
 *                any: D meets A
 *   unreachable  B = (C unless success) + (F unless failure); all: D meets B,
 *                any: D within B */
#include "bridge/schedulers/dependency.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

static bool flag(const json_t *object, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(object, name);

    return value == NULL ? otherwise : json_is_true(value);
}

int ipmpi_dependency_parse(const json_t *value,
                           struct ipmpi_dependency *dependency_out)
{
    struct ipmpi_dependency d = {.all = true, .success = true};
    const json_t *list = value, *item;
    size_t i;

    if (value == NULL || json_is_null(value)) {
        *dependency_out = d;
        return 0;
    }
    if (json_is_object(value)) {
        list = json_object_get(value, "dependencies");
        d.all = flag(value, "all", true);
        d.success = flag(value, "success", true);
        d.failure = flag(value, "failure", false);
    }
    if (!json_is_array(list))
        return IPMPI_EJSON;
    d.ids = calloc(json_array_size(list) + 1, sizeof(*d.ids));
    if (d.ids == NULL)
        return IPMPI_ENOMEM;
    json_array_foreach(list, i, item)
    {
        const char *id = json_string_value(item);

        if (id == NULL || (d.ids[d.n] = strdup(id)) == NULL) {
            ipmpi_dependency_clear(&d);
            return id == NULL ? IPMPI_EJSON : IPMPI_ENOMEM;
        }
        d.n++;
    }
    *dependency_out = d;
    return 0;
}

void ipmpi_dependency_clear(struct ipmpi_dependency *dependency)
{
    for (size_t i = 0; i < dependency->n; i++)
        free(dependency->ids[i]);
    free(dependency->ids);
    *dependency = (struct ipmpi_dependency){0};
}

bool ipmpi_dependency_has(const struct ipmpi_dependency *dependency,
                          const char *msg_id)
{
    for (size_t i = 0; i < dependency->n; i++) {
        if (strcmp(dependency->ids[i], msg_id) == 0)
            return true;
    }
    return false;
}

/* How many of the ids ended in a way that counts. */
static size_t count(const struct ipmpi_dependency *d,
                    const struct ipmpi_outcomes *outcomes, int engine_id,
                    bool completed, bool failed)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++) {
        const struct ipmpi_outcome *o =
            ipmpi_outcomes_find(outcomes, d->ids[i]);

        if (o == NULL || (engine_id >= 0 && o->engine_id != engine_id))
            continue;
        n += o->ok ? completed : failed;
    }
    return n;
}

bool ipmpi_dependency_met(const struct ipmpi_dependency *dependency,
                          const struct ipmpi_outcomes *outcomes, int engine_id)
{
    size_t n;

    if (dependency->n == 0)
        return true;
    n = count(dependency, outcomes, engine_id, dependency->success,
              dependency->failure);
    return dependency->all ? n == dependency->n : n > 0;
}

bool ipmpi_dependency_unreachable(const struct ipmpi_dependency *dependency,
                                  const struct ipmpi_outcomes *outcomes)
{
    size_t n;

    if (dependency->n == 0)
        return false;
    n = count(dependency, outcomes, -1, !dependency->success,
              !dependency->failure);
    return dependency->all ? n > 0 : n == dependency->n;
}

bool ipmpi_dependency_scattered(const struct ipmpi_dependency *dependency,
                                const struct ipmpi_outcomes *outcomes)
{
    int seen = -1;

    for (size_t i = 0; i < dependency->n; i++) {
        const struct ipmpi_outcome *o =
            ipmpi_outcomes_find(outcomes, dependency->ids[i]);

        if (o == NULL || o->engine_id < 0 ||
            !(o->ok ? dependency->success : dependency->failure))
            continue;
        if (seen >= 0 && o->engine_id != seen)
            return true;
        seen = o->engine_id;
    }
    return false;
}

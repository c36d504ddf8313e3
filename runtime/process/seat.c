/* Asks hwloc, whose one door this is. */
#include "runtime/process/seat.h"

#include <hwloc.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

/* Whether the process may not run on all cores. */
static bool is_bound(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 &&
           CPU_COUNT(&set) < sysconf(_SC_NPROCESSORS_ONLN);
}

static int32_t number_of(hwloc_obj_t object)
{
    return object != NULL ? (int32_t)object->logical_index : -1;
}

/* The outermost cache around `object` that has several cores. */
static hwloc_obj_t shared_cache(hwloc_obj_t object)
{
    hwloc_obj_t found = NULL;

    for (; object != NULL; object = object->parent) {
        if (hwloc_obj_type_is_cache(object->type) && object->arity > 1)
            found = object;
    }
    return found;
}

static void look_up(hwloc_topology_t topology, int32_t *package_out,
                    int32_t *cache_out)
{
    hwloc_cpuset_t set = hwloc_bitmap_alloc();
    hwloc_obj_t object = NULL, package;

    if (set != NULL &&
        hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) == 0)
        object = hwloc_get_obj_covering_cpuset(topology, set);
    package = object;
    while (package != NULL && package->type != HWLOC_OBJ_PACKAGE)
        package = package->parent;
    *package_out = number_of(package);
    *cache_out = number_of(shared_cache(object));
    hwloc_bitmap_free(set);
}

void ipmpi_seat_find(int32_t *package_out, int32_t *cache_out)
{
    hwloc_topology_t topology;

    *package_out = *cache_out = -1;
    if (!is_bound() || hwloc_topology_init(&topology) != 0)
        return;
    if (hwloc_topology_load(topology) == 0)
        look_up(topology, package_out, cache_out);
    hwloc_topology_destroy(topology);
}

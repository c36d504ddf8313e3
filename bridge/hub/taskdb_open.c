/* Which back end a task database has. */
#include "bridge/hub/taskdb_ops.h"

#include "runtime/base/error.h"

#define RECORD_LIMIT 1024
#define SIZE_LIMIT   ((size_t)1 << 30)

int ipmpi_taskdb_open(const struct ipmpi_taskdb_options *options,
                      struct ipmpi_taskdb **db_out)
{
    struct ipmpi_taskdb_options o = *options;

    if (o.record_limit == 0)
        o.record_limit = RECORD_LIMIT;
    if (o.size_limit == 0)
        o.size_limit = SIZE_LIMIT;
    switch (o.kind) {
    case IPMPI_TASKDB_MEMORY:
        return ipmpi_taskdb_memory_open(&o, db_out);
    case IPMPI_TASKDB_SQLITE:
        return ipmpi_taskdb_sqlite_open(&o, db_out);
    case IPMPI_TASKDB_NONE:
        return ipmpi_taskdb_none_open(&o, db_out);
    }
    return IPMPI_EINVAL;
}

/* Which engine gets a task: the schemes of compat 6.5, over engines in order
 * of least recent use.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_SCHEME_H
#define IPMPI_SCHEDULERS_SCHEME_H

#include <stdbool.h>

#include "bridge/schedulers/slots.h"
#include "runtime/base/options.h"

typedef bool ipmpi_slot_filter_fn(void *ctx, const struct ipmpi_slot *slot);

/* Chooses among the free engines that `fits` accepts (NULL: all of them);
 * NULL if there is none. */
struct ipmpi_slot *ipmpi_scheme_choose(struct ipmpi_slots *slots,
                                       enum ipmpi_scheme scheme,
                                       ipmpi_slot_filter_fn *fits, void *ctx);

#endif

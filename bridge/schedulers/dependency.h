/* Dependencies of tasks on other tasks: compat 6.1 and 6.3.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_DEPENDENCY_H
#define IPMPI_SCHEDULERS_DEPENDENCY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "bridge/schedulers/outcomes.h"

struct ipmpi_dependency {
    char **ids;
    size_t n;
    bool all;     /* of the ids, else any one */
    bool success; /* completed ones count as met */
    bool failure; /* failed ones count as met */
};

/* Reads a list of msg_ids or a dependency object (lent; NULL or null: none).
 * IPMPI_EJSON: not of that shape. IPMPI_ENOMEM. On failure nothing is to be
 * cleared. */
int ipmpi_dependency_parse(const json_t *value,
                           struct ipmpi_dependency *dependency_out);
void ipmpi_dependency_clear(struct ipmpi_dependency *dependency);

bool ipmpi_dependency_has(const struct ipmpi_dependency *dependency,
                          const char *msg_id);

/* Whether it is met, by what ran on one engine (or, with -1, anywhere). */
bool ipmpi_dependency_met(const struct ipmpi_dependency *dependency,
                          const struct ipmpi_outcomes *outcomes, int engine_id);

/* Whether nothing that may still come can meet it. */
bool ipmpi_dependency_unreachable(const struct ipmpi_dependency *dependency,
                                  const struct ipmpi_outcomes *outcomes);

/* Whether the ids that count as met ran on more than one engine. */
bool ipmpi_dependency_scattered(const struct ipmpi_dependency *dependency,
                                const struct ipmpi_outcomes *outcomes);

#endif

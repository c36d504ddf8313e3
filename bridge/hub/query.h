/* The query language of db_request (compat 11.3): an object of field: value,
 * or field: {operator: operand, ..}; a record matches if all conditions hold.
 *
 *   $eq $ne         equality, null equals null; a bare value means $eq
 *   $lt $lte $gt $gte  order; null on either side never matches
 *   $in $nin        member of a list, or part of a text, or not
 *   $glob           shell pattern (glob.h); null never matches
 *   $all            each element is in the value: a substring of a text, a key
 *                   of an object; an element that is a list has the value as
 *                   a member
 *   $mod            [divisor, remainder], for numbers
 *   $exists         not null if the operand is true, null otherwise
 *
 * A field that records do not have is null. Dates are compared as instants;
 * header, content and the like are objects and equal or not as a whole.
 *
 * Threads: a compiled query never changes, any one thread at a time. */
#ifndef IPMPI_HUB_QUERY_H
#define IPMPI_HUB_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "bridge/hub/hub_error.h"
#include "bridge/hub/record.h"

struct ipmpi_query; /* opaque */

/* `query` is lent (NULL: matches everything). On failure the error is what
 * the client is told; IPMPI_EINVAL or IPMPI_ENOMEM. */
int ipmpi_query_create(const json_t *query, struct ipmpi_query **query_out,
                       struct ipmpi_hub_error *error);
void ipmpi_query_destroy(struct ipmpi_query **query);

/* Needs only the fields that ipmpi_query_fields tells; of buffers, only
 * whether there are any. */
bool ipmpi_query_matches(const struct ipmpi_query *query,
                         const struct ipmpi_record *record);

uint32_t ipmpi_query_fields(const struct ipmpi_query *query);

/* Whether only records with certain msg_ids can match; if so, lends the array
 * of ids (JSON strings and other values, which match none). */
bool ipmpi_query_ids(const struct ipmpi_query *query, const json_t **ids_out);

/* The set of fields that "keys" asks for: always msg_id; everything but
 * buffers for null, NULL or []. IPMPI_EINVAL with the error otherwise. */
int ipmpi_query_keys(const json_t *keys, uint32_t *fields_out,
                     struct ipmpi_hub_error *error);

#endif

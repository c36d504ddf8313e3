/* What a query is compiled to; for query.c and query_match.c only. */
#ifndef IPMPI_HUB_QUERY_CONDITION_H
#define IPMPI_HUB_QUERY_CONDITION_H

#include "bridge/hub/query.h"

enum ipmpi_query_op {
    IPMPI_OP_EQ,
    IPMPI_OP_NE,
    IPMPI_OP_LT, /* the four orders stay together */
    IPMPI_OP_LTE,
    IPMPI_OP_GT,
    IPMPI_OP_GTE,
    IPMPI_OP_IN,
    IPMPI_OP_NIN,
    IPMPI_OP_GLOB,
    IPMPI_OP_ALL,
    IPMPI_OP_MOD,
    IPMPI_OP_EXISTS,
};

struct ipmpi_condition {
    int field; /* -1: records have no such field, so it is null */
    enum ipmpi_query_op op;
    json_t *arg;  /* borrows from the query's source */
    bool is_date; /* the field is a date, and so is arg */
    int64_t date_us;
    /* $in, $nin: members of the list that the field's kind can equal, sorted */
    json_t **texts;
    int64_t *dates;
    size_t ntexts, ndates;
    bool has_null;
};

struct ipmpi_query {
    json_t *source; /* our copy */
    struct ipmpi_condition *conditions;
    size_t n;
    uint32_t fields;
    json_t *ids; /* the only msg_ids that can match; NULL: any */
};

/* Order of UTF-8 texts: that of their code points, as in Python. */
int ipmpi_query_compare(const void *a, size_t a_len, const void *b,
                        size_t b_len);

#endif

/* Compiling queries: names become numbers, dates instants, lists are sorted
 * for searching, and what Python would refuse is refused here, once. */
#include "bridge/hub/query_condition.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/message/date.h"

static const struct {
    const char *name;
    enum ipmpi_query_op op;
} operators[] = {
    {"$eq", IPMPI_OP_EQ},     {"$ne", IPMPI_OP_NE},
    {"$lt", IPMPI_OP_LT},     {"$lte", IPMPI_OP_LTE},
    {"$gt", IPMPI_OP_GT},     {"$gte", IPMPI_OP_GTE},
    {"$in", IPMPI_OP_IN},     {"$nin", IPMPI_OP_NIN},
    {"$glob", IPMPI_OP_GLOB}, {"$all", IPMPI_OP_ALL},
    {"$mod", IPMPI_OP_MOD},   {"$exists", IPMPI_OP_EXISTS},
};

static const char *python_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "dict";
    case JSON_ARRAY:
        return "list";
    case JSON_STRING:
        return "str";
    case JSON_INTEGER:
        return "int";
    case JSON_REAL:
        return "float";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_NULL:
        break;
    }
    return "NoneType";
}

static const char *field_type(int field)
{
    switch (ipmpi_fields[field].kind) {
    case IPMPI_FIELD_DATE:
        return "datetime.datetime";
    case IPMPI_FIELD_JSON:
        return "dict";
    case IPMPI_FIELD_BUFFERS:
        return "list";
    case IPMPI_FIELD_TEXT:
    case IPMPI_FIELD_OUTPUT:
        break;
    }
    return "str";
}

static bool is_date_field(int field)
{
    return field >= 0 && ipmpi_fields[field].kind == IPMPI_FIELD_DATE;
}

static bool parse_date(const json_t *value, int64_t *us_out)
{
    return json_is_string(value) &&
           ipmpi_date_parse(json_string_value(value), json_string_length(value),
                            us_out) == 0;
}

int ipmpi_query_compare(const void *a, size_t a_len, const void *b,
                        size_t b_len)
{
    const size_t n = a_len < b_len ? a_len : b_len;
    const int order = n > 0 ? memcmp(a, b, n) : 0;

    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int by_text(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;

    return ipmpi_query_compare(json_string_value(x), json_string_length(x),
                               json_string_value(y), json_string_length(y));
}

static int by_date(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* $in and $nin: sorts the members that the field can be equal to. */
static int compile_list(struct ipmpi_condition *c,
                        struct ipmpi_hub_error *error)
{
    const size_t n = json_array_size(c->arg);

    if (json_is_string(c->arg))
        return 0; /* no list: the field is looked for in the text */
    if (!json_is_array(c->arg)) {
        ipmpi_hub_error_set(error, "TypeError",
                            "argument of type '%s' is not iterable",
                            python_type(c->arg));
        return IPMPI_EINVAL;
    }
    c->texts = calloc(n + 1, sizeof(*c->texts));
    c->dates = calloc(n + 1, sizeof(*c->dates));
    if (c->texts == NULL || c->dates == NULL)
        return IPMPI_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        json_t *member = json_array_get(c->arg, i);

        c->has_null |= json_is_null(member);
        if (is_date_field(c->field))
            c->ndates += parse_date(member, &c->dates[c->ndates]);
        else if (json_is_string(member))
            c->texts[c->ntexts++] = member;
    }
    qsort(c->texts, c->ntexts, sizeof(*c->texts), by_text);
    qsort(c->dates, c->ndates, sizeof(*c->dates), by_date);
    return 0;
}

/* Order: a field and an operand that Python cannot compare are a mistake of
 * the caller; null is not. */
static int compile_order(struct ipmpi_condition *c,
                         struct ipmpi_hub_error *error)
{
    static const char *const symbols[] = {"<", "<=", ">", ">="};
    bool comparable = false;

    if (c->field < 0 || json_is_null(c->arg))
        return 0;
    if (is_date_field(c->field))
        comparable = c->is_date;
    else if (strcmp(field_type(c->field), "str") == 0)
        comparable = json_is_string(c->arg);
    if (comparable)
        return 0;
    ipmpi_hub_error_set(error, "TypeError",
                        "'%s' not supported between instances of '%s' and '%s'",
                        symbols[c->op - IPMPI_OP_LT], field_type(c->field),
                        python_type(c->arg));
    return IPMPI_EINVAL;
}

static int compile_mod(struct ipmpi_condition *c, struct ipmpi_hub_error *error)
{
    const json_t *divisor = json_array_get(c->arg, 0);

    if (json_array_size(c->arg) != 2 || !json_is_integer(divisor) ||
        !json_is_integer(json_array_get(c->arg, 1))) {
        ipmpi_hub_error_set(error, "TypeError",
                            "$mod needs [divisor, remainder], two integers");
        return IPMPI_EINVAL;
    }
    if (json_integer_value(divisor) == 0) {
        ipmpi_hub_error_set(error, "ZeroDivisionError",
                            "integer modulo by zero");
        return IPMPI_EINVAL;
    }
    return 0;
}

static int compile_operand(struct ipmpi_condition *c,
                           struct ipmpi_hub_error *error)
{
    c->is_date = is_date_field(c->field) && parse_date(c->arg, &c->date_us);
    switch (c->op) {
    case IPMPI_OP_LT:
    case IPMPI_OP_LTE:
    case IPMPI_OP_GT:
    case IPMPI_OP_GTE:
        return compile_order(c, error);
    case IPMPI_OP_IN:
    case IPMPI_OP_NIN:
        return compile_list(c, error);
    case IPMPI_OP_MOD:
        return compile_mod(c, error);
    case IPMPI_OP_GLOB:
        if (json_is_string(c->arg))
            return 0;
        ipmpi_hub_error_set(error, "TypeError", "$glob needs a str, not %s",
                            python_type(c->arg));
        return IPMPI_EINVAL;
    case IPMPI_OP_ALL:
        if (json_is_array(c->arg))
            return 0;
        ipmpi_hub_error_set(error, "TypeError", "'%s' object is not iterable",
                            python_type(c->arg));
        return IPMPI_EINVAL;
    case IPMPI_OP_EQ:
    case IPMPI_OP_NE:
    case IPMPI_OP_EXISTS:
        break;
    }
    return 0;
}

/* Notes that only some msg_ids can match, so that nobody reads all records. */
static int note_ids(struct ipmpi_query *q, const struct ipmpi_condition *c)
{
    if (c->field != IPMPI_RECORD_MSG_ID || q->ids != NULL)
        return 0;
    if (c->op == IPMPI_OP_IN && json_is_array(c->arg)) {
        q->ids = json_incref(c->arg);
    } else if (c->op == IPMPI_OP_EQ) {
        q->ids = json_pack("[O]", c->arg);
        if (q->ids == NULL)
            return IPMPI_ENOMEM;
    }
    return 0;
}

static int add_condition(struct ipmpi_query *q, int field,
                         enum ipmpi_query_op op, json_t *arg,
                         struct ipmpi_hub_error *error)
{
    struct ipmpi_condition *c =
        reallocarray(q->conditions, q->n + 1, sizeof(*c));
    int err;

    if (c == NULL)
        return IPMPI_ENOMEM;
    q->conditions = c;
    c += q->n++;
    *c = (struct ipmpi_condition){.field = field, .op = op, .arg = arg};
    err = compile_operand(c, error);
    return err != 0 ? err : note_ids(q, c);
}

static int add_operators(struct ipmpi_query *q, int field, json_t *object,
                         struct ipmpi_hub_error *error)
{
    const size_t noperators = sizeof(operators) / sizeof(operators[0]);
    const char *name;
    json_t *arg;
    int err;

    json_object_foreach(object, name, arg)
    {
        size_t i = 0;

        while (i < noperators && strcmp(operators[i].name, name) != 0)
            i++;
        if (i == noperators) {
            ipmpi_hub_error_key(error, "%s", name);
            return IPMPI_EINVAL;
        }
        err = add_condition(q, field, operators[i].op, arg, error);
        if (err != 0)
            return err;
    }
    return 0;
}

static int compile(struct ipmpi_query *q, struct ipmpi_hub_error *error)
{
    const char *name;
    json_t *value;
    int err = 0;

    json_object_foreach(q->source, name, value)
    {
        const int field = ipmpi_field_find(name, strlen(name));

        if (field >= 0)
            q->fields |= UINT32_C(1) << field;
        if (field == IPMPI_RECORD_RESULT_BUFFERS) /* null until decided */
            q->fields |= IPMPI_FIELD_BIT(COMPLETED);
        if (json_is_object(value))
            err = add_operators(q, field, value, error);
        else
            err = add_condition(q, field, IPMPI_OP_EQ, value, error);
        if (err != 0)
            break;
    }
    return err;
}

int ipmpi_query_create(const json_t *query, struct ipmpi_query **query_out,
                       struct ipmpi_hub_error *error)
{
    struct ipmpi_query *q;
    int err = IPMPI_ENOMEM;

    if (query != NULL && !json_is_object(query)) {
        ipmpi_hub_error_set(error, "TypeError",
                            "the query must be a dict, "
                            "not %s",
                            python_type(query));
        return IPMPI_EINVAL;
    }
    q = calloc(1, sizeof(*q));
    if (q != NULL)
        q->source = query != NULL ? json_deep_copy(query) : json_object();
    if (q != NULL && q->source != NULL)
        err = compile(q, error);
    if (err != 0) {
        if (err == IPMPI_ENOMEM)
            ipmpi_hub_error_from(error, err);
        ipmpi_query_destroy(&q);
        return err;
    }
    *query_out = q;
    return 0;
}

void ipmpi_query_destroy(struct ipmpi_query **query)
{
    struct ipmpi_query *q = *query;

    *query = NULL;
    if (q == NULL)
        return;
    for (size_t i = 0; i < q->n; i++) {
        free(q->conditions[i].texts);
        free(q->conditions[i].dates);
    }
    free(q->conditions);
    json_decref(q->ids);
    json_decref(q->source);
    free(q);
}

uint32_t ipmpi_query_fields(const struct ipmpi_query *query)
{
    return query->fields;
}

bool ipmpi_query_ids(const struct ipmpi_query *query, const json_t **ids_out)
{
    if (query->ids == NULL)
        return false;
    *ids_out = query->ids;
    return true;
}

int ipmpi_query_keys(const json_t *keys, uint32_t *fields_out,
                     struct ipmpi_hub_error *error)
{
    uint32_t fields = IPMPI_FIELD_BIT(MSG_ID);

    if (keys == NULL || json_is_null(keys) ||
        (json_is_array(keys) && json_array_size(keys) == 0)) {
        *fields_out = IPMPI_ALL_FIELDS & ~(IPMPI_FIELD_BIT(BUFFERS) |
                                           IPMPI_FIELD_BIT(RESULT_BUFFERS));
        return 0;
    }
    if (!json_is_array(keys)) {
        ipmpi_hub_error_set(error, "TypeError", "keys must be a list, not %s",
                            python_type(keys));
        return IPMPI_EINVAL;
    }
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        const int field = json_is_string(key)
                              ? ipmpi_field_find(json_string_value(key),
                                                 json_string_length(key))
                              : -1;

        if (field < 0) {
            ipmpi_hub_error_key(error, "%s",
                                json_is_string(key) ? json_string_value(key)
                                                    : python_type(key));
            return IPMPI_EINVAL;
        }
        fields |= UINT32_C(1) << field;
    }
    *fields_out = fields;
    return 0;
}

/* Matching a record against a compiled query. */
#include "bridge/hub/query_condition.h"

#include <string.h>

#include "bridge/hub/glob.h"

/* A field's value, seen through its kind. */
struct value {
    enum { VALUE_NULL, VALUE_TEXT, VALUE_DATE, VALUE_JSON, VALUE_OPAQUE } kind;
    const char *text; /* TEXT, JSON (not parsed) */
    size_t len;
    int64_t date_us;
};

static struct value frame_value(const struct ipmpi_frame *frame, bool is_text)
{
    struct value v = {.text = (const char *)frame->data, .len = frame->len};

    if (frame->data != NULL)
        v.kind = is_text ? VALUE_TEXT : VALUE_JSON;
    return v;
}

static struct value value_of(const struct ipmpi_record *record, int field)
{
    struct value v = {0};
    const void *at;

    if (field < 0)
        return v;
    at = ipmpi_record_at(record, (enum ipmpi_field)field);
    switch (ipmpi_fields[field].kind) {
    case IPMPI_FIELD_TEXT:
        return frame_value(at, true);
    case IPMPI_FIELD_JSON:
        return frame_value(at, false);
    case IPMPI_FIELD_DATE:
        v.date_us = *(const int64_t *)at;
        v.kind = v.date_us != 0 ? VALUE_DATE : VALUE_NULL;
        break;
    case IPMPI_FIELD_BUFFERS: /* the request's are never null */
        v.kind =
            field == IPMPI_RECORD_BUFFERS || ipmpi_record_is_decided(record)
                ? VALUE_OPAQUE
                : VALUE_NULL;
        break;
    case IPMPI_FIELD_OUTPUT:
        v.kind = VALUE_TEXT;
        v.text = ((const struct ipmpi_text *)at)->data;
        v.len = ((const struct ipmpi_text *)at)->len;
        break;
    }
    return v;
}

static json_t *parse(const struct value *v)
{
    const struct ipmpi_frame frame = {(const uint8_t *)v->text, v->len, NULL};

    return ipmpi_record_parse(&frame);
}

static bool json_equals(const struct value *v, const json_t *arg)
{
    json_t *value = parse(v);
    const bool equal = value != NULL && json_equal(value, arg);

    json_decref(value);
    return equal;
}

static bool text_equals(const struct value *v, const json_t *arg)
{
    return json_is_string(arg) && json_string_length(arg) == v->len &&
           (v->len == 0 ||
            memcmp(json_string_value(arg), v->text, v->len) == 0);
}

static bool equals(const struct value *v, const struct ipmpi_condition *c)
{
    switch (v->kind) {
    case VALUE_NULL:
        return json_is_null(c->arg);
    case VALUE_TEXT:
        return text_equals(v, c->arg);
    case VALUE_DATE:
        return c->is_date && v->date_us == c->date_us;
    case VALUE_JSON:
        return json_equals(v, c->arg);
    case VALUE_OPAQUE:
        break;
    }
    return false;
}

/* Whether there is an order at all; if so, its sign. */
static bool order(const struct value *v, const struct ipmpi_condition *c,
                  int *sign_out)
{
    if (v->kind == VALUE_DATE && c->is_date)
        *sign_out = (v->date_us > c->date_us) - (v->date_us < c->date_us);
    else if (v->kind == VALUE_TEXT && json_is_string(c->arg))
        *sign_out =
            ipmpi_query_compare(v->text, v->len, json_string_value(c->arg),
                                json_string_length(c->arg));
    else
        return false;
    return true;
}

static bool is_ordered(const struct value *v, const struct ipmpi_condition *c)
{
    int sign;

    if (!order(v, c, &sign))
        return false;
    switch (c->op) {
    case IPMPI_OP_LT:
        return sign < 0;
    case IPMPI_OP_LTE:
        return sign <= 0;
    case IPMPI_OP_GT:
        return sign > 0;
    default:
        return sign >= 0;
    }
}

static bool has_text(const struct ipmpi_condition *c, const struct value *v)
{
    size_t low = 0, high = c->ntexts;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int sign = ipmpi_query_compare(v->text, v->len,
                                             json_string_value(c->texts[mid]),
                                             json_string_length(c->texts[mid]));

        if (sign == 0)
            return true;
        if (sign < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

static bool has_date(const struct ipmpi_condition *c, int64_t date_us)
{
    size_t low = 0, high = c->ndates;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;

        if (c->dates[mid] == date_us)
            return true;
        if (date_us < c->dates[mid])
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

static bool list_has(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

/* Python's "text in whole". */
static bool is_part(const json_t *whole, const char *text, size_t len)
{
    return len == 0 || memmem(json_string_value(whole),
                              json_string_length(whole), text, len) != NULL;
}

static bool is_member(const struct value *v, const struct ipmpi_condition *c)
{
    json_t *value;
    bool found;

    if (json_is_string(c->arg))
        return v->kind == VALUE_TEXT && is_part(c->arg, v->text, v->len);
    switch (v->kind) {
    case VALUE_NULL:
        return c->has_null;
    case VALUE_TEXT:
        return has_text(c, v);
    case VALUE_DATE:
        return has_date(c, v->date_us);
    case VALUE_JSON:
        value = parse(v);
        found = value != NULL && list_has(c->arg, value);
        json_decref(value);
        return found;
    case VALUE_OPAQUE:
        break;
    }
    return false;
}

/* One element of $all. */
static bool contains(const json_t *value, const json_t *element)
{
    if (json_is_array(element))
        return list_has(element, value);
    if (json_is_array(value))
        return list_has(value, element);
    if (!json_is_string(element))
        return false;
    if (json_is_object(value))
        return json_object_get(value, json_string_value(element)) != NULL;
    return json_is_string(value) && is_part(value, json_string_value(element),
                                            json_string_length(element));
}

static bool contains_all(const struct value *v, const json_t *elements)
{
    json_t *value = NULL;
    bool all;

    if (v->kind == VALUE_JSON)
        value = parse(v);
    else if (v->kind == VALUE_TEXT)
        value = json_stringn(v->text != NULL ? v->text : "", v->len);
    all = value != NULL;
    for (size_t i = 0; all && i < json_array_size(elements); i++)
        all = contains(value, json_array_get(elements, i));
    json_decref(value);
    return all;
}

/* Python's %: the remainder has the divisor's sign. */
static bool has_remainder(const struct value *v, const json_t *arg)
{
    const json_int_t divisor = json_integer_value(json_array_get(arg, 0));
    const json_int_t want = json_integer_value(json_array_get(arg, 1));
    json_t *value = v->kind == VALUE_JSON ? parse(v) : NULL;
    const bool is_int = json_is_integer(value);
    json_int_t rest = 0;

    if (is_int && divisor != -1) /* by -1 nothing remains; INT_MIN traps */
        rest = json_integer_value(value) % divisor;
    if (rest != 0 && (rest < 0) != (divisor < 0))
        rest += divisor;
    json_decref(value);
    return is_int && rest == want;
}

/* Python's bool(). */
static bool is_true(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) != 0;
    case JSON_TRUE:
        return true;
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return false;
}

static bool holds(const struct ipmpi_condition *c, const struct value *v)
{
    switch (c->op) {
    case IPMPI_OP_EQ:
        return equals(v, c);
    case IPMPI_OP_NE:
        return !equals(v, c);
    case IPMPI_OP_LT:
    case IPMPI_OP_LTE:
    case IPMPI_OP_GT:
    case IPMPI_OP_GTE:
        return is_ordered(v, c);
    case IPMPI_OP_IN:
        return is_member(v, c);
    case IPMPI_OP_NIN:
        return !is_member(v, c);
    case IPMPI_OP_GLOB:
        return v->kind == VALUE_TEXT &&
               ipmpi_glob_matches(json_string_value(c->arg),
                                  json_string_length(c->arg),
                                  v->text != NULL ? v->text : "", v->len);
    case IPMPI_OP_ALL:
        return contains_all(v, c->arg);
    case IPMPI_OP_MOD:
        return has_remainder(v, c->arg);
    case IPMPI_OP_EXISTS:
        return is_true(c->arg) == (v->kind != VALUE_NULL);
    }
    return false;
}

bool ipmpi_query_matches(const struct ipmpi_query *query,
                         const struct ipmpi_record *record)
{
    for (size_t i = 0; i < query->n; i++) {
        const struct ipmpi_condition *c = &query->conditions[i];
        const struct value v = value_of(record, c->field);

        if (!holds(c, &v))
            return false;
    }
    return true;
}

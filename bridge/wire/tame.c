/* Rewrites JSON text for jansson. Only text that jansson has refused comes
 * here, so it may cost a pass and a copy.
 *
 * Invariant: what is written for n bytes read is at most 3 * n bytes. */
#include "bridge/wire/tame.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/message/compose.h"

#define REPLACEMENT     "\xef\xbf\xbd"
#define REPLACEMENT_LEN 3
/* Integers of more digits do not fit a double either. */
#define DIGITS_MAX 300
#define HUGE_REAL  "1e308"

struct tame {
    const char *at, *end;
    char *out;
};

static void put(struct tame *t, const char *text, size_t len)
{
    memcpy(t->out, text, len);
    t->out += len;
}

static void pass(struct tame *t, size_t len)
{
    put(t, t->at, len);
    t->at += len;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

/* The code unit of a \uXXXX at `at`, or -1. */
static int code_unit(const char *at, const char *end)
{
    int unit = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        const int value = hex_value(at[i]);

        if (value < 0)
            return -1;
        unit = unit * 16 + value;
    }
    return unit;
}

static bool is_surrogate(int unit, int base)
{
    return unit >= base && unit < base + 0x400;
}

static void tame_escape(struct tame *t)
{
    const int unit = code_unit(t->at, t->end);

    if (unit < 0)
        pass(t, t->end - t->at < 2 ? 1 : 2);
    else if (is_surrogate(unit, 0xd800) &&
             is_surrogate(code_unit(t->at + 6, t->end), 0xdc00))
        pass(t, 12);
    else if (is_surrogate(unit, 0xd800) || is_surrogate(unit, 0xdc00)) {
        put(t, REPLACEMENT, REPLACEMENT_LEN);
        t->at += 6;
    } else
        pass(t, 6);
}

/* From the opening quote to the closing one, or to the end. */
static void tame_string(struct tame *t)
{
    pass(t, 1);
    while (t->at < t->end) {
        bool valid;
        size_t len;

        if (*t->at == '"') {
            pass(t, 1);
            return;
        }
        if (*t->at == '\\') {
            tame_escape(t);
            continue;
        }
        len = ipmpi_utf8_next(t->at, (size_t)(t->end - t->at), &valid);
        if (valid) {
            pass(t, len);
        } else {
            put(t, REPLACEMENT, REPLACEMENT_LEN);
            t->at += len;
        }
    }
}

static bool fits_int64(const char *token, size_t len)
{
    char digits[24];

    if (len >= sizeof(digits))
        return false;
    memcpy(digits, token, len);
    digits[len] = '\0';
    errno = 0;
    strtoll(digits, NULL, 10);
    return errno == 0;
}

static void tame_number(struct tame *t)
{
    const size_t sign = *t->at == '-';
    const char *p = t->at + sign;
    size_t len;

    while (p < t->end && *p >= '0' && *p <= '9')
        p++;
    len = (size_t)(p - t->at);
    if (p < t->end && *p != '\0' && strchr(".eE", *p) != NULL) {
        do /* a real: as it is */
            pass(t, 1);
        while (t->at < t->end && *t->at != '\0' &&
               strchr("+-.eE0123456789", *t->at) != NULL);
        return;
    }
    if (fits_int64(t->at, len)) {
        pass(t, len);
    } else if (len - sign <= DIGITS_MAX) {
        pass(t, len);
        put(t, "e0", 2);
    } else {
        put(t, t->at, sign);
        put(t, HUGE_REAL, strlen(HUGE_REAL));
        t->at += len;
    }
}

size_t ipmpi_json_tame(const char *text, size_t len, char *out)
{
    struct tame t = {text, text + len, out};

    while (t.at < t.end) {
        if (*t.at == '"')
            tame_string(&t);
        else if (*t.at == '-' || (*t.at >= '0' && *t.at <= '9'))
            tame_number(&t);
        else
            pass(&t, 1);
    }
    return (size_t)(t.out - out);
}

/* A scanner that knows just enough JSON to walk over the members of one
 * object. It trusts that the text is JSON, but not with its memory: it never
 * looks past the end. */
#include "runtime/engine/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/error.h"

static size_t sequence_len(unsigned char lead)
{
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    return lead >= 0xc2 && lead <= 0xdf ? 2 : 1;
}

size_t ipmpi_utf8_border(const char *text, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        const unsigned char c = (unsigned char)text[len - back];

        if ((c & 0xc0) == 0x80)
            continue; /* inside; its lead byte comes before */
        return sequence_len(c) > back ? len - back : len;
    }
    return len;
}

struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && memchr(" \t\r\n", *c->at, 4) != NULL)
        c->at++;
}

static bool accept(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* Takes a string; the result is what stands between the quotes. */
static bool take_string(struct cursor *c, struct cursor *inside_out)
{
    if (!accept(c, '"'))
        return false;
    inside_out->at = c->at;
    while (c->at < c->end && *c->at != '"')
        c->at += *c->at == '\\' && c->end - c->at > 1 ? 2 : 1;
    inside_out->end = c->at;
    return accept(c, '"');
}

/* Skips a value up to the comma or brace that ends it. */
static bool skip_value(struct cursor *c)
{
    struct cursor inside;
    int depth = 0;

    for (; c->at < c->end; c->at++) {
        skip_space(c);
        while (c->at < c->end && *c->at == '"')
            if (!take_string(c, &inside))
                return false;
        if (c->at == c->end)
            return false;
        if (depth == 0 && (*c->at == ',' || *c->at == '}'))
            return true;
        if (*c->at == '{' || *c->at == '[')
            depth++;
        else if (*c->at == '}' || *c->at == ']')
            depth--;
    }
    return false;
}

int ipmpi_type_check(const char *type, size_t len)
{
    if (len == 0 || len >= IPMPI_TYPE_CAP)
        return IPMPI_EINVAL;
    for (size_t i = 0; i < len; i++) {
        const char c = type[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.')
            return IPMPI_EINVAL;
    }
    return 0;
}

static bool is_named(const struct cursor *name, const char *wanted)
{
    const size_t len = (size_t)(name->end - name->at);

    return len == strlen(wanted) && memcmp(name->at, wanted, len) == 0;
}

static int copy_type(struct cursor *c, char type_out[IPMPI_TYPE_CAP])
{
    struct cursor value;
    size_t len;

    if (!take_string(c, &value))
        return IPMPI_EJSON;
    len = (size_t)(value.end - value.at);
    if (ipmpi_type_check(value.at, len) != 0)
        return IPMPI_EJSON;
    memcpy(type_out, value.at, len);
    type_out[len] = '\0';
    return 0;
}

int ipmpi_header_type(const struct ipmpi_frame *header,
                      char type_out[IPMPI_TYPE_CAP])
{
    const char *start = (const char *)header->data;
    struct cursor c = {start, start + header->len}, name;

    if (!accept(&c, '{'))
        return IPMPI_EJSON;
    do {
        if (!take_string(&c, &name) || !accept(&c, ':'))
            return IPMPI_EJSON;
        if (is_named(&name, "msg_type"))
            return copy_type(&c, type_out);
        if (!skip_value(&c))
            return IPMPI_EJSON;
    } while (accept(&c, ','));
    return IPMPI_EJSON;
}

void ipmpi_reply_type(const char type[IPMPI_TYPE_CAP],
                      char reply_out[IPMPI_TYPE_CAP + 8])
{
    static const char request[] = "_request";
    const size_t tail = sizeof(request) - 1;
    size_t len = strlen(type);

    if (len > tail && strcmp(type + len - tail, request) == 0)
        len -= tail;
    snprintf(reply_out, IPMPI_TYPE_CAP + 8, "%.*s_reply", (int)len, type);
}

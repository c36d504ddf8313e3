/* A scanner for plain objects. It accepts a part of JSON's grammar and nothing
 * besides: fuzz_plain compares it with jansson. */
#include "bridge/wire/plain.h"

#include <string.h>

struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' ||
                              *c->at == '\n' || *c->at == '\r'))
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

static bool is_plain(char c)
{
    return c >= ' ' && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* The rest of a string whose opening quote has been taken. */
static bool take_string(struct cursor *c, struct ipmpi_plain_text *text_out)
{
    text_out->data = c->at;
    while (c->at < c->end && is_plain(*c->at))
        c->at++;
    text_out->len = (size_t)(c->at - text_out->data);
    return c->at < c->end && *c->at++ == '"';
}

static bool take_word(struct cursor *c, struct ipmpi_plain_text *text_out)
{
    static const char *const words[] = {"null", "[]", "0.0", "0"};
    const size_t left = (size_t)(c->end - c->at);

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const size_t len = strlen(words[i]);

        if (left < len || memcmp(c->at, words[i], len) != 0)
            continue;
        *text_out = (struct ipmpi_plain_text){c->at, len};
        c->at += len;
        return true;
    }
    return false;
}

static bool take_member(struct cursor *c, struct ipmpi_plain_member *member)
{
    if (!accept(c, '"') || !take_string(c, &member->name) || !accept(c, ':'))
        return false;
    member->is_string = accept(c, '"');
    return member->is_string ? take_string(c, &member->value)
                             : take_word(c, &member->value);
}

static bool take_members(struct cursor *c, ipmpi_plain_fn *each, void *ctx)
{
    struct ipmpi_plain_member member;

    do {
        if (!take_member(c, &member))
            return false;
        if (each != NULL)
            each(ctx, &member);
    } while (accept(c, ','));
    return accept(c, '}');
}

bool ipmpi_plain_read(const struct ipmpi_frame *frame, ipmpi_plain_fn *each,
                      void *ctx)
{
    const char *text = (const char *)frame->data;
    struct cursor c = {text, text + frame->len};

    if (!accept(&c, '{') || (!accept(&c, '}') && !take_members(&c, each, ctx)))
        return false;
    skip_space(&c);
    return c.at == c.end;
}

bool ipmpi_plain_is(const struct ipmpi_plain_text *text, const char *want)
{
    return text->len == strlen(want) &&
           memcmp(text->data, want, text->len) == 0;
}

/* Shell patterns. On a mismatch only the last * is tried again, one character
 * further: O(pattern * text) at worst, never exponential. */
#include "bridge/hub/glob.h"

#include <stdint.h>

struct span {
    const char *at, *end;
};

/* Takes one code point; a byte that starts none stands for itself. */
static uint32_t take(struct span *s)
{
    const unsigned char lead = (unsigned char)*s->at++;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    uint32_t c = more > 0 ? lead & (0x3fu >> more) : lead;

    for (int i = 0; i < more && s->at < s->end; i++) {
        if (((unsigned char)*s->at & 0xc0) != 0x80)
            break;
        c = c << 6 | ((unsigned char)*s->at++ & 0x3f);
    }
    return c;
}

/* The ] that ends a set whose [ was just taken; NULL if there is none. A ]
 * that comes first is a member. */
static const char *set_end(const struct span *pattern)
{
    const char *at = pattern->at;

    if (at < pattern->end && *at == '!')
        at++;
    if (at < pattern->end && *at == ']')
        at++;
    while (at < pattern->end && *at != ']')
        at++;
    return at < pattern->end ? at : NULL;
}

/* Whether c is in the set; moves the pattern past its ]. */
static bool set_matches(struct span *pattern, const char *end, uint32_t c)
{
    struct span set = {pattern->at, end};
    bool negated = false, found = false;

    if (*set.at == '!') {
        negated = true;
        set.at++;
    }
    while (set.at < set.end) {
        const uint32_t low = take(&set);
        uint32_t high = low;

        if (set.end - set.at >= 2 && *set.at == '-') {
            set.at++;
            high = take(&set);
        }
        found |= c >= low && c <= high;
    }
    pattern->at = end + 1;
    return found != negated;
}

/* Matches one element of the pattern, not a *, against one character. */
static bool one_matches(struct span *pattern, uint32_t c)
{
    const uint32_t want = take(pattern);
    const char *end;

    if (want == '?')
        return true;
    if (want == '[' && (end = set_end(pattern)) != NULL)
        return set_matches(pattern, end, c);
    return want == c;
}

bool ipmpi_glob_matches(const char *pattern, size_t pattern_len,
                        const char *text, size_t text_len)
{
    struct span p = {pattern, pattern + pattern_len};
    struct span t = {text, text + text_len};
    struct span star_p = {0}, star_t = {0};

    for (;;) {
        if (p.at < p.end && *p.at == '*') {
            p.at++;
            star_p = p;
            star_t = t;
            continue;
        }
        if (t.at == t.end && p.at == p.end)
            return true;
        if (t.at < t.end && p.at < p.end && one_matches(&p, take(&t)))
            continue;
        if (star_p.at == NULL || star_t.at == star_t.end)
            return false;
        take(&star_t);
        p = star_p;
        t = star_t;
    }
}

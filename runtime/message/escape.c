/* Text to JSON strings. Engines meet any bytes here: what user code prints is
 * not always UTF-8, and one invalid byte in a message would make a client lose
 * the whole stream it came on. */
#include "runtime/message/compose.h"

#include <string.h>

/* How many bytes, and which may follow the first one (Unicode 15, table 3-7:
 * no overlong forms, no surrogates, nothing past U+10FFFF). */
static size_t sequence_len(uint8_t lead, uint8_t *low_out, uint8_t *high_out)
{
    *low_out = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *high_out = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if ((lead & 0xf0) == 0xe0)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

size_t ipmpi_utf8_next(const char *text, size_t len, bool *valid_out)
{
    const uint8_t *bytes = (const uint8_t *)text;
    uint8_t low, high;
    size_t want, have = 1;

    *valid_out = true;
    if (bytes[0] < 0x80)
        return 1;
    want = sequence_len(bytes[0], &low, &high);
    while (have < want && have < len && bytes[have] >= low &&
           bytes[have] <= high) {
        low = 0x80;
        high = 0xbf;
        have++;
    }
    *valid_out = have == want;
    return have;
}

static size_t escape_ascii(uint8_t c, char *out)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    if (c >= 0x20 && c != '"' && c != '\\') {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    for (const char *s = shorts; *s != '\0'; s += 2)
        if (*s == (char)c) {
            out[1] = s[1];
            return 2;
        }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

size_t ipmpi_json_escape(const char *text, size_t len, char *out)
{
    const char *start = out;
    size_t at = 0;
    bool valid;

    while (at < len) {
        size_t n;

        if ((uint8_t)text[at] < 0x80) {
            out += escape_ascii((uint8_t)text[at++], out);
            continue;
        }
        n = ipmpi_utf8_next(text + at, len - at, &valid);
        /* the replacement is 3 bytes and stands for at least 1 */
        memcpy(out, valid ? text + at : "\xef\xbf\xbd", valid ? n : 3);
        out += valid ? n : 3;
        at += n;
    }
    return (size_t)(out - start);
}

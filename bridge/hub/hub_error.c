/* Errors in Python's words. */
#include "bridge/hub/hub_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/error.h"

/* Takes an incomplete UTF-8 sequence off the end of a cut text. */
static void trim(char *text)
{
    size_t len = strlen(text), start = len;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    start--;
    if ((unsigned char)text[start] >= 0xc0) {
        const unsigned char lead = (unsigned char)text[start];
        const size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

        if (len - start < need)
            text[start] = '\0';
    }
}

void ipmpi_hub_error_set(struct ipmpi_hub_error *error, const char *ename,
                         const char *format, ...)
{
    va_list args;

    error->ename = ename;
    va_start(args, format);
    vsnprintf(error->evalue, sizeof(error->evalue), format, args);
    va_end(args);
    trim(error->evalue);
}

/* One character of Python's repr of a str, at most 4 bytes. */
static size_t repr_char(char c, char quote, char *out)
{
    static const char hex[] = "0123456789abcdef";
    const char *plain = "\n\r\t\\", *named = "nrt\\";
    const char *special = c != '\0' ? strchr(plain, c) : NULL;

    if (special != NULL || c == quote) {
        out[0] = '\\';
        out[1] = special != NULL ? named[special - plain] : quote;
        return 2;
    }
    if ((unsigned char)c < 0x20 || c == 0x7f) {
        memcpy(out, "\\x", 2);
        out[2] = hex[(unsigned char)c >> 4];
        out[3] = hex[c & 15];
        return 4;
    }
    out[0] = c;
    return 1;
}

void ipmpi_hub_error_key(struct ipmpi_hub_error *error, const char *format, ...)
{
    char text[sizeof(error->evalue)], quote;
    size_t at = 0;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    trim(text);
    quote =
        strchr(text, '\'') != NULL && strchr(text, '"') == NULL ? '"' : '\'';
    error->ename = "KeyError";
    error->evalue[at++] = quote;
    for (const char *c = text; *c != '\0'; c++) {
        if (at + 6 > sizeof(error->evalue))
            break;
        at += repr_char(*c, quote, error->evalue + at);
    }
    error->evalue[at] = '\0';
    trim(error->evalue);
    at = strlen(error->evalue);
    error->evalue[at++] = quote;
    error->evalue[at] = '\0';
}

void ipmpi_hub_error_from(struct ipmpi_hub_error *error, int err)
{
    const char *ename = err == IPMPI_ENOMEM ? "MemoryError" : "RuntimeError";

    ipmpi_hub_error_set(error, ename, "%s", ipmpi_strerror(err));
}

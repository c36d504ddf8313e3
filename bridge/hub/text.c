/* Growable text. Capacity doubles, so appending is O(1) amortised. */
#include "bridge/hub/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/message/compose.h"
#include "runtime/message/date.h"

/* How much is escaped at a time: bounds the room set aside for the worst
 * case, six bytes for one. */
enum { ESCAPE_CHUNK = 4096 };

/* Room for `more` bytes at the end, or NULL. */
static char *reserve(struct ipmpi_text *text, size_t more)
{
    size_t cap = text->cap > 0 ? text->cap : 256;
    char *data;

    if (text->failed)
        return NULL;
    if (more <= text->cap - text->len)
        return text->data + text->len;
    while (cap - text->len < more && cap <= SIZE_MAX / 2)
        cap *= 2;
    data = cap - text->len < more ? NULL : realloc(text->data, cap);
    if (data == NULL) {
        text->failed = true;
        return NULL;
    }
    text->data = data;
    text->cap = cap;
    return data + text->len;
}

void ipmpi_text_add(struct ipmpi_text *text, const void *data, size_t len)
{
    char *at = reserve(text, len);

    if (at == NULL || len == 0)
        return;
    memcpy(at, data, len);
    text->len += len;
}

void ipmpi_text_puts(struct ipmpi_text *text, const char *string)
{
    ipmpi_text_add(text, string, strlen(string));
}

void ipmpi_text_int(struct ipmpi_text *text, int64_t value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%" PRId64, value);
    ipmpi_text_puts(text, digits);
}

/* How many of `len` bytes to escape now: a chunk that does not end within a
 * UTF-8 sequence. */
static size_t chunk_len(const char *data, size_t len)
{
    size_t n = ESCAPE_CHUNK;

    if (len <= ESCAPE_CHUNK)
        return len;
    while (n > ESCAPE_CHUNK - 4 && ((unsigned char)data[n] & 0xc0) == 0x80)
        n--;
    return n;
}

void ipmpi_text_string(struct ipmpi_text *text, const void *data, size_t len)
{
    const char *at = data;

    ipmpi_text_puts(text, "\"");
    while (len > 0) {
        const size_t n = chunk_len(at, len);
        char *out = reserve(text, 6 * n);

        if (out == NULL)
            return;
        text->len += ipmpi_json_escape(at, n, out);
        at += n;
        len -= n;
    }
    ipmpi_text_puts(text, "\"");
}

void ipmpi_text_date(struct ipmpi_text *text, int64_t wall_us)
{
    char date[IPMPI_DATE_LEN + 1];

    if (wall_us == 0) {
        ipmpi_text_puts(text, "null");
        return;
    }
    ipmpi_date_format(wall_us, date);
    ipmpi_text_puts(text, "\"");
    ipmpi_text_puts(text, date);
    ipmpi_text_puts(text, "\"");
}

static void free_data(void *data, void *hint)
{
    (void)hint;
    free(data);
}

int ipmpi_text_to_frame(struct ipmpi_text *text, struct ipmpi_frame *frame_out)
{
    struct ipmpi_buffer *buffer;

    if (reserve(text, 1) == NULL ||
        ipmpi_buffer_wrap(text->data, text->len, free_data, NULL, &buffer) !=
            0) {
        ipmpi_text_clear(text);
        return IPMPI_ENOMEM;
    }
    *frame_out =
        (struct ipmpi_frame){(const uint8_t *)text->data, text->len, buffer};
    *text = (struct ipmpi_text){0};
    return 0;
}

void ipmpi_text_clear(struct ipmpi_text *text)
{
    free(text->data);
    *text = (struct ipmpi_text){0};
}

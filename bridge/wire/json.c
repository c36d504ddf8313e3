/* JSON helpers: strict first, since that is what nearly every message is. */
#include "bridge/wire/json.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/wire/tame.h"
#include "runtime/base/error.h"
#include "runtime/message/compose.h"

static int load_strict(const char *text, size_t len, json_t **object_out)
{
    json_error_t why;
    json_t *value = json_loadb(text, len, JSON_ALLOW_NUL, &why);

    if (value == NULL)
        return json_error_code(&why) == json_error_out_of_memory ? IPMPI_ENOMEM
                                                                 : IPMPI_EJSON;
    if (!json_is_object(value)) {
        json_decref(value);
        return IPMPI_EJSON;
    }
    *object_out = value;
    return 0;
}

int ipmpi_json_load(const struct ipmpi_frame *frame, json_t **object_out)
{
    const char *text = (const char *)frame->data;
    char *tamed;
    int err;

    if (frame->len == 0)
        return IPMPI_EJSON;
    err = load_strict(text, frame->len, object_out);
    if (err != IPMPI_EJSON)
        return err;
    if (frame->len > SIZE_MAX / 3)
        return IPMPI_EJSON;
    tamed = malloc(3 * frame->len);
    if (tamed == NULL)
        return IPMPI_ENOMEM;
    err = load_strict(tamed, ipmpi_json_tame(text, frame->len, tamed),
                      object_out);
    free(tamed);
    return err;
}

static void free_text(void *data, void *hint)
{
    (void)hint;
    free(data);
}

int ipmpi_json_dump(const json_t *value, struct ipmpi_frame *frame_out)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    struct ipmpi_buffer *owner;
    size_t len;

    if (text == NULL)
        return IPMPI_ENOMEM;
    len = strlen(text);
    if (ipmpi_buffer_wrap(text, len, free_text, NULL, &owner) != 0) {
        free(text);
        return IPMPI_ENOMEM;
    }
    *frame_out = (struct ipmpi_frame){(const uint8_t *)text, len, owner};
    return 0;
}

/* The text with U+FFFD for what is not UTF-8; at most 3 * len bytes. */
static size_t mend(const char *text, size_t len, char *out)
{
    char *at = out;

    for (size_t i = 0; i < len;) {
        bool valid;
        const size_t n = ipmpi_utf8_next(text + i, len - i, &valid);

        memcpy(at, valid ? text + i : "\xef\xbf\xbd", valid ? n : 3);
        at += valid ? n : 3;
        i += n;
    }
    return (size_t)(at - out);
}

json_t *ipmpi_json_text(const char *text, size_t len)
{
    json_t *value = json_stringn(text, len);
    char *mended;

    if (value != NULL || len > SIZE_MAX / 3)
        return value;
    mended = malloc(3 * len + 1);
    if (mended == NULL)
        return NULL;
    value = json_stringn(mended, mend(text, len, mended));
    free(mended);
    return value;
}

const char *ipmpi_json_string(const json_t *object, const char *key,
                              const char *fallback)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);

    if (text == NULL || strlen(text) != json_string_length(value))
        return fallback;
    return text;
}

json_t *ipmpi_json_error(const char *ename, const char *evalue)
{
    return json_pack("{s:s, s:o, s:o, s:[], s:{}}", "status", "error", "ename",
                     ipmpi_json_text(ename, strlen(ename)), "evalue",
                     ipmpi_json_text(evalue, strlen(evalue)), "traceback",
                     "engine_info");
}

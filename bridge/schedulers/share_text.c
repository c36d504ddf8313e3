/* The text of shares. */
#include "bridge/schedulers/share_text.h"

#include <string.h>

#include "bridge/hub/hub.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/message/compose.h"

void ipmpi_share_text_clear(struct ipmpi_share_text *text)
{
    ipmpi_buffer_release(&text->rest.owner);
    ipmpi_buffer_release(&text->echo.owner);
    *text = (struct ipmpi_share_text){0};
}

static int make_rest(struct ipmpi_request *request, struct ipmpi_frame *out)
{
    json_t *rest = json_copy(ipmpi_request_header(request));
    int err = rest == NULL ? IPMPI_ENOMEM : 0;

    if (err == 0) {
        json_object_del(rest, "msg_id");
        err = ipmpi_json_dump(rest, out);
    }
    json_decref(rest);
    if (err == 0) { /* behind its brace */
        out->data++;
        out->len--;
    }
    return err;
}

int ipmpi_share_text_make(struct ipmpi_request *request,
                          struct ipmpi_share_text *text_out)
{
    struct ipmpi_share_text text = {0};
    struct ipmpi_frames echo = {0};
    int err = make_rest(request, &text.rest);

    if (err == 0)
        err = ipmpi_hub_add_echo(request, &echo);
    if (err != 0) {
        ipmpi_share_text_clear(&text);
        return err;
    }
    text.echo = echo.at[0];
    if (text.echo.owner != NULL)
        ipmpi_buffer_share(text.echo.owner);
    ipmpi_frames_clear(&echo);
    *text_out = text;
    return 0;
}

int ipmpi_share_text_header(const struct ipmpi_share_text *text,
                            const char *msg_id, struct ipmpi_frame *header_out)
{
    static const char start[] = "{\"msg_id\":\"";
    const size_t len = strlen(msg_id);
    struct ipmpi_buffer *buffer;
    char *at;
    int err = ipmpi_buffer_alloc(sizeof(start) + 6 * len + 2 + text->rest.len,
                                 &buffer);

    if (err != 0)
        return err;
    at = stpcpy(ipmpi_buffer_data(buffer), start);
    at += ipmpi_json_escape(msg_id, len, at);
    at = stpcpy(at, text->rest.len > 1 ? "\"," : "\""); /* more than "}" */
    memcpy(at, text->rest.data, text->rest.len);
    at += text->rest.len;
    header_out->owner = buffer;
    header_out->data = ipmpi_buffer_data(buffer);
    header_out->len = (size_t)(at - (char *)ipmpi_buffer_data(buffer));
    return 0;
}

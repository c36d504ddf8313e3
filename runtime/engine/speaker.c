/* Items for everything an engine says.
 *
 * Invariant: what an item views has a share of its own, so that it does not
 * matter when the work it answers is freed. */
#include "runtime/engine/speaker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/message/compose.h"
#include "runtime/message/date.h"

enum {
    ITEM_COST = 512,    /* what an item weighs beside its payload */
    METADATA_CAP = 256, /* a reply's metadata without uuid and echo */
};

/* A frame of this text, in memory of its own. */
__attribute__((format(printf, 2, 3))) static int
print_frame(struct ipmpi_frame *frame_out, const char *format, ...)
{
    struct ipmpi_buffer *buffer;
    va_list args, again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (ipmpi_buffer_alloc((size_t)n + 1, &buffer) == 0) {
        vsnprintf(ipmpi_buffer_data(buffer), (size_t)n + 1, format, again);
        *frame_out =
            (struct ipmpi_frame){ipmpi_buffer_data(buffer), (size_t)n, buffer};
    }
    va_end(again);
    return frame_out->data != NULL ? 0 : IPMPI_ENOMEM;
}

static int copy_frame(struct ipmpi_frame *frame_out, const void *data,
                      size_t len)
{
    struct ipmpi_buffer *buffer;
    int err = ipmpi_buffer_alloc(len, &buffer);

    if (err != 0)
        return err;
    if (len > 0)
        memcpy(ipmpi_buffer_data(buffer), data, len);
    *frame_out = (struct ipmpi_frame){ipmpi_buffer_data(buffer), len, buffer};
    return 0;
}

static struct ipmpi_frame literal(const char *text, size_t len)
{
    return (struct ipmpi_frame){(const uint8_t *)text, len, NULL};
}

int ipmpi_speaker_init(struct ipmpi_speaker *speaker, int engine_id,
                       const char *uuid)
{
    const size_t len = strlen(uuid);

    *speaker = (struct ipmpi_speaker){.engine_id = engine_id};
    speaker->uuid = malloc(6 * len + 1);
    if (speaker->uuid == NULL)
        return IPMPI_ENOMEM;
    speaker->uuid[ipmpi_json_escape(uuid, len, speaker->uuid)] = '\0';
    if (print_frame(&speaker->metadata, "{\"engine\":\"%s\"}", speaker->uuid) !=
            0 ||
        print_frame(&speaker->topic, "engine.%d.status", engine_id) != 0) {
        ipmpi_speaker_clear(speaker);
        return IPMPI_ENOMEM;
    }
    return 0;
}

void ipmpi_speaker_clear(struct ipmpi_speaker *speaker)
{
    free(speaker->uuid);
    speaker->uuid = NULL;
    ipmpi_buffer_release(&speaker->metadata.owner);
    ipmpi_buffer_release(&speaker->topic.owner);
}

static void set_head(struct ipmpi_item *item, enum ipmpi_msg_type type,
                     int kind)
{
    item->head = (struct ipmpi_msg_head){.version = IPMPI_PROTOCOL_VERSION,
                                         .type = (uint16_t)type,
                                         .kind = (uint16_t)kind};
    item->cost =
        ITEM_COST + item->content.len + ipmpi_frames_bytes(&item->buffers);
}

struct ipmpi_item *ipmpi_speaker_plain(enum ipmpi_msg_type type)
{
    struct ipmpi_item *item = ipmpi_item_create(IPMPI_ITEM_PLAIN, NULL, 0);

    if (item != NULL)
        set_head(item, type, 0);
    return item;
}

struct ipmpi_item *ipmpi_speaker_status(const struct ipmpi_speaker *speaker,
                                        uint64_t ref,
                                        const struct ipmpi_frame *parent,
                                        enum ipmpi_iopub_kind kind)
{
    static const char busy[] = "{\"execution_state\":\"busy\"}";
    static const char idle[] = "{\"execution_state\":\"idle\"}";
    const char *text = kind == IPMPI_IOPUB_BUSY ? busy : idle;
    struct ipmpi_item *item = ipmpi_item_create(IPMPI_ITEM_MESSAGE, parent, 0);

    if (item == NULL)
        return NULL;
    strcpy(item->msg_type, "status");
    ipmpi_frame_share(&item->topic, &speaker->topic);
    ipmpi_frame_share(&item->metadata, &speaker->metadata);
    item->content = literal(text, strlen(text));
    set_head(item, IPMPI_MSG_IOPUB, kind);
    item->head.ref = ref;
    return item;
}

/* ---- replies -------------------------------------------------------- */

static const char *status_text(int status)
{
    switch (status) {
    case IPMPI_STATUS_OK:
        return "ok";
    case IPMPI_STATUS_ABORTED:
        return "aborted";
    default:
        return "error";
    }
}

static int print_metadata(const struct ipmpi_speaker *speaker,
                          const struct ipmpi_work *work, int status, char *text,
                          size_t cap)
{
    const struct ipmpi_frame *echo = &work->frames.at[IPMPI_WORK_AT_ECHO];
    char date[IPMPI_DATE_LEN + 1], info[6 * 64 + 64] = "";
    int n;

    ipmpi_date_format(work->started_us, date);
    if (status == IPMPI_STATUS_ERROR || status == IPMPI_STATUS_UNMET)
        snprintf(info, sizeof(info),
                 ",\"engine_info\":{\"engine_uuid\":\"%s\",\"engine_id\":%d}",
                 speaker->uuid, speaker->engine_id);
    n = snprintf(text, cap,
                 "{\"engine\":\"%s\",\"status\":\"%s\",\"started\":\"%s\","
                 "\"dependencies_met\":%s%s%s%.*s}",
                 speaker->uuid, status_text(status), date,
                 status == IPMPI_STATUS_UNMET ? "false" : "true", info,
                 echo->len > 0 ? "," : "", (int)echo->len,
                 (const char *)echo->data);
    return n;
}

static int add_metadata(const struct ipmpi_speaker *speaker,
                        const struct ipmpi_work *work, int status,
                        struct ipmpi_frame *out)
{
    const size_t cap = METADATA_CAP + 2 * strlen(speaker->uuid) +
                       work->frames.at[IPMPI_WORK_AT_ECHO].len;
    struct ipmpi_buffer *buffer;
    int err = ipmpi_buffer_alloc(cap, &buffer);
    char *text;

    if (err != 0)
        return err;
    text = ipmpi_buffer_data(buffer);
    *out = (struct ipmpi_frame){
        (const uint8_t *)text,
        (size_t)print_metadata(speaker, work, status, text, cap), buffer};
    return 0;
}

static int add_content(struct ipmpi_item *item, struct ipmpi_answer *answer)
{
    static const char ok[] = "{\"status\":\"ok\"}";
    static const char aborted[] = "{\"status\":\"aborted\"}";

    if (answer->content.n > 0) {
        ipmpi_frame_share(&item->content, &answer->content.at[0]);
        ipmpi_frames_clear(&answer->content);
    } else if (answer->status == IPMPI_STATUS_OK) {
        item->content = literal(ok, sizeof(ok) - 1);
    } else if (answer->status == IPMPI_STATUS_ABORTED) {
        item->content = literal(aborted, sizeof(aborted) - 1);
    } else {
        return IPMPI_EINVAL;
    }
    return 0;
}

static int fill_reply(const struct ipmpi_speaker *speaker,
                      const struct ipmpi_work *work,
                      struct ipmpi_answer *answer, struct ipmpi_item *item)
{
    char type[IPMPI_TYPE_CAP];
    int err = ipmpi_header_type(&work->frames.at[IPMPI_WORK_AT_HEADER], type);

    if (err != 0)
        return err;
    ipmpi_reply_type(type, item->msg_type);
    err = add_content(item, answer);
    if (err != 0)
        return err;
    ipmpi_frames_move(&item->buffers, &answer->buffers);
    return add_metadata(speaker, work, answer->status, &item->metadata);
}

int ipmpi_speaker_reply(const struct ipmpi_speaker *speaker,
                        const struct ipmpi_work *work,
                        struct ipmpi_answer *answer, enum ipmpi_msg_type type,
                        struct ipmpi_item **item_out)
{
    const bool unknown = answer->status == IPMPI_STATUS_UNKNOWN;
    struct ipmpi_item *item =
        ipmpi_item_create(unknown ? IPMPI_ITEM_PLAIN : IPMPI_ITEM_MESSAGE,
                          &work->frames.at[IPMPI_WORK_AT_HEADER], 0);
    int err = item == NULL ? IPMPI_ENOMEM : 0;

    if (err == 0 && !unknown)
        err = fill_reply(speaker, work, answer, item);
    if (err != 0) {
        ipmpi_item_destroy(&item);
        return err;
    }
    set_head(item, type, unknown ? IPMPI_STATUS_ERROR : answer->status);
    item->head.ref = work->ref;
    item->head.flags = answer->abort_queued ? IPMPI_REPLY_ABORT_QUEUED : 0;
    item->head.started_us = work->started_us;
    item->head.completed_us = item->date_us = ipmpi_clock_wall_us();
    *item_out = item;
    return 0;
}

int ipmpi_speaker_aborted(const struct ipmpi_speaker *speaker,
                          const struct ipmpi_work *work,
                          struct ipmpi_item **item_out)
{
    struct ipmpi_answer answer = {.status = IPMPI_STATUS_ABORTED};
    struct ipmpi_work now = *work;

    now.started_us = ipmpi_clock_wall_us();
    return ipmpi_speaker_reply(speaker, &now, &answer, IPMPI_MSG_REPLY,
                               item_out);
}

/* ---- publications --------------------------------------------------- */

static enum ipmpi_iopub_kind kind_of(const char *msg_type)
{
    static const struct {
        const char *name;
        enum ipmpi_iopub_kind kind;
    } kinds[] = {
        {"stream", IPMPI_IOPUB_STREAM},
        {"execute_input", IPMPI_IOPUB_EXECUTE_INPUT},
        {"execute_result", IPMPI_IOPUB_EXECUTE_RESULT},
        {"error", IPMPI_IOPUB_ERROR},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(msg_type, kinds[i].name) == 0)
            return kinds[i].kind;
    return IPMPI_IOPUB_OTHER;
}

static int fill_publication(const struct ipmpi_speaker *speaker,
                            struct ipmpi_publication *p,
                            struct ipmpi_item *item)
{
    int err;

    strcpy(item->msg_type, p->msg_type);
    err = p->topic == NULL
              ? print_frame(&item->topic, "engine.%d.%s", speaker->engine_id,
                            p->msg_type)
              : copy_frame(&item->topic, p->topic, strlen(p->topic));
    if (err == 0 && p->metadata.data == NULL)
        ipmpi_frame_share(&item->metadata, &speaker->metadata);
    else if (err == 0)
        err = copy_frame(&item->metadata, p->metadata.data, p->metadata.len);
    if (err == 0)
        err = copy_frame(&item->content, p->content.data, p->content.len);
    if (err == 0)
        ipmpi_frames_move(&item->buffers, &p->buffers);
    return err;
}

int ipmpi_speaker_publish(const struct ipmpi_speaker *speaker,
                          struct ipmpi_publication *publication,
                          const struct ipmpi_frame *parent,
                          struct ipmpi_item **item_out)
{
    const char *type = publication->msg_type;
    const bool has_own = publication->parent.data != NULL;
    struct ipmpi_item *item;
    int err = ipmpi_type_check(type, strlen(type));

    if (err != 0)
        return err;
    item = ipmpi_item_create(IPMPI_ITEM_MESSAGE, has_own ? NULL : parent, 0);
    if (item == NULL)
        return IPMPI_ENOMEM;
    if (has_own) /* it is lent */
        err = copy_frame(&item->parent, publication->parent.data,
                         publication->parent.len);
    if (err == 0)
        err = fill_publication(speaker, publication, item);
    if (err != 0) {
        ipmpi_item_destroy(&item);
        return err;
    }
    set_head(item, IPMPI_MSG_IOPUB, kind_of(type));
    *item_out = item;
    return 0;
}

/* Building db_reply. */
#include "bridge/hub/answer.h"

#include "runtime/base/error.h"

static bool asks(const struct ipmpi_answer *answer, uint32_t bit)
{
    return (answer->fields & bit) != 0;
}

/* Adds one record's buffers of one kind, and their number to `lens`. */
static int add_buffers(struct ipmpi_answer *answer,
                       const struct ipmpi_frames *buffers,
                       struct ipmpi_text *lens)
{
    const size_t bytes = ipmpi_frames_bytes(buffers);

    if (lens->len > 0)
        ipmpi_text_puts(lens, ",");
    ipmpi_text_int(lens, (int64_t)buffers->n);
    if (lens->failed)
        return IPMPI_ENOMEM;
    if (bytes > IPMPI_ANSWER_MAX - answer->buffer_bytes)
        return IPMPI_ETOOBIG;
    answer->buffer_bytes += bytes;
    return ipmpi_frames_add_from(&answer->buffers, buffers, 0, buffers->n);
}

int ipmpi_answer_add(struct ipmpi_answer *answer,
                     const struct ipmpi_record *record)
{
    struct ipmpi_text *json = &answer->json;
    int err = 0;

    ipmpi_text_puts(json, answer->nrecords++ == 0
                              ? "{\"status\":\"ok\",\"records\":["
                              : ",");
    ipmpi_record_to_json(record, answer->fields, json);
    if (json->failed)
        return IPMPI_ENOMEM;
    if (json->len > IPMPI_ANSWER_MAX)
        return IPMPI_ETOOBIG;
    if (asks(answer, IPMPI_FIELD_BIT(BUFFERS)))
        err = add_buffers(answer, &record->buffers, &answer->lens);
    if (err == 0 && asks(answer, IPMPI_FIELD_BIT(RESULT_BUFFERS)))
        err =
            add_buffers(answer, &record->result_buffers, &answer->result_lens);
    return err;
}

static void add_lens(struct ipmpi_answer *answer, bool asked, const char *name,
                     const struct ipmpi_text *lens)
{
    ipmpi_text_puts(&answer->json, name);
    if (!asked) {
        ipmpi_text_puts(&answer->json, "null");
        return;
    }
    ipmpi_text_puts(&answer->json, "[");
    ipmpi_text_add(&answer->json, lens->data, lens->len);
    ipmpi_text_puts(&answer->json, "]");
}

int ipmpi_answer_finish(struct ipmpi_answer *answer,
                        struct ipmpi_frame *content_out)
{
    if (answer->nrecords == 0)
        ipmpi_text_puts(&answer->json, "{\"status\":\"ok\",\"records\":[");
    add_lens(answer, asks(answer, IPMPI_FIELD_BIT(BUFFERS)),
             "],\"buffer_lens\":", &answer->lens);
    add_lens(answer, asks(answer, IPMPI_FIELD_BIT(RESULT_BUFFERS)),
             ",\"result_buffer_lens\":", &answer->result_lens);
    ipmpi_text_puts(&answer->json, "}");
    return ipmpi_text_to_frame(&answer->json, content_out);
}

void ipmpi_answer_error(int err, struct ipmpi_hub_error *error)
{
    if (err == IPMPI_ETOOBIG)
        ipmpi_hub_error_set(error, "MemoryError",
                            "the answer is larger than %zu MiB: ask for "
                            "fewer records or keys",
                            IPMPI_ANSWER_MAX >> 20);
    else
        ipmpi_hub_error_from(error, err);
}

void ipmpi_answer_clear(struct ipmpi_answer *answer)
{
    ipmpi_text_clear(&answer->json);
    ipmpi_text_clear(&answer->lens);
    ipmpi_text_clear(&answer->result_lens);
    ipmpi_frames_clear(&answer->buffers);
}

/* Gangs: what the members' replies say, and the one reply made of them. */
#include "bridge/schedulers/gang_internal.h"

#include <stdio.h>

#include "bridge/wire/json.h"
#include "runtime/base/error.h"

/* The first member's metadata, and whose results these are, in JSON. */
static int make_metadata(const struct ipmpi_gang *gang,
                         struct ipmpi_frame *json_out)
{
    const struct ipmpi_frames *first = &gang->member[0].reply.parts;
    json_t *metadata = NULL, *targets = json_array();
    int err =
        first->n > 1 + IPMPI_PART_CONTENT
            ? ipmpi_json_load(&first->at[1 + IPMPI_PART_METADATA], &metadata)
            : IPMPI_EFRAME;

    for (size_t i = 0; i < gang->size; i++)
        json_array_append_new(targets, json_pack("[s, i]", gang->member[i].uuid,
                                                 gang->member[i].id));
    json_object_set_new(metadata, "broadcast_targets", targets);
    json_object_set_new(metadata, "is_coalescing", json_true());
    if (err == 0)
        err = ipmpi_json_dump(metadata, json_out);
    json_decref(metadata);
    return err;
}

int ipmpi_gang_join(struct ipmpi_hub *hub, const struct ipmpi_gang *gang,
                    struct ipmpi_reply *reply_out)
{
    const struct ipmpi_job *job = gang->task->job;
    const struct ipmpi_frames *first = &gang->member[0].reply.parts;
    struct ipmpi_frame json;
    int err;

    *reply_out = gang->member[0].reply;
    reply_out->parts = (struct ipmpi_frames){0};
    err = make_metadata(gang, &json);
    if (err != 0)
        return err;
    err = ipmpi_compose(hub->composer, "apply_reply",
                        hub->out.wall_us(hub->out.ctx), &job->header, &json,
                        &first->at[1 + IPMPI_PART_CONTENT], &reply_out->parts);
    ipmpi_buffer_release(&json.owner);
    for (size_t i = 0; err == 0 && i < gang->size; i++) {
        const struct ipmpi_frames *parts = &gang->member[i].reply.parts;

        err = ipmpi_frames_add_from(&reply_out->parts, parts,
                                    1 + IPMPI_PART_BUFFERS,
                                    parts->n - 1 - IPMPI_PART_BUFFERS);
    }
    return err;
}

void ipmpi_gang_describe(const struct ipmpi_reply *reply, char *out, size_t cap)
{
    json_t *content = NULL;

    snprintf(out, cap, "its part was aborted");
    if (reply->parts.n > 1 + IPMPI_PART_CONTENT &&
        ipmpi_json_load(&reply->parts.at[1 + IPMPI_PART_CONTENT], &content) ==
            0 &&
        reply->status == IPMPI_STATUS_ERROR)
        snprintf(out, cap, "%s: %s",
                 ipmpi_json_string(content, "ename", "Error"),
                 ipmpi_json_string(content, "evalue", ""));
    json_decref(content);
}

/* See requests.h. */
#include "tests/runtime/engine/requests.h"

#include <stdio.h>

#include "tests/runtime/engine/controller.h"
#include "tests/runtime/engine/kept.h"

enum { HEADER_CAP = 256 };

static uint64_t last_ref;

static void request_header(uint64_t ref, const char *msg_type, char *out)
{
    snprintf(out, HEADER_CAP,
             "{\"msg_id\": \"c_%llu\", \"x\": {\"msg_type\": [1, \"}\"]}, "
             "\"msg_type\": \"%s\", \"username\": \"u\", \"session\": \"c\", "
             "\"date\": \"2026-01-02T03:04:05.000006Z\", \"version\": \"5.3\"}",
             (unsigned long long)ref, msg_type);
}

void request_mark(uint64_t ref, char *out, size_t cap)
{
    snprintf(out, cap, "{\"msg_id\": \"c_%llu\"", (unsigned long long)ref);
}

static uint64_t send_request(int engine, const struct ipmpi_msg_head *what,
                             const char *msg_type, const char *order,
                             const struct ipmpi_frames *buffers)
{
    struct ipmpi_msg_head head = *what;
    struct ipmpi_frames frames = {0};
    char text[HEADER_CAP];

    head.ref = ++last_ref;
    request_header(head.ref, msg_type, text);
    controller_add_text(&frames, text);
    controller_add_text(&frames, "\"label\":null,\"is_broadcast\":false");
    snprintf(text, sizeof(text), "{\"do\": \"%s\"}", order);
    controller_add_text(&frames, text);
    if (buffers != NULL)
        CHECK_EQ(ipmpi_frames_add_from(&frames, buffers, 0, buffers->n), 0);
    controller_send(engine, &head, &frames);
    return last_ref;
}

uint64_t controller_work(int engine, enum ipmpi_work_kind kind,
                         const char *msg_type, const char *order)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK,
                                        .kind = (uint16_t)kind,
                                        .detail = kept_naborts(engine)};

    return send_request(engine, &head, msg_type, order, NULL);
}

uint64_t controller_late_cell(int engine, const char *order)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK,
                                        .kind = IPMPI_WORK_EXECUTE,
                                        .detail = kept_naborts(engine) - 1};

    return send_request(engine, &head, "execute_request", order, NULL);
}

static void make_buffers(struct ipmpi_frames *buffers, const size_t *len, int n)
{
    for (int i = 0; i < n; i++) {
        struct ipmpi_buffer *buffer;
        uint8_t *data;

        CHECK_EQ(ipmpi_buffer_alloc(len[i], &buffer), 0);
        data = ipmpi_buffer_data(buffer);
        for (size_t at = 0; at < len[i]; at++)
            data[at] = (uint8_t)(at + (size_t)i);
        CHECK_EQ(ipmpi_frames_add_view(buffers, buffer, 0, len[i]), 0);
        ipmpi_buffer_release(&buffer);
    }
}

uint64_t controller_work_buffers(int engine, const char *order,
                                 const size_t *len, int n)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK,
                                        .kind = IPMPI_WORK_APPLY};
    struct ipmpi_frames buffers = {0};
    uint64_t ref;

    make_buffers(&buffers, len, n);
    ref = send_request(engine, &head, "apply_request", order, &buffers);
    ipmpi_frames_clear(&buffers);
    return ref;
}

uint64_t controller_parcel_work(int engine, uint64_t number)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK,
                                        .kind = IPMPI_WORK_APPLY,
                                        .flags = IPMPI_WORK_PARCEL,
                                        .ref = ++last_ref};
    struct ipmpi_frames frames = {0};
    char text[HEADER_CAP];

    request_header(last_ref, "apply_request", text);
    controller_add_text(&frames, text);
    controller_add_text(&frames, "\"label\":null,\"is_broadcast\":true");
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &number, sizeof(number)), 0);
    controller_send(engine, &head, &frames);
    return last_ref;
}

uint64_t controller_gathered_buffers(int engine,
                                     const struct ipmpi_gather_leg *leg,
                                     const char *order, const size_t *len,
                                     int n)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK,
                                        .kind = IPMPI_WORK_APPLY,
                                        .flags = IPMPI_WORK_GATHER};
    struct ipmpi_frames more = {0};
    uint64_t ref;

    make_buffers(&more, len, n);
    CHECK_EQ(ipmpi_frames_add_copy(&more, leg, sizeof(*leg)), 0);
    ref = send_request(engine, &head, "apply_request", order, &more);
    ipmpi_frames_clear(&more);
    return ref;
}

uint64_t controller_gathered_work(int engine,
                                  const struct ipmpi_gather_leg *leg,
                                  const char *order)
{
    return controller_gathered_buffers(engine, leg, order, NULL, 0);
}

uint64_t controller_task(int engine, unsigned flags, const char *order)
{
    const struct ipmpi_msg_head head = {
        .type = IPMPI_MSG_WORK,
        .kind = IPMPI_WORK_APPLY,
        .flags = (uint16_t)(IPMPI_WORK_BALANCED | IPMPI_WORK_STEALABLE | flags),
    };

    return send_request(engine, &head, "apply_request", order, NULL);
}

uint64_t controller_control(int engine, const char *msg_type)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_CONTROL};

    return send_request(engine, &head, msg_type, "", NULL);
}

void controller_abort(int engine, const uint64_t *refs, int n)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_ABORT};
    struct ipmpi_frames frames = {0};

    controller_add_refs(&frames, refs, n);
    controller_send(engine, &head, &frames);
}

/* For tests of the task database: making records, and asking with a
 * deadline, whatever the back end. */
#ifndef IPMPI_TESTS_HUB_ASKING_H
#define IPMPI_TESTS_HUB_ASKING_H

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/hub/taskdb.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "tests/check.h"

#define DEADLINE_US 60000000         /* half a gigabyte goes to a slow disk */
#define T0_US       1700000000000000 /* 2023-11-14T22:13:20Z */

static inline struct ipmpi_frame text_frame(const char *text)
{
    return (struct ipmpi_frame){(const uint8_t *)text, strlen(text), NULL};
}

/* Adds a pending task of the given submit time with one buffer. */
static inline int add_task(struct ipmpi_taskdb *db, const char *msg_id,
                           int64_t submitted_us, const char *label,
                           size_t buffer_len)
{
    char header[256];
    struct ipmpi_frame head, metadata = text_frame("{}"),
                             content = text_frame("{\"a\": 5}");
    struct ipmpi_frames buffers = {0};
    struct ipmpi_buffer *buffer;
    int err;

    snprintf(header, sizeof(header),
             "{\"msg_id\": \"%s\", \"msg_type\": \"apply_request\", "
             "\"session\": \"s\", \"username\": \"u\", \"version\": \"5.3\"}",
             msg_id);
    CHECK_EQ(ipmpi_frames_add_copy(&buffers, header, strlen(header)), 0);
    CHECK_EQ(ipmpi_buffer_alloc(buffer_len, &buffer), 0);
    memset(ipmpi_buffer_data(buffer), 'b', buffer_len);
    CHECK_EQ(ipmpi_frames_add_view(&buffers, buffer, 0, buffer_len), 0);
    ipmpi_buffer_release(&buffer);
    head = buffers.at[0];
    err = ipmpi_taskdb_add(
        db, &(struct ipmpi_submission){.msg_id = msg_id,
                                       .client_uuid = "s",
                                       .queue = "task",
                                       .label = label,
                                       .submitted_us = submitted_us,
                                       .header = &head,
                                       .metadata = &metadata,
                                       .content = &content,
                                       .frames = &buffers,
                                       .first_buffer = 1});
    ipmpi_frames_clear(&buffers);
    return err;
}

/* Decides a task: ok, apply_reply, one buffer. */
static inline int decide_task(struct ipmpi_taskdb *db, const char *msg_id,
                              const char *engine, size_t buffer_len)
{
    struct ipmpi_frame header =
        text_frame("{\"msg_type\": \"apply_reply\", \"msg_id\": \"r\", "
                   "\"date\": \"2023-11-14T22:13:22.000000Z\"}");
    struct ipmpi_frame metadata = text_frame("{\"status\": \"ok\"}");
    struct ipmpi_frame content = text_frame("{\"status\": \"ok\"}");
    struct ipmpi_frames buffers = {0};
    struct ipmpi_buffer *buffer;
    int err;

    CHECK_EQ(ipmpi_buffer_alloc(buffer_len, &buffer), 0);
    memset(ipmpi_buffer_data(buffer), 'r', buffer_len);
    CHECK_EQ(ipmpi_frames_add_view(&buffers, buffer, 0, buffer_len), 0);
    ipmpi_buffer_release(&buffer);
    err = ipmpi_taskdb_decide(
        db, msg_id,
        &(struct ipmpi_result){.engine_uuid = engine,
                               .started_us = T0_US + 1000000,
                               .completed_us = T0_US + 2000000,
                               .header = &header,
                               .metadata = &metadata,
                               .content = &content,
                               .frames = &buffers});
    ipmpi_frames_clear(&buffers);
    return err;
}

static inline void output(struct ipmpi_taskdb *db, const char *msg_id,
                          enum ipmpi_iopub_kind kind, const char *content)
{
    struct ipmpi_frames copy = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&copy, content, strlen(content)), 0);
    CHECK_EQ(ipmpi_taskdb_output(db, msg_id, kind, &copy.at[0]), 0);
    ipmpi_frames_clear(&copy);
}

/* An answer, once it is there. */
struct asked {
    bool done;
    struct ipmpi_hub_error error; /* ename NULL: none */
    json_t *content;
    struct ipmpi_frames buffers;
    struct ipmpi_record *records[64];
    size_t nrecords;
};

static inline void on_reply(void *arg, const struct ipmpi_hub_error *error,
                            const struct ipmpi_frame *content,
                            struct ipmpi_frames *buffers)
{
    struct asked *asked = arg;

    CHECK(!asked->done);
    asked->done = true;
    if (error != NULL) {
        asked->error = *error;
        return;
    }
    asked->content = json_loadb((const char *)content->data, content->len,
                                JSON_ALLOW_NUL, NULL);
    CHECK(asked->content != NULL);
    ipmpi_frames_move(&asked->buffers, buffers);
}

static inline void on_records(void *arg, const struct ipmpi_hub_error *error,
                              struct ipmpi_record *const *records, size_t n)
{
    struct asked *asked = arg;

    CHECK(!asked->done);
    asked->done = true;
    if (error != NULL) {
        asked->error = *error;
        return;
    }
    CHECK(n <= 64);
    asked->nrecords = n;
    for (size_t i = 0; i < n; i++)
        if (records[i] != NULL)
            asked->records[i] = ipmpi_record_share(records[i]);
}

static inline void await(struct ipmpi_taskdb *db, const struct asked *asked)
{
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;

    while (!asked->done) {
        struct pollfd fd = {.fd = ipmpi_taskdb_fd(db), .events = POLLIN};

        CHECK(ipmpi_clock_now_us() < deadline);
        poll(&fd, 1, 1000);
        ipmpi_taskdb_poll(db);
    }
}

static inline struct asked ask(struct ipmpi_taskdb *db, const char *query,
                               const char *keys)
{
    struct asked asked = {0};
    json_t *q = json_loads(query, JSON_DECODE_ANY, NULL);
    json_t *k = keys != NULL ? json_loads(keys, JSON_DECODE_ANY, NULL) : NULL;

    CHECK(q != NULL);
    ipmpi_taskdb_query(db, q, k, on_reply, &asked);
    json_decref(q);
    json_decref(k);
    await(db, &asked);
    return asked;
}

static inline struct asked ask_history(struct ipmpi_taskdb *db)
{
    struct asked asked = {0};

    ipmpi_taskdb_history(db, on_reply, &asked);
    await(db, &asked);
    return asked;
}

static inline struct asked ask_to_settle(struct ipmpi_taskdb *db)
{
    struct asked asked = {0};

    ipmpi_taskdb_settle(db, on_reply, &asked);
    await(db, &asked);
    return asked;
}

static inline struct asked fetch(struct ipmpi_taskdb *db,
                                 const char *const *ids, size_t n,
                                 uint32_t fields)
{
    struct asked asked = {0};

    ipmpi_taskdb_fetch(db, ids, n, fields, on_records, &asked);
    await(db, &asked);
    return asked;
}

static inline void forget(struct asked *asked)
{
    json_decref(asked->content);
    ipmpi_frames_clear(&asked->buffers);
    for (size_t i = 0; i < asked->nrecords; i++)
        ipmpi_record_release(&asked->records[i]);
    *asked = (struct asked){0};
}

/* The msg_ids of a query's answer, joined by spaces: "a b c". */
static inline const char *ids_of(const struct asked *asked, char *out,
                                 size_t cap)
{
    const json_t *list = json_object_get(asked->content, "records");
    size_t at = 0;

    out[0] = '\0';
    if (list == NULL)
        list = json_object_get(asked->content, "history");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *id =
            json_is_string(item) ? item : json_object_get(item, "msg_id");

        at += (size_t)snprintf(out + at, cap - at, "%s%s", at > 0 ? " " : "",
                               json_string_value(id));
        CHECK(at < cap);
    }
    return out;
}

#define CHECK_IDS(asked, want)                               \
    do {                                                     \
        char ids_[4096];                                     \
        CHECK(asked.error.ename == NULL);                    \
        CHECK_STR(ids_of(&asked, ids_, sizeof(ids_)), want); \
        forget(&asked);                                      \
    } while (0)

#endif

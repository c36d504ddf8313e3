/* See transcript.h. */
#include "tests/runtime/engine/transcript.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/check.h"
#include "tests/runtime/engine/kept.h"
#include "tests/runtime/engine/requests.h"

/* ---- what a message is about ---------------------------------------- */

/* Frame `part` of the composed message: 0 signature, 1 header, 2 parent,
 * 3 metadata, 4 content, 5.. buffers. */
static const struct ipmpi_frame *part_of(const struct kept *k, size_t part)
{
    const size_t first = k->head.type == IPMPI_MSG_IOPUB ? 2 : 1;

    CHECK(k->frames.n >= first + 5);
    return &k->frames.at[first + part];
}

static bool is_composed(const struct kept *k)
{
    return k->head.type == IPMPI_MSG_IOPUB ||
           ((k->head.type == IPMPI_MSG_REPLY ||
             k->head.type == IPMPI_MSG_CONTROL_REPLY) &&
            k->frames.n > 1);
}

static bool is_about(const struct kept *k, uint64_t ref)
{
    char mark[64];
    const struct ipmpi_frame *parent;

    if (!is_composed(k))
        return k->head.ref == ref;
    request_mark(ref, mark, sizeof(mark));
    parent = part_of(k, 2);
    return parent->len > strlen(mark) &&
           memcmp(parent->data, mark, strlen(mark)) == 0;
}

static bool is_last_about(const struct kept *k, uint64_t ref)
{
    if (!is_about(k, ref))
        return false;
    return k->head.type == IPMPI_MSG_CONTROL_REPLY ||
           (k->head.type == IPMPI_MSG_IOPUB &&
            k->head.kind == IPMPI_IOPUB_IDLE);
}

bool controller_is_done(uint64_t ref)
{
    const struct kept *k;

    for (int i = 0; (k = kept_at(i)) != NULL; i++)
        if (is_last_about(k, ref))
            return true;
    return false;
}

int controller_where(uint64_t ref)
{
    const struct kept *k;

    for (int i = 0; (k = kept_at(i)) != NULL; i++)
        if (k->head.type == IPMPI_MSG_IOPUB &&
            k->head.kind == IPMPI_IOPUB_BUSY && is_about(k, ref))
            return k->engine;
    return -1;
}

void controller_await_busy(uint64_t ref)
{
    const int64_t deadline = kept_deadline();

    while (controller_where(ref) < 0)
        kept_turn(deadline);
}

/* ---- taking apart --------------------------------------------------- */

static void copy_part(const struct kept *k, size_t part, char *out, size_t cap)
{
    const struct ipmpi_frame *f = part_of(k, part);

    CHECK(f->len < cap);
    memcpy(out, f->data, f->len);
    out[f->len] = '\0';
}

/* Appends the text of a stream message; \n is the only escape we expect. */
static void add_stream(const struct kept *k, struct transcript *t)
{
    static const char start[2][32] = {"{\"name\":\"stdout\",\"text\":\"",
                                      "{\"name\":\"stderr\",\"text\":\""};
    const struct ipmpi_frame *f = part_of(k, 4);
    const int which = memcmp(f->data, start[0], strlen(start[0])) != 0;
    const size_t at = strlen(start[which]);
    char *out;

    CHECK_MEM(f->data, start[which], at);
    CHECK_MEM(f->data + f->len - 2, "\"}", 2);
    t->text[which] = realloc(t->text[which], t->text_len[which] + f->len);
    CHECK(t->text[which] != NULL);
    out = t->text[which] + t->text_len[which];
    for (size_t i = at; i < f->len - 2; i++) {
        const bool escaped = f->data[i] == '\\';

        i += escaped;
        CHECK(!escaped || f->data[i] == 'n');
        *out++ = escaped ? '\n' : (char)f->data[i];
    }
    *out = '\0';
    t->text_len[which] = (size_t)(out - t->text[which]);
    t->nstreams++;
}

static void note_reply(const struct kept *k, struct transcript *t)
{
    t->reply = t->n;
    t->nreplies++;
    t->head = k->head;
    if (k->frames.n == 1)
        return; /* the engine did not know the type */
    copy_part(k, 3, t->metadata, sizeof(t->metadata));
    copy_part(k, 4, t->content, sizeof(t->content));
    t->nbuffers = (int)(k->frames.n - 6);
    for (int i = 0; i < t->nbuffers; i++)
        t->buffer_bytes += k->frames.at[6 + i].len;
    for (int i = 0; i < t->nbuffers; i++)
        for (size_t at = 0; at < k->frames.at[6 + i].len; at++)
            if (k->frames.at[6 + i].data[at] != (uint8_t)(at + (size_t)i))
                fail_msg("byte %zu of buffer %d is wrong", at, i);
}

static void note_iopub(const struct kept *k, struct transcript *t)
{
    switch (k->head.kind) {
    case IPMPI_IOPUB_BUSY:
        t->busy = t->n;
        break;
    case IPMPI_IOPUB_IDLE:
        t->idle = t->n;
        break;
    case IPMPI_IOPUB_STREAM:
        t->last_stream = t->n;
        add_stream(k, t);
        break;
    default:
        t->published = t->n;
        copy_part(k, 4, t->publication, sizeof(t->publication));
    }
}

static void check_signature(const struct kept *k)
{
    CHECK_EQ(ipmpi_verify(kept_key(), part_of(k, 0), part_of(k, 1)), 0);
}

static void note_type(const struct kept *k, struct transcript *t)
{
    static const char name[] = "\"msg_type\":\"";
    char header[512], *at;

    copy_part(k, 1, header, sizeof(header));
    at = strstr(header, name);
    CHECK(at != NULL);
    at += strlen(name);
    snprintf(t->type, sizeof(t->type), "%.*s", (int)strcspn(at, "\""), at);
}

static void note(const struct kept *k, struct transcript *t)
{
    if (is_composed(k))
        check_signature(k);
    if (k->head.type == IPMPI_MSG_IOPUB) {
        note_iopub(k, t);
    } else {
        note_reply(k, t);
        if (is_composed(k))
            note_type(k, t);
    }
    t->n++;
}

void controller_await(uint64_t ref, struct transcript *out)
{
    const int64_t deadline = kept_deadline();
    const struct kept *k;

    while (!controller_is_done(ref))
        kept_turn(deadline);
    *out = (struct transcript){.busy = -1,
                               .reply = -1,
                               .idle = -1,
                               .last_stream = -1,
                               .published = -1};
    for (int i = 0; (k = kept_at(i)) != NULL; i++)
        if (is_about(k, ref))
            note(k, out);
}

void transcript_clear(struct transcript *t)
{
    free(t->text[0]);
    free(t->text[1]);
    *t = (struct transcript){0};
}

/* See controller.h. */
#include "tests/runtime/engine/controller.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/comm/comm.h"
#include "runtime/message/sign.h"

enum {
    MAX_KEPT = 4096,
    MAX_ENGINES = 8,
    HEADER_CAP = 256,
    DEADLINE_US = 40 * 1000000
};

struct kept {
    int engine;
    struct ipmpi_msg_head head;
    struct ipmpi_frames frames;
};

static struct ipmpi_comm *job;
static struct ipmpi_key *key;
static struct kept kept[MAX_KEPT];
static int nkept;
static uint64_t last_ref;
static int32_t naborts[MAX_ENGINES]; /* replies that aborted queued cells */

/* ---- sending -------------------------------------------------------- */

static void add_text(struct ipmpi_frames *frames, const char *text)
{
    CHECK_EQ(ipmpi_frames_add_copy(frames, text, strlen(text)), 0);
}

static void add_head(struct ipmpi_frames *frames,
                     const struct ipmpi_msg_head *head)
{
    CHECK_EQ(ipmpi_frames_add_copy(frames, head, sizeof(*head)), 0);
}

static void send_to(int engine, struct ipmpi_frames *frames)
{
    CHECK_EQ(ipmpi_comm_send(job, engine + 1, frames), 0);
}

static void request_header(uint64_t ref, const char *msg_type, char *out)
{
    snprintf(out, HEADER_CAP,
             "{\"msg_id\": \"c_%llu\", \"x\": {\"msg_type\": [1, \"}\"]}, "
             "\"msg_type\": \"%s\", \"username\": \"u\", \"session\": \"c\", "
             "\"date\": \"2026-01-02T03:04:05.000006Z\", \"version\": \"5.3\"}",
             (unsigned long long)ref, msg_type);
}

/* The header's beginning, by which answers are found. */
static void request_mark(uint64_t ref, char *out)
{
    snprintf(out, HEADER_CAP, "{\"msg_id\": \"c_%llu\"",
             (unsigned long long)ref);
}

static uint64_t send_request(int engine, const struct ipmpi_msg_head *what,
                             const char *msg_type, const char *order,
                             const struct ipmpi_frames *buffers)
{
    struct ipmpi_msg_head head = *what;
    struct ipmpi_frames frames = {0};
    char text[HEADER_CAP];

    head.version = IPMPI_PROTOCOL_VERSION;
    head.ref = ++last_ref;
    add_head(&frames, &head);
    request_header(head.ref, msg_type, text);
    add_text(&frames, text);
    add_text(&frames, "\"label\":null,\"is_broadcast\":false");
    snprintf(text, sizeof(text), "{\"do\": \"%s\"}", order);
    add_text(&frames, text);
    if (buffers != NULL)
        CHECK_EQ(ipmpi_frames_add_from(&frames, buffers, 0, buffers->n), 0);
    send_to(engine, &frames);
    return last_ref;
}

uint64_t controller_work(int engine, enum ipmpi_work_kind kind,
                         const char *msg_type, const char *order)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK,
                                        .kind = (uint16_t)kind,
                                        .detail = naborts[engine]};

    return send_request(engine, &head, msg_type, order, NULL);
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

void controller_say(int engine, enum ipmpi_msg_type type, int detail,
                    const uint64_t *refs, int n, const uint64_t *others,
                    int nothers)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = (uint16_t)type,
                                        .detail = detail};
    struct ipmpi_frames frames = {0};

    add_head(&frames, &head);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, refs, (size_t)n * sizeof(*refs)),
             0);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, others,
                                   (size_t)nothers * sizeof(*others)),
             0);
    send_to(engine, &frames);
}

uint64_t controller_late_cell(int engine, const char *order)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK,
                                        .kind = IPMPI_WORK_EXECUTE,
                                        .detail = naborts[engine] - 1};

    return send_request(engine, &head, "execute_request", order, NULL);
}

uint64_t controller_control(int engine, const char *msg_type)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_CONTROL};

    return send_request(engine, &head, msg_type, "", NULL);
}

uint64_t controller_work_buffers(int engine, const char *order,
                                 const size_t *len, int n)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK,
                                        .kind = IPMPI_WORK_APPLY};
    struct ipmpi_frames buffers = {0};
    uint64_t ref;

    for (int i = 0; i < n; i++) {
        struct ipmpi_buffer *buffer;
        uint8_t *data;

        CHECK_EQ(ipmpi_buffer_alloc(len[i], &buffer), 0);
        data = ipmpi_buffer_data(buffer);
        for (size_t at = 0; at < len[i]; at++)
            data[at] = (uint8_t)(at + (size_t)i);
        CHECK_EQ(ipmpi_frames_add_view(&buffers, buffer, 0, len[i]), 0);
        ipmpi_buffer_release(&buffer);
    }
    ref = send_request(engine, &head, "apply_request", order, &buffers);
    ipmpi_frames_clear(&buffers);
    return ref;
}

void controller_send(int engine, const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_frames out = {0};
    struct ipmpi_msg_head full = *head;

    full.version = IPMPI_PROTOCOL_VERSION;
    add_head(&out, &full);
    CHECK_EQ(ipmpi_frames_add_from(&out, frames, 0, frames->n), 0);
    ipmpi_frames_clear(frames);
    send_to(engine, &out);
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
    add_text(&frames, text);
    add_text(&frames, "\"label\":null,\"is_broadcast\":true");
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &number, sizeof(number)), 0);
    controller_send(engine, &head, &frames);
    return last_ref;
}

void controller_abort(int engine, const uint64_t *refs, int n)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_ABORT};
    struct ipmpi_frames frames = {0};

    add_head(&frames, &head);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, refs, (size_t)n * sizeof(*refs)),
             0);
    send_to(engine, &frames);
}

void controller_signal(int engine, int number)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_SIGNAL,
                                        .detail = number};
    struct ipmpi_frames frames = {0};

    add_head(&frames, &head);
    send_to(engine, &frames);
}

void controller_raw(int engine, const struct ipmpi_msg_head *head,
                    size_t head_len, int nframes)
{
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&frames, head, head_len), 0);
    for (int i = 0; i < nframes; i++)
        add_text(&frames, "{}");
    send_to(engine, &frames);
}

void controller_tell(int engine, enum ipmpi_msg_type type)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = (uint16_t)type};

    controller_raw(engine, &head, sizeof(head), 0);
}

/* ---- receiving ------------------------------------------------------ */

static void keep(void *ctx, int source, struct ipmpi_frames *frames)
{
    struct kept *k = &kept[nkept];

    (void)ctx;
    CHECK(nkept < MAX_KEPT);
    CHECK(frames->n >= 1 && frames->at[0].len == sizeof(k->head));
    k->engine = source - 1;
    memcpy(&k->head, frames->at[0].data, sizeof(k->head));
    CHECK_EQ(k->head.version, IPMPI_PROTOCOL_VERSION);
    CHECK(k->engine < MAX_ENGINES);
    if (k->head.type == IPMPI_MSG_REPLY)
        naborts[k->engine] += (k->head.flags & IPMPI_REPLY_ABORT_QUEUED) != 0;
    ipmpi_frames_move(&k->frames, frames);
    nkept++;
}

static void turn(int64_t deadline)
{
    struct pollfd fds[2];
    int at[2], n, wait;

    if (ipmpi_clock_now_us() > deadline)
        fail_msg("nothing came in time");
    if (ipmpi_comm_progress(job, 64, keep, NULL) > 0)
        return;
    wait = ipmpi_comm_before_sleep(job);
    n = ipmpi_comm_fds(job, at);
    for (int i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = at[i], .events = POLLIN};
    poll(fds, (nfds_t)n, wait < 0 || wait > 1000 ? 1000 : wait);
    ipmpi_comm_after_sleep(job, NULL, NULL);
}

static int find(int engine, enum ipmpi_msg_type type, int from)
{
    for (int i = from; i < nkept; i++)
        if (kept[i].engine == engine && kept[i].head.type == type)
            return i;
    return -1;
}

struct ipmpi_msg_head controller_await_type(int engine,
                                            enum ipmpi_msg_type type)
{
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;

    while (find(engine, type, 0) < 0)
        turn(deadline);
    return kept[find(engine, type, 0)].head;
}

int controller_count(enum ipmpi_msg_type type)
{
    int n = 0;

    for (int i = 0; i < nkept; i++)
        n += kept[i].head.type == type;
    return n;
}

void controller_await_count(enum ipmpi_msg_type type, int n)
{
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;

    while (controller_count(type) < n)
        turn(deadline);
}

bool controller_has(enum ipmpi_msg_type type, uint64_t ref, int detail)
{
    for (int i = 0; i < nkept; i++)
        if (kept[i].head.type == type && kept[i].head.ref == ref &&
            kept[i].head.detail == detail)
            return true;
    return false;
}

int controller_take_refs(int engine, enum ipmpi_msg_type type,
                         uint64_t *refs_out, int cap, int *detail_out)
{
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;
    int i, n = 0;

    while ((i = find(engine, type, 0)) < 0)
        turn(deadline);
    if (kept[i].frames.n > 1) {
        n = (int)(kept[i].frames.at[1].len / sizeof(uint64_t));
        CHECK(n <= cap);
        if (n > 0)
            memcpy(refs_out, kept[i].frames.at[1].data,
                   (size_t)n * sizeof(uint64_t));
    }
    *detail_out = kept[i].head.detail;
    kept[i].engine = -1; /* nobody finds it again */
    return n;
}

/* Grants what one kept message hands over; returns how many tasks. */
static int grant_kept(int i)
{
    const struct ipmpi_frame *refs = &kept[i].frames.at[1];
    const int n = (int)(refs->len / sizeof(uint64_t));
    uint64_t copy[64];

    CHECK(n <= 64);
    if (n > 0)
        memcpy(copy, refs->data, refs->len);
    controller_say(kept[i].head.detail - 1, IPMPI_MSG_GRANT, kept[i].engine + 1,
                   copy, n, NULL, 0);
    kept[i].engine = -1;
    return n;
}

static bool all_done(const uint64_t *refs, int n)
{
    for (int i = 0; i < n; i++)
        if (!controller_is_done(refs[i]))
            return false;
    return true;
}

int controller_grant_until_done(const uint64_t *refs, int n)
{
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;
    int moved = 0, i;

    while (!all_done(refs, n)) {
        for (int engine = 0; engine < controller_engines(); engine++)
            while ((i = find(engine, IPMPI_MSG_HANDOVER, 0)) >= 0)
                moved += grant_kept(i);
        turn(deadline);
    }
    return moved;
}

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
    char mark[HEADER_CAP];
    const struct ipmpi_frame *parent;

    if (!is_composed(k))
        return k->head.ref == ref;
    request_mark(ref, mark);
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
    for (int i = 0; i < nkept; i++)
        if (is_last_about(&kept[i], ref))
            return true;
    return false;
}

int controller_where(uint64_t ref)
{
    for (int i = 0; i < nkept; i++)
        if (kept[i].head.type == IPMPI_MSG_IOPUB &&
            kept[i].head.kind == IPMPI_IOPUB_BUSY && is_about(&kept[i], ref))
            return kept[i].engine;
    return -1;
}

void controller_await_busy(uint64_t ref)
{
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;

    while (controller_where(ref) < 0)
        turn(deadline);
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
    CHECK_EQ(ipmpi_verify(key, part_of(k, 0), part_of(k, 1)), 0);
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
    const int64_t deadline = ipmpi_clock_now_us() + DEADLINE_US;

    while (!controller_is_done(ref))
        turn(deadline);
    *out = (struct transcript){.busy = -1,
                               .reply = -1,
                               .idle = -1,
                               .last_stream = -1,
                               .published = -1};
    for (int i = 0; i < nkept; i++)
        if (is_about(&kept[i], ref))
            note(&kept[i], out);
}

void transcript_clear(struct transcript *t)
{
    free(t->text[0]);
    free(t->text[1]);
    *t = (struct transcript){0};
}

/* ---- fixtures ------------------------------------------------------- */

int controller_engines(void)
{
    return ipmpi_comm_size(job) - 1;
}

static void welcome(int engine)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_WELCOME,
                                        .flags = IPMPI_WELCOME_STEAL,
                                        .detail = engine};
    struct ipmpi_frames frames = {0};
    char text[64];

    add_head(&frames, &head);
    add_text(&frames, CONTROLLER_KEY);
    snprintf(text, sizeof(text), "uuid-%d", engine);
    add_text(&frames, text);
    snprintf(text, sizeof(text), "session-%d", engine);
    add_text(&frames, text);
    add_text(&frames, "somebody");
    send_to(engine, &frames);
}

int controller_open(void **state)
{
    const struct ipmpi_comm_options options = {.protocol =
                                                   IPMPI_PROTOCOL_VERSION};

    (void)state;
    if (ipmpi_comm_open(&options, &job) != 0 ||
        ipmpi_key_create(CONTROLLER_KEY, strlen(CONTROLLER_KEY), &key) != 0)
        return -1;
    for (int i = 0; i < controller_engines(); i++)
        welcome(i);
    for (int i = 0; i < controller_engines(); i++)
        controller_await_type(i, IPMPI_MSG_READY);
    return 0;
}

int controller_close(void **state)
{
    (void)state;
    for (int i = 0; i < controller_engines(); i++)
        controller_tell(i, IPMPI_MSG_BYE);
    for (int i = 0; i < nkept; i++)
        ipmpi_frames_clear(&kept[i].frames);
    ipmpi_key_destroy(&key);
    return ipmpi_comm_close(&job, 20000);
}

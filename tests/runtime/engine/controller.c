/* See controller.h and kept.h. */
#include "tests/runtime/engine/controller.h"

#include <poll.h>
#include <stdio.h>

#include "runtime/base/clock.h"
#include "runtime/comm/comm.h"
#include "tests/runtime/engine/kept.h"

enum { MAX_KEPT = 4096, MAX_ENGINES = 8, DEADLINE_US = 40 * 1000000 };

static struct ipmpi_comm *job;
static struct ipmpi_key *key;
static struct kept kept[MAX_KEPT];
static int nkept;
static int32_t naborts[MAX_ENGINES];

/* ---- sending -------------------------------------------------------- */

static void send_to(int engine, struct ipmpi_frames *frames)
{
    CHECK_EQ(ipmpi_comm_send(job, engine + 1, frames), 0);
}

void controller_send(int engine, const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames)
{
    struct ipmpi_frames out = {0};
    struct ipmpi_msg_head full = *head;

    full.version = IPMPI_PROTOCOL_VERSION;
    CHECK_EQ(ipmpi_frames_add_copy(&out, &full, sizeof(full)), 0);
    CHECK_EQ(ipmpi_frames_add_from(&out, frames, 0, frames->n), 0);
    ipmpi_frames_clear(frames);
    send_to(engine, &out);
}

static void send_head(int engine, enum ipmpi_msg_type type, int detail)
{
    const struct ipmpi_msg_head head = {.type = (uint16_t)type,
                                        .detail = detail};
    struct ipmpi_frames none = {0};

    controller_send(engine, &head, &none);
}

void controller_tell(int engine, enum ipmpi_msg_type type)
{
    send_head(engine, type, 0);
}

void controller_signal(int engine, int number)
{
    send_head(engine, IPMPI_MSG_SIGNAL, number);
}

void controller_raw(int engine, const struct ipmpi_msg_head *head,
                    size_t head_len, int nframes)
{
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&frames, head, head_len), 0);
    for (int i = 0; i < nframes; i++)
        controller_add_text(&frames, "{}");
    send_to(engine, &frames);
}

void controller_add_text(struct ipmpi_frames *frames, const char *text)
{
    CHECK_EQ(ipmpi_frames_add_copy(frames, text, strlen(text)), 0);
}

void controller_add_refs(struct ipmpi_frames *frames, const uint64_t *refs,
                         int n)
{
    CHECK_EQ(ipmpi_frames_add_copy(frames, refs, (size_t)n * sizeof(*refs)), 0);
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

void kept_turn(int64_t deadline)
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

int64_t kept_deadline(void)
{
    return ipmpi_clock_now_us() + DEADLINE_US;
}

struct kept *kept_at(int i)
{
    return i < nkept ? &kept[i] : NULL;
}

struct kept *kept_find(int engine, enum ipmpi_msg_type type)
{
    for (int i = 0; i < nkept; i++)
        if (kept[i].engine == engine && kept[i].head.type == type)
            return &kept[i];
    return NULL;
}

int32_t kept_naborts(int engine)
{
    return naborts[engine];
}

const struct ipmpi_key *kept_key(void)
{
    return key;
}

struct ipmpi_msg_head controller_await_type(int engine,
                                            enum ipmpi_msg_type type)
{
    const int64_t deadline = kept_deadline();

    while (kept_find(engine, type) == NULL)
        kept_turn(deadline);
    return kept_find(engine, type)->head;
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
    const int64_t deadline = kept_deadline();

    while (controller_count(type) < n)
        kept_turn(deadline);
}

bool controller_has(enum ipmpi_msg_type type, uint64_t ref, int detail)
{
    for (int i = 0; i < nkept; i++)
        if (kept[i].head.type == type && kept[i].head.ref == ref &&
            kept[i].head.detail == detail)
            return true;
    return false;
}

/* ---- fixtures ------------------------------------------------------- */

int controller_engines(void)
{
    return ipmpi_comm_size(job) - 1;
}

static void welcome(int engine)
{
    const struct ipmpi_msg_head head = {.type = IPMPI_MSG_WELCOME,
                                        .flags = IPMPI_WELCOME_STEAL,
                                        .detail = engine};
    struct ipmpi_frames frames = {0};
    char text[64];

    controller_add_text(&frames, CONTROLLER_KEY);
    snprintf(text, sizeof(text), "uuid-%d", engine);
    controller_add_text(&frames, text);
    snprintf(text, sizeof(text), "session-%d", engine);
    controller_add_text(&frames, text);
    controller_add_text(&frames, "somebody");
    controller_send(engine, &head, &frames);
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

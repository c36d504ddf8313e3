/* The fake world around a hub. */
#include "tests/bridge/fake_hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "bridge/engines.h"
#include "bridge/farewells.h"
#include "bridge/hub/taskdb.h"
#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/dispatch.h"
#include "bridge/wire/json.h"
#include "tests/bridge/wire/message.h"

static void keep(struct fake_sent **list, int where,
                 struct ipmpi_frames *frames)
{
    struct fake_sent *sent = calloc(1, sizeof(*sent));

    CHECK(sent != NULL);
    sent->where = where;
    ipmpi_frames_move(&sent->frames, frames);
    DL_APPEND(*list, sent);
}

static void to_client(void *ctx, enum ipmpi_door door,
                      struct ipmpi_frames *frames)
{
    keep(&((struct fake_hub *)ctx)->to_clients, door, frames);
}

static void to_rank(void *ctx, int rank, struct ipmpi_frames *frames)
{
    keep(&((struct fake_hub *)ctx)->to_ranks, rank, frames);
}

static int64_t now_us(void *ctx)
{
    return ((struct fake_hub *)ctx)->now_us;
}

static void drop_first(struct fake_sent **list)
{
    struct fake_sent *first = *list;

    DL_DELETE(*list, first);
    ipmpi_frames_clear(&first->frames);
    free(first);
}

struct fake_hub *fake_hub_open(size_t hwm)
{
    const struct ipmpi_taskdb_options options = {.kind = IPMPI_TASKDB_MEMORY};
    struct fake_hub *fake = calloc(1, sizeof(*fake));

    CHECK(fake != NULL);
    fake->now_us = 1000;
    fake->hub.out =
        (struct ipmpi_outlets){fake, to_client, to_rank, NULL, now_us, now_us};
    CHECK_EQ(ipmpi_key_create("secret", 6, &fake->key), 0);
    fake->hub.key = fake->key;
    CHECK_EQ(ipmpi_composer_create(fake->key, "hub", "u", &fake->hub.composer),
             0);
    CHECK_EQ(ipmpi_taskdb_open(&options, &fake->hub.db), 0);
    CHECK_EQ(ipmpi_balanced_open(&fake->hub, IPMPI_SCHEME_LEASTLOAD, hwm), 0);
    CHECK_EQ(ipmpi_abort_memory_create(&fake->hub.aborted), 0);
    return fake;
}

void fake_hub_close(struct fake_hub *fake)
{
    struct ipmpi_engine *engine, *next;

    HASH_ITER (by_id, fake->hub.registry.by_id, engine, next)
        ipmpi_engines_lost(&fake->hub, engine->rank, NULL);
    ipmpi_farewells_hurry(&fake->hub);
    ipmpi_balanced_close(&fake->hub);
    CHECK(fake->hub.ledger.by_ref == NULL); /* nothing undecided is kept */
    CHECK_EQ(fake->hub.ledger.held_bytes, 0);
    ipmpi_abort_memory_destroy(&fake->hub.aborted);
    ipmpi_taskdb_destroy(&fake->hub.db);
    ipmpi_composer_destroy(&fake->hub.composer);
    ipmpi_key_destroy(&fake->key);
    while (fake->to_clients != NULL)
        drop_first(&fake->to_clients);
    while (fake->to_ranks != NULL)
        drop_first(&fake->to_ranks);
    free(fake);
}

struct ipmpi_engine *fake_engine(struct fake_hub *fake)
{
    struct ipmpi_engine *engine;

    CHECK_EQ(ipmpi_registry_add(&fake->hub.registry,
                                fake->hub.registry.next_id + 1, -1, &engine),
             0);
    engine->world = 1;
    ipmpi_registry_ready(&fake->hub.registry, engine);
    ipmpi_balanced_engine_came(&fake->hub, engine);
    return engine;
}

void fake_engine_dies(struct fake_hub *fake, int id)
{
    const struct ipmpi_exit_notice notice = {.rank = id + 1, .wait_status = -1};

    ipmpi_engines_lost(&fake->hub, id + 1, &notice);
}

void fake_engine_killed(struct fake_hub *fake, int id, uint64_t n,
                        const uint64_t *refs)
{
    struct ipmpi_exit_notice notice = {.rank = id + 1,
                                       .wait_status = 9,
                                       .flags = IPMPI_EXIT_COUNTED,
                                       .begun.n = n};

    for (uint64_t i = 0; i < n; i++)
        notice.begun.refs[i % IPMPI_BEGUN_CAP] = refs[i];
    ipmpi_engines_lost(&fake->hub, id + 1, &notice);
}

uint64_t fake_ref(struct fake_hub *fake, const char *msg_id)
{
    return ipmpi_job_by_id(&fake->hub.ledger, msg_id)->ref;
}

struct ipmpi_request *fake_request(struct fake_hub *fake, const char *msg_type,
                                   const char *msg_id, const char *ident,
                                   const char *metadata, const char *content)
{
    static const struct ipmpi_limits limits = IPMPI_LIMITS_DEFAULT;
    char header[512];
    const struct test_message message = {ident,    header,  NULL,
                                         metadata, content, 1};
    struct ipmpi_frames frames = {0};
    struct ipmpi_request *request;

    snprintf(header, sizeof(header),
             "{\"msg_id\":\"%s\",\"msg_type\":\"%s\",\"session\":\"s\","
             "\"username\":\"u\",\"version\":\"5.3\","
             "\"date\":\"2026-01-02T03:04:05.000006Z\"}",
             msg_id, msg_type);
    make_message(&message, fake->key, &frames);
    CHECK_EQ(ipmpi_request_open(&frames, fake->key, NULL, &limits, &request),
             0);
    return request;
}

void fake_task(struct fake_hub *fake, const char *msg_id, const char *metadata)
{
    struct ipmpi_request *request =
        fake_request(fake, "apply_request", msg_id, NULL, metadata, NULL);

    ipmpi_balanced_submit(&fake->hub, request, true);
    ipmpi_request_release(&request);
}

int fake_where(struct fake_hub *fake, const char *msg_id)
{
    const struct ipmpi_job *job = ipmpi_job_by_id(&fake->hub.ledger, msg_id);

    return job != NULL && job->engine != NULL ? job->engine->id : -1;
}

static void add_parts(struct ipmpi_frames *frames, const char *msg_id,
                      const char *status)
{
    char parent[256], metadata[256], content[256];

    snprintf(parent, sizeof(parent), "{\"msg_id\":\"%s\"}", msg_id);
    snprintf(metadata, sizeof(metadata), "{\"status\":\"%s\"}", status);
    if (strcmp(status, "error") == 0)
        snprintf(content, sizeof(content),
                 "{\"status\":\"error\",\"ename\":\"Boom\"}");
    else
        snprintf(content, sizeof(content), "{\"status\":\"%s\"}", status);
    add_text(frames, "signature");
    add_text(frames, "{\"msg_id\":\"r\",\"msg_type\":\"apply_reply\"}");
    add_text(frames, parent);
    add_text(frames, metadata);
    add_text(frames, content);
    add_text(frames, "result");
}

void fake_reply(struct fake_hub *fake, const char *msg_id,
                enum ipmpi_status status)
{
    static const char *const words[] = {"ok", "error", "aborted", "error"};
    struct ipmpi_job *job = ipmpi_job_by_id(&fake->hub.ledger, msg_id);
    struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_REPLY,
        .kind = (uint16_t)status,
    };
    struct ipmpi_frames frames = {0};

    CHECK(job != NULL && job->engine != NULL);
    head.ref = job->ref;
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    add_parts(&frames, msg_id, words[status]);
    ipmpi_engines_receive(&fake->hub, job->engine->rank, &frames);
    ipmpi_frames_clear(&frames);
}

/* The frames after the delimiter. */
static size_t find_delimiter(const struct ipmpi_frames *frames)
{
    for (size_t i = 0; i < frames->n; i++) {
        if (frames->at[i].len == IPMPI_DELIM_LEN &&
            memcmp(frames->at[i].data, IPMPI_DELIM, IPMPI_DELIM_LEN) == 0)
            return i + 1;
    }
    fail_msg("no delimiter");
    return 0;
}

static const char *const doors[IPMPI_NDOORS] = {
    "query", "control", "mux", "task", "broadcast", "iopub", "notification"};

const char *fake_answer(struct fake_hub *fake)
{
    static char text[512];
    json_t *header, *parent, *content;
    const char *status;
    size_t at;

    if (fake->to_clients == NULL)
        return "";
    at = find_delimiter(&fake->to_clients->frames);
    CHECK_EQ(ipmpi_json_load(&fake->to_clients->frames.at[at + 1], &header), 0);
    CHECK_EQ(ipmpi_json_load(&fake->to_clients->frames.at[at + 2], &parent), 0);
    CHECK_EQ(ipmpi_json_load(&fake->to_clients->frames.at[at + 4], &content),
             0);
    status = ipmpi_json_string(content, "ename",
                               ipmpi_json_string(content, "status", ""));
    snprintf(text, sizeof(text), "%s %s %s %s", doors[fake->to_clients->where],
             ipmpi_json_string(header, "msg_type", "?"),
             ipmpi_json_string(parent, "msg_id", "-"), status);
    json_decref(header);
    json_decref(parent);
    json_decref(content);
    drop_first(&fake->to_clients);
    return text;
}

int fake_told(struct fake_hub *fake, int *rank_out, uint64_t *ref_out)
{
    struct ipmpi_msg_head head;

    if (fake->to_ranks == NULL)
        return 0;
    CHECK_EQ(fake->to_ranks->frames.at[0].len, sizeof(head));
    memcpy(&head, fake->to_ranks->frames.at[0].data, sizeof(head));
    if (rank_out != NULL)
        *rank_out = fake->to_ranks->where;
    if (ref_out != NULL)
        *ref_out = head.ref;
    drop_first(&fake->to_ranks);
    return head.type;
}

/* For tests of tasks ahead of need and of thefts: a hub with engines of one
 * world, what rank 0 orders, and what engines say. */
#ifndef IPMPI_TESTS_SCHEDULERS_THIEVING_H
#define IPMPI_TESTS_SCHEDULERS_THIEVING_H

#include <stdio.h>

#include "bridge/engines.h"
#include "tests/bridge/fake_hub.h"

/* All are of one world. */
static inline int place(void *ctx, int rank, int *rank_out)
{
    (void)ctx;
    *rank_out = rank;
    return 0;
}

/* n engines, and tasks t0, t1, .. in that order. */
static inline struct fake_hub *open_hub(int engines, size_t prefetch, int tasks)
{
    struct fake_hub *fake = fake_hub_open(1);
    char id[8];

    fake->hub.out.place = place;
    fake->hub.sharing.steal = true;
    fake->hub.sharing.prefetch = prefetch;
    for (int i = 0; i < engines; i++)
        fake_engine(fake);
    for (int i = 0; i < tasks; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        fake_task(fake, id, NULL);
    }
    return fake;
}

static inline void drop_told(struct fake_hub *fake)
{
    while (fake_told(fake, NULL, NULL) != 0)
        ;
}

/* The next message to an engine that is no WORK, as "give 2 1" (type, rank,
 * detail) with the ids of the refs in its frames; "" if there is none. */
static inline const char *order(struct fake_hub *fake)
{
    static const struct {
        int type;
        const char *name;
    } names[] = {{IPMPI_MSG_GIVE, "give"},
                 {IPMPI_MSG_GRANT, "grant"},
                 {IPMPI_MSG_GONE, "gone"},
                 {IPMPI_MSG_ABORT, "abort"}};
    static char text[128];
    struct ipmpi_msg_head head = {.type = IPMPI_MSG_WORK};

    text[0] = '\0';
    while (fake->to_ranks != NULL && head.type == IPMPI_MSG_WORK) {
        struct ipmpi_frames *frames = &fake->to_ranks->frames;

        memcpy(&head, frames->at[0].data, sizeof(head));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (names[i].type == head.type)
                snprintf(text, sizeof(text), "%s %d %d", names[i].name,
                         fake->to_ranks->where, head.detail);
        }
        if (head.type == IPMPI_MSG_GRANT)
            snprintf(text + strlen(text), sizeof(text) - strlen(text),
                     ": %zu, not %zu", frames->at[1].len / sizeof(uint64_t),
                     frames->at[2].len / sizeof(uint64_t));
        fake_told(fake, NULL, NULL);
    }
    return text;
}

/* The engine says so; ids ends with NULL. */
static inline void says(struct fake_hub *fake, int engine, int type, int detail,
                        const char *const *ids)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = (uint16_t)type,
                                        .detail = detail};
    struct ipmpi_frames frames = {0};
    uint64_t refs[16];
    size_t n = 0;

    for (; ids != NULL && ids[n] != NULL; n++)
        refs[n] = fake_ref(fake, ids[n]);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, refs, n * sizeof(refs[0])), 0);
    ipmpi_engines_receive(&fake->hub, engine + 1, &frames);
    ipmpi_frames_clear(&frames);
}

#define HANDS_OVER(fake, victim, thief_rank, ...)      \
    says(fake, victim, IPMPI_MSG_HANDOVER, thief_rank, \
         (const char *const[]){__VA_ARGS__, NULL})

static inline void started(struct fake_hub *fake, const char *msg_id)
{
    const struct ipmpi_job *job = ipmpi_job_by_id(&fake->hub.ledger, msg_id);
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_IOPUB,
                                        .kind = IPMPI_IOPUB_BUSY,
                                        .ref = job->ref};
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&frames, &head, sizeof(head)), 0);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(ipmpi_frames_add_static(&frames, "{}", 2), 0);
    ipmpi_engines_receive(&fake->hub, job->engine->rank, &frames);
    ipmpi_frames_clear(&frames);
    while (fake_answer(fake)[0] != '\0')
        ;
}

static inline size_t tasks_of(struct fake_hub *fake, int id)
{
    return ipmpi_registry_by_id(&fake->hub.registry, id)->ntasks;
}

/* Engine 0 has t0, t1 and t2; engine 1 came later and has nothing. */
static inline struct fake_hub *open_skewed(void)
{
    struct fake_hub *fake = open_hub(1, 4, 3);

    started(fake, "t0");
    fake_engine(fake);
    return fake;
}

#endif

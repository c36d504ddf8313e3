/* See thefts.h. */
#include "tests/runtime/engine/thefts.h"

#include "tests/runtime/engine/controller.h"
#include "tests/runtime/engine/kept.h"
#include "tests/runtime/engine/transcript.h"

void controller_say(int engine, enum ipmpi_msg_type type, int detail,
                    const uint64_t *refs, int n, const uint64_t *others,
                    int nothers)
{
    const struct ipmpi_msg_head head = {.type = (uint16_t)type,
                                        .detail = detail};
    struct ipmpi_frames frames = {0};

    controller_add_refs(&frames, refs, n);
    controller_add_refs(&frames, others, nothers);
    controller_send(engine, &head, &frames);
}

int controller_take_refs(int engine, enum ipmpi_msg_type type,
                         uint64_t *refs_out, int cap, int *detail_out)
{
    const int64_t deadline = kept_deadline();
    struct kept *k;
    int n = 0;

    while ((k = kept_find(engine, type)) == NULL)
        kept_turn(deadline);
    if (k->frames.n > 1) {
        n = (int)(k->frames.at[1].len / sizeof(uint64_t));
        CHECK(n <= cap);
        if (n > 0)
            memcpy(refs_out, k->frames.at[1].data,
                   (size_t)n * sizeof(uint64_t));
    }
    *detail_out = k->head.detail;
    k->engine = -1;
    return n;
}

/* Grants what one kept message hands over; returns how many tasks. */
static int grant_kept(struct kept *k)
{
    const struct ipmpi_frame *refs = &k->frames.at[1];
    const int n = (int)(refs->len / sizeof(uint64_t));
    uint64_t copy[64];

    CHECK(n <= 64);
    if (n > 0)
        memcpy(copy, refs->data, refs->len);
    controller_say(k->head.detail - 1, IPMPI_MSG_GRANT, k->engine + 1, copy, n,
                   NULL, 0);
    k->engine = -1;
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
    const int64_t deadline = kept_deadline();
    struct kept *k;
    int moved = 0;

    while (!all_done(refs, n)) {
        for (int engine = 0; engine < controller_engines(); engine++)
            while ((k = kept_find(engine, IPMPI_MSG_HANDOVER)) != NULL)
                moved += grant_kept(k);
        kept_turn(deadline);
    }
    return moved;
}

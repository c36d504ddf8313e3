/* Combined replies. */
#include "runtime/engine/gathered.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

enum { AT_SHARES = 1, AT_METADATA, AT_CONTENT, AT_BUFFERS };

void ipmpi_gathered_clear(struct ipmpi_gathered *gathered)
{
    free(gathered->share);
    ipmpi_frames_clear(&gathered->speech);
    ipmpi_frames_clear(&gathered->buffers);
    *gathered = (struct ipmpi_gathered){0};
}

static bool is_apart(const struct ipmpi_gathered_share *share)
{
    return (share->flags & IPMPI_SHARE_APART) != 0;
}

static bool has_failed(const struct ipmpi_gathered_share *share)
{
    return !is_apart(share) && share->status != IPMPI_STATUS_OK;
}

const struct ipmpi_gathered_share *
ipmpi_gathered_speaker(const struct ipmpi_gathered *gathered)
{
    const struct ipmpi_gathered_share *first = NULL;

    for (size_t i = 0; i < gathered->n; i++) {
        if (has_failed(&gathered->share[i]))
            return &gathered->share[i];
        if (first == NULL && !is_apart(&gathered->share[i]))
            first = &gathered->share[i];
    }
    return first;
}

int ipmpi_gathered_begin(const struct ipmpi_gathered_share *share,
                         const struct ipmpi_frame *metadata,
                         const struct ipmpi_frame *content,
                         const struct ipmpi_frames *buffers,
                         struct ipmpi_gathered *gathered_out)
{
    struct ipmpi_gathered g = {.share = malloc(sizeof(*share)), .n = 1};
    int err = g.share == NULL ? IPMPI_ENOMEM : 0;

    if (err == 0) {
        *g.share = *share;
        g.share->nbuffers = 0;
    }
    if (err == 0 && metadata != NULL)
        err = ipmpi_frames_add_frame(&g.speech, metadata);
    if (err == 0 && metadata != NULL)
        err = ipmpi_frames_add_frame(&g.speech, content);
    if (err == 0 && metadata != NULL && !has_failed(share)) {
        err = ipmpi_frames_add_from(&g.buffers, buffers, 0, buffers->n);
        g.share->nbuffers = (uint32_t)buffers->n;
    }
    if (err == 0)
        *gathered_out = g;
    else
        ipmpi_gathered_clear(&g);
    return err;
}

/* ---- combining ------------------------------------------------------ */

/* Whose speech it is that is kept. */
static bool speaks_before(const struct ipmpi_gathered_share *a,
                          const struct ipmpi_gathered_share *b)
{
    if (a == NULL || b == NULL)
        return a != NULL;
    if (has_failed(a) != has_failed(b))
        return has_failed(a);
    return a->ref < b->ref;
}

/* One of the two on the way through it. */
struct side {
    const struct ipmpi_gathered *of;
    size_t share, buffer;
};

static struct side *next_side(struct side *a, struct side *b)
{
    if (a->share == a->of->n || b->share == b->of->n)
        return a->share < a->of->n ? a : b;
    return a->of->share[a->share].ref < b->of->share[b->share].ref ? a : b;
}

/* All shares of the two, and their buffers if none has failed. */
static int interleave(struct side *a, struct side *b, bool failed,
                      struct ipmpi_gathered *out)
{
    const size_t n = a->of->n + b->of->n;
    int err = 0;

    out->share = malloc(n * sizeof(*out->share));
    if (out->share == NULL)
        return IPMPI_ENOMEM;
    while (err == 0 && out->n < n) {
        struct side *side = next_side(a, b);
        struct ipmpi_gathered_share *share = &out->share[out->n++];

        *share = side->of->share[side->share++];
        if (!failed)
            err = ipmpi_frames_add_from(&out->buffers, &side->of->buffers,
                                        side->buffer, share->nbuffers);
        side->buffer += share->nbuffers;
        if (failed)
            share->nbuffers = 0;
    }
    return err;
}

int ipmpi_gathered_merge(struct ipmpi_gathered *into,
                         struct ipmpi_gathered *from)
{
    const struct ipmpi_gathered_share *x = ipmpi_gathered_speaker(into);
    const struct ipmpi_gathered_share *y = ipmpi_gathered_speaker(from);
    const bool failed =
        (x != NULL && has_failed(x)) || (y != NULL && has_failed(y));
    struct side a = {.of = into}, b = {.of = from};
    struct ipmpi_gathered out = {0};
    int err = interleave(&a, &b, failed, &out);

    if (err != 0) {
        ipmpi_gathered_clear(&out);
        return err;
    }
    ipmpi_frames_move(&out.speech,
                      speaks_before(x, y) ? &into->speech : &from->speech);
    ipmpi_gathered_clear(into);
    ipmpi_gathered_clear(from);
    *into = out;
    return 0;
}

/* ---- as a message --------------------------------------------------- */

int ipmpi_gathered_write(const struct ipmpi_gathered *gathered,
                         struct ipmpi_frames *out)
{
    int err = ipmpi_frames_add_copy(out, gathered->share,
                                    gathered->n * sizeof(*gathered->share));

    if (err == 0)
        err = ipmpi_frames_add_from(out, &gathered->speech, 0,
                                    gathered->speech.n);
    for (size_t i = gathered->speech.n; err == 0 && i < 2; i++)
        err = ipmpi_frames_add_static(out, "", 0);
    if (err == 0)
        err = ipmpi_frames_add_from(out, &gathered->buffers, 0,
                                    gathered->buffers.n);
    return err;
}

/* Whether these may be the shares of a message with so many buffers. */
static bool are_good(const struct ipmpi_gathered *gathered, size_t nbuffers)
{
    uint64_t sum = 0, last = 0;
    bool failed = false;

    for (size_t i = 0; i < gathered->n; i++) {
        const struct ipmpi_gathered_share *share = &gathered->share[i];

        if (share->ref <= last || share->status > IPMPI_STATUS_UNMET ||
            (is_apart(share) && share->nbuffers > 0))
            return false;
        last = share->ref;
        sum += share->nbuffers;
        failed = failed || has_failed(share);
    }
    return gathered->n > 0 && sum == nbuffers && !(failed && sum > 0);
}

static int read_shares(const struct ipmpi_frame *frame,
                       struct ipmpi_gathered *out)
{
    if (frame->len == 0 || frame->len % sizeof(*out->share) != 0)
        return IPMPI_EFRAME;
    out->share = malloc(frame->len);
    if (out->share == NULL)
        return IPMPI_ENOMEM;
    memcpy(out->share, frame->data, frame->len);
    out->n = frame->len / sizeof(*out->share);
    return 0;
}

int ipmpi_gathered_read(const struct ipmpi_frames *frames,
                        struct ipmpi_gathered *gathered_out)
{
    const size_t nbuffers = frames->n < AT_BUFFERS ? 0 : frames->n - AT_BUFFERS;
    struct ipmpi_gathered g = {0};
    int err = frames->n < AT_BUFFERS ? IPMPI_EFRAME
                                     : read_shares(&frames->at[AT_SHARES], &g);

    if (err == 0 && !are_good(&g, nbuffers))
        err = IPMPI_EFRAME;
    if (err == 0 && ipmpi_gathered_speaker(&g) != NULL)
        err = ipmpi_frames_add_from(&g.speech, frames, AT_METADATA, 2);
    if (err == 0)
        err = ipmpi_frames_add_from(&g.buffers, frames, AT_BUFFERS, nbuffers);
    if (err == 0)
        *gathered_out = g;
    else
        ipmpi_gathered_clear(&g);
    return err;
}

/* Casts.
 *
 * Invariant: a member that is EXPECTING gets the body from its `parent`, and
 * so on up to rank 0, unless one of them is gone or says that it cannot: then
 * it is sent the body again. */
#include "bridge/schedulers/cast.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "bridge/schedulers/tree.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/segment.h"

enum {
    BODY_MIN = 64 * 1024, /* a smaller one is as soon sent to each */
    TRIES = 3,            /* an engine without memory will not get it */
};

enum member_state {
    MEMBER_OUT,       /* not sent yet, over, or sent with its body */
    MEMBER_WANTING,   /* its work is on its way, the body is not */
    MEMBER_EXPECTING, /* the body is on its way, too; for others, if `job` is
                       * NULL */
    MEMBER_OVER,      /* it has had the body */
};

struct member {
    enum member_state state;
    struct ipmpi_job *job;             /* while it is a share */
    const struct ipmpi_engine *engine; /* NULL: not known yet, or gone */
    int world, rank;
    size_t parent; /* a member, or IPMPI_TREE_ROOT */
    bool keeps;    /* for its node, until the cast's end */
    unsigned tries;
};

struct ipmpi_cast {
    uint64_t number;
    struct ipmpi_request *request; /* one share */
    bool gathering;                /* launch is to come */
    uint16_t flags;                /* of its parcels */
    struct ipmpi_cast *prev, *next;
    size_t n;
    struct member member[];
};

static size_t body_bytes(const struct ipmpi_request *request)
{
    size_t sum = 0;

    for (size_t i = IPMPI_PART_CONTENT; i < request->parts.n; i++)
        sum += request->parts.at[i].len;
    return sum;
}

struct ipmpi_cast *ipmpi_cast_create(struct ipmpi_hub *hub,
                                     struct ipmpi_request *request, size_t n)
{
    const size_t bytes = body_bytes(request);
    struct ipmpi_cast *cast;

    if (hub->out.place == NULL || n < 2 || bytes < BODY_MIN)
        return NULL;
    cast = calloc(1, sizeof(*cast) + n * sizeof(cast->member[0]));
    if (cast == NULL)
        return NULL;
    cast->number = ++hub->last_cast;
    cast->request = ipmpi_request_share(request);
    cast->gathering = true;
    cast->flags = bytes >= IPMPI_SEGMENT_MIN ? IPMPI_PARCEL_KEEP : 0;
    cast->n = n;
    DL_APPEND(hub->casts, cast);
    return cast;
}

static void tell(struct ipmpi_hub *hub, const struct ipmpi_engine *engine,
                 enum ipmpi_msg_type type, uint64_t ref, int detail,
                 struct ipmpi_frames *more)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = (uint16_t)type,
        .ref = ref,
        .detail = detail,
    };

    ipmpi_hub_tell_engine(hub, engine, &head, more);
}

void ipmpi_cast_destroy(struct ipmpi_hub *hub, struct ipmpi_cast **cast)
{
    struct ipmpi_cast *c = *cast;

    *cast = NULL;
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n; i++) {
        if (c->member[i].keeps && c->member[i].engine != NULL)
            tell(hub, c->member[i].engine, IPMPI_MSG_DROP, c->number, 0, NULL);
    }
    DL_DELETE(hub->casts, c);
    ipmpi_request_release(&c->request);
    free(c);
}

void ipmpi_cast_enter(struct ipmpi_cast *cast, size_t i, struct ipmpi_job *job)
{
    job->cast = cast;
    job->member = i;
    cast->member[i].job = job;
}

void ipmpi_cast_leave(struct ipmpi_job *job, bool had)
{
    struct member *member;

    if (job->cast == NULL)
        return;
    member = &job->cast->member[job->member];
    member->job = NULL;
    if (had && member->state == MEMBER_EXPECTING)
        member->state = MEMBER_OVER;
    else if (member->state == MEMBER_WANTING)
        member->state = MEMBER_OUT;
    job->cast = NULL;
}

/* ---- sending -------------------------------------------------------- */

static void send_parcel(struct ipmpi_hub *hub, const struct ipmpi_cast *cast,
                        const struct ipmpi_engine *root,
                        const struct ipmpi_leg *legs, size_t n, uint16_t flags)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_PARCEL,
        .flags = flags,
        .ref = cast->number,
    };
    const struct ipmpi_frames *parts = &cast->request->parts;
    struct ipmpi_frames more = {0};
    int err = ipmpi_frames_add_copy(&more, legs, n * sizeof(*legs));

    if (err == 0)
        err = ipmpi_frames_add_from(&more, parts, IPMPI_PART_CONTENT,
                                    parts->n - IPMPI_PART_CONTENT);
    if (err == 0) {
        ipmpi_hub_tell_engine(hub, root, &head, &more);
        return;
    }
    ipmpi_frames_clear(&more);
    ipmpi_log_error("CAST-MEMORY", "out of memory; request %s may hang",
                    cast->request->msg_id);
}

/* Sends the body to those of the places, which are of one world. */
static void launch_world(struct ipmpi_hub *hub, struct ipmpi_cast *cast,
                         struct ipmpi_tree_place *places, size_t n,
                         struct ipmpi_leg *legs, size_t *parent)
{
    ipmpi_tree_lay(places, n, legs, parent);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &cast->member[places[i].member];

        member->state = MEMBER_EXPECTING;
        member->keeps = cast->flags != 0 && !legs[i].local;
        member->parent = parent[i] == IPMPI_TREE_ROOT
                             ? IPMPI_TREE_ROOT
                             : places[parent[i]].member;
    }
    send_parcel(hub, cast, cast->member[places[0].member].engine, legs, n,
                cast->flags);
}

/* Collects those of one world that want the body. */
static size_t find_wanting(const struct ipmpi_cast *cast, int world,
                           struct ipmpi_tree_place *places)
{
    size_t n = 0;

    for (size_t i = 0; i < cast->n; i++) {
        const struct member *member = &cast->member[i];

        if (member->state == MEMBER_WANTING && member->world == world)
            places[n++] = (struct ipmpi_tree_place){member->engine->node,
                                                    member->rank, i};
    }
    return n;
}

void ipmpi_cast_launch(struct ipmpi_hub *hub, struct ipmpi_cast *cast)
{
    struct ipmpi_tree_place *places = calloc(cast->n, sizeof(*places));
    struct ipmpi_leg *legs = calloc(cast->n, sizeof(*legs));
    size_t *parent = calloc(cast->n, sizeof(*parent));

    cast->gathering = false;
    for (size_t i = 0; i < cast->n; i++) {
        struct member *member = &cast->member[i];
        size_t n;

        if (member->state != MEMBER_WANTING)
            continue;
        if (places == NULL || legs == NULL || parent == NULL) {
            const struct ipmpi_leg leg = {.rank = member->rank, .size = 1};

            member->state = MEMBER_EXPECTING;
            member->parent = IPMPI_TREE_ROOT;
            send_parcel(hub, cast, member->engine, &leg, 1, 0);
            continue;
        }
        n = find_wanting(cast, member->world, places);
        launch_world(hub, cast, places, n, legs, parent);
    }
    free(places);
    free(legs);
    free(parent);
}

/* A member that keeps the body on this member's node; NULL: none. */
static const struct member *find_keeper(const struct ipmpi_cast *cast,
                                        const struct member *of)
{
    for (size_t i = 0; i < cast->n; i++) {
        const struct member *member = &cast->member[i];

        if (member->keeps && member->engine != NULL &&
            member->world == of->world &&
            strcmp(member->engine->node, of->engine->node) == 0)
            return member;
    }
    return NULL;
}

/* One that comes late has it from its node's keeper. */
static void pass(struct ipmpi_hub *hub, struct ipmpi_cast *cast,
                 const struct member *keeper, struct member *late)
{
    const struct ipmpi_leg legs[] = {
        {.rank = keeper->rank, .size = 2},
        {.rank = late->rank, .size = 1, .local = 1},
    };
    struct ipmpi_frames more = {0};

    late->state = MEMBER_EXPECTING;
    late->parent = (size_t)(keeper - cast->member);
    if (ipmpi_frames_add_copy(&more, legs, sizeof(legs)) == 0) {
        tell(hub, keeper->engine, IPMPI_MSG_PASS, cast->number, 0, &more);
        return;
    }
    late->parent = IPMPI_TREE_ROOT;
    send_parcel(hub, cast, late->engine, &legs[1], 1, 0);
}

bool ipmpi_cast_serve(struct ipmpi_hub *hub, const struct ipmpi_job *job,
                      const struct ipmpi_engine *engine, uint64_t *number_out)
{
    struct ipmpi_cast *cast = job->cast;
    const struct member *keeper;
    struct member *member;

    if (cast == NULL)
        return false;
    member = &cast->member[job->member];
    member->world = hub->out.place(hub->out.ctx, engine->rank, &member->rank);
    if (member->world < 0)
        return false;
    member->engine = engine;
    keeper = find_keeper(cast, member);
    if (!cast->gathering && keeper == NULL && cast->flags == 0)
        return false; /* nobody to share with */
    *number_out = cast->number;
    member->state = MEMBER_WANTING;
    if (!cast->gathering && keeper != NULL)
        pass(hub, cast, keeper, member);
    else if (!cast->gathering)
        ipmpi_cast_launch(hub, cast);
    return true;
}

/* ---- when something goes wrong -------------------------------------- */

/* It has no memory, most likely. Aborted, its share at least has an end. */
static void give_up(struct ipmpi_hub *hub, const struct member *member)
{
    struct ipmpi_frames more = {0};

    ipmpi_log_error("CAST-LACKS",
                    "engine %d cannot take the body of %s: "
                    "aborted",
                    member->engine->id, member->job->msg_id);
    if (ipmpi_frames_add_copy(&more, &member->job->ref,
                              sizeof(member->job->ref)) == 0)
        tell(hub, member->engine, IPMPI_MSG_ABORT, 0, 0, &more);
}

/* Sends the body to one member alone, to keep for itself. */
static void send_alone(struct ipmpi_hub *hub, struct ipmpi_cast *cast,
                       struct member *member)
{
    const struct ipmpi_leg leg = {.rank = member->rank, .size = 1};

    if (++member->tries > TRIES) {
        give_up(hub, member);
        return;
    }
    member->parent = IPMPI_TREE_ROOT;
    send_parcel(hub, cast, member->engine, &leg, 1, 0);
}

void ipmpi_cast_lacks(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                      const struct ipmpi_msg_head *head,
                      struct ipmpi_frames *frames)
{
    struct ipmpi_cast *cast;
    int rank, world = -1;

    (void)frames;
    if (hub->out.place != NULL)
        world = hub->out.place(hub->out.ctx, engine->rank, &rank);
    DL_FOREACH (hub->casts, cast) {
        for (size_t i = 0; cast->number == head->ref && i < cast->n; i++) {
            struct member *member = &cast->member[i];

            if (world >= 0 && member->state == MEMBER_EXPECTING &&
                member->job != NULL && member->world == world &&
                member->rank == head->detail)
                send_alone(hub, cast, member);
        }
    }
}

/* Whether what the member expects was to come through the one that is gone.
 * Who is over has had it, and has passed it on before. */
static bool comes_through(const struct ipmpi_cast *cast,
                          const struct member *member, size_t gone)
{
    size_t at = member->parent;

    while (at != IPMPI_TREE_ROOT && at != gone &&
           cast->member[at].state == MEMBER_EXPECTING)
        at = cast->member[at].parent;
    return at == gone;
}

static void lose_member(struct ipmpi_hub *hub, struct ipmpi_cast *cast,
                        size_t gone)
{
    bool wanting = false;

    cast->member[gone].engine = NULL;
    cast->member[gone].state = MEMBER_OUT;
    for (size_t i = 0; i < cast->n; i++) {
        struct member *member = &cast->member[i];

        if (member->state == MEMBER_EXPECTING &&
            comes_through(cast, member, gone))
            member->state = member->job != NULL ? MEMBER_WANTING : MEMBER_OUT;
        wanting = wanting || member->state == MEMBER_WANTING;
    }
    if (wanting && !cast->gathering)
        ipmpi_cast_launch(hub, cast);
}

static void tell_gone(struct ipmpi_hub *hub, const struct ipmpi_engine *gone)
{
    struct ipmpi_engine *engine, *next;
    int world, rank, other;
    char how[512];

    snprintf(how, sizeof(how), "engine %d (rank %d on %s, pid %d) %s", gone->id,
             gone->rank, gone->host, gone->pid, gone->end);
    world = hub->out.place(hub->out.ctx, gone->rank, &rank);
    if (world < 0)
        return;
    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        struct ipmpi_frames text = {0};

        if (engine == gone || !ipmpi_engine_is_known(engine) ||
            hub->out.place(hub->out.ctx, engine->rank, &other) != world)
            continue;
        ipmpi_frames_add_copy(&text, how, strlen(how)); /* told without, too */
        tell(hub, engine, IPMPI_MSG_GONE, 0, rank, &text);
    }
}

void ipmpi_casts_engine_gone(struct ipmpi_hub *hub,
                             const struct ipmpi_engine *engine)
{
    struct ipmpi_cast *cast;

    if (hub->out.place == NULL)
        return;
    tell_gone(hub, engine);
    DL_FOREACH (hub->casts, cast) {
        for (size_t i = 0; i < cast->n; i++) {
            if (cast->member[i].engine == engine)
                lose_member(hub, cast, i);
        }
    }
}

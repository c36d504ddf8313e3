/* What the hub tells: engines, by messages of runtime/engine/protocol.h that
 * become events, and clients. */
#include <string.h>

#include "runtime/engine/protocol.h"
#include "runtime/message/compose.h"
#include "tests/model/rank0_internal.h"

/* ---- to engines ----------------------------------------------------- */

static void add_refs(struct model_world *world, const struct ipmpi_frame *refs,
                     struct model_list *list)
{
    for (size_t i = 0; i < refs->len / sizeof(uint64_t); i++) {
        uint64_t ref;

        memcpy(&ref, refs->data + i * sizeof(ref), sizeof(ref));
        list->at[list->n++] = model_task_of(world, ref);
    }
}

static struct model_list *read_grant(struct model_world *world,
                                     const struct ipmpi_frames *frames)
{
    struct model_list *list = model_list_create(
        (frames->at[1].len + frames->at[2].len) / sizeof(uint64_t));

    add_refs(world, &frames->at[1], list);
    list->granted = list->n;
    add_refs(world, &frames->at[2], list);
    return list;
}

static struct model_event read_message(struct model_world *world, int rank,
                                       const struct ipmpi_msg_head *head,
                                       const struct ipmpi_frames *frames)
{
    struct model_event event = {.to = model_engine_of(rank),
                                .from = MODEL_RANK0};

    switch ((int)head->type) {
    case IPMPI_MSG_WORK:
        event.kind = MODEL_WORK;
        event.detail = head->flags & IPMPI_WORK_MORE;
        event.task = model_task_of(world, head->ref);
        event.task->movable = head->flags & IPMPI_WORK_STEALABLE;
        break;
    case IPMPI_MSG_GIVE:
        event.kind = MODEL_GIVE;
        event.detail = model_engine_of(head->detail);
        break;
    case IPMPI_MSG_GRANT:
        event.kind = MODEL_GRANT;
        event.detail = model_engine_of(head->detail);
        event.list = read_grant(world, frames);
        break;
    default:
        abort(); /* nobody asks for anything else */
    }
    return event;
}

/* All are told of a death one after the other; they hear it when the last has
 * been told. Nothing is told in between. */
void model_flush_death(struct model_world *world)
{
    struct model_rank0 *r = &world->rank0;

    if (r->told_dead < 0)
        return;
    model_send(world, r->now_ns,
               (struct model_event){.kind = MODEL_GONE,
                                    .to = MODEL_RANK0,
                                    .from = r->told_dead});
    r->told_dead = -1;
}

void model_to_rank(void *ctx, int rank, struct ipmpi_frames *frames)
{
    struct model_world *world = ctx;
    struct model_rank0 *r = &world->rank0;
    struct ipmpi_msg_head head;

    memcpy(&head, frames->at[0].data, sizeof(head));
    r->now_ns += world->set.rank0_ns;
    world->result.rank0_out++;
    if (head.type == IPMPI_MSG_GONE) {
        r->told_dead = model_engine_of(head.detail);
    } else if (!r->closing) {
        model_flush_death(world);
        model_send(world, r->now_ns, read_message(world, rank, &head, frames));
    }
    ipmpi_frames_clear(frames);
}

/* ---- to clients ----------------------------------------------------- */

/* The number in {"msg_id":"t12", ..}. */
static uint64_t number_in(const struct ipmpi_frame *header)
{
    static const char before[] = "{\"msg_id\":\"t";

    if (header->len < sizeof(before) ||
        memcmp(header->data, before, sizeof(before) - 1) != 0)
        abort();
    return strtoull((const char *)header->data + sizeof(before) - 1, NULL, 10);
}

static size_t delimiter_in(const struct ipmpi_frames *frames)
{
    size_t i = 0;

    while (frames->at[i].len != IPMPI_DELIM_LEN ||
           memcmp(frames->at[i].data, IPMPI_DELIM, IPMPI_DELIM_LEN) != 0)
        i++;
    return i;
}

/* An engine says nothing in its reply; rank 0 in its place tells an error. */
void model_to_client(void *ctx, enum ipmpi_door door,
                     struct ipmpi_frames *frames)
{
    struct model_world *world = ctx;

    if (door == IPMPI_DOOR_TASK && !world->rank0.closing) {
        const size_t at = delimiter_in(frames) + 1; /* the signature */

        world->rank0.now_ns += world->set.client_ns;
        model_decide(world, &world->tasks[number_in(&frames->at[at + 2])],
                     frames->at[at + 4].len > 2);
    }
    ipmpi_frames_clear(frames);
}

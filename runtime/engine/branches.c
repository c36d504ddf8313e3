/* The branches that are under way here.
 *
 * Invariant: what a branch holds goes up at `due_us`, or before. One that holds
 * nothing waits for more, unless all have come or rank 0 has our own: then it
 * is forgotten. Nothing is lost by that, since whose place is not known here
 * passes to rank 0. */
#include "runtime/engine/branches.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/engine/queue.h"

enum {
    HOLD_US = 10 * 1000,   /* so long a reply waits for others */
    TREE_BYTES = 64 << 10, /* from here on a reply takes the straight way */
};

struct ipmpi_branch {
    struct ipmpi_branch *next;
    uint64_t number; /* of the gather */
    uint64_t ref;    /* our own; 0: its work has not come */
    int parent;      /* rank 0 until then */
    uint32_t expected, seen;
    bool straight;  /* our own reply shall be */
    int64_t due_us; /* 0: nothing is held */
    struct ipmpi_gathered held;
};

struct ipmpi_own_reply {
    struct ipmpi_own_reply *next;
    uint64_t ref, number;
    struct ipmpi_gathered reply;
};

/* ---- what is under way ---------------------------------------------- */

static struct ipmpi_branch *find(const struct ipmpi_branches *branches,
                                 uint64_t number)
{
    struct ipmpi_branch *branch = branches->first;

    while (branch != NULL && branch->number != number)
        branch = branch->next;
    return branch;
}

static struct ipmpi_branch *find_by_ref(const struct ipmpi_branches *branches,
                                        uint64_t ref)
{
    struct ipmpi_branch *branch = branches->first;

    while (branch != NULL && branch->ref != ref)
        branch = branch->next;
    return branch;
}

/* NULL: no memory. */
static struct ipmpi_branch *get(struct ipmpi_branches *branches,
                                uint64_t number)
{
    struct ipmpi_branch *branch = find(branches, number);

    if (branch != NULL)
        return branch;
    branch = calloc(1, sizeof(*branch));
    if (branch == NULL)
        return NULL;
    branch->number = number;
    branch->next = branches->first;
    branches->first = branch;
    return branch;
}

static bool is_over(const struct ipmpi_branches *branches,
                    const struct ipmpi_branch *branch)
{
    return branch->held.n == 0 &&
           (branch->ref < branches->open || branch->seen >= branch->expected);
}

static void forget_what_is_over(struct ipmpi_branches *branches)
{
    struct ipmpi_branch **at = &branches->first, *branch;

    while ((branch = *at) != NULL) {
        if (!is_over(branches, branch)) {
            at = &branch->next;
            continue;
        }
        *at = branch->next;
        ipmpi_gathered_clear(&branch->held);
        free(branch);
    }
}

/* Our own replies that rank 0 has are the oldest. */
static void forget_own(struct ipmpi_branches *branches)
{
    struct ipmpi_own_reply **at = &branches->own, *own;

    while ((own = *at) != NULL) {
        if (own->ref >= branches->open) {
            at = &own->next;
            continue;
        }
        *at = own->next;
        ipmpi_gathered_clear(&own->reply);
        free(own);
    }
}

void ipmpi_branches_clear(struct ipmpi_branches *branches)
{
    branches->open = UINT64_MAX;
    for (struct ipmpi_branch *b = branches->first; b != NULL; b = b->next)
        ipmpi_gathered_clear(&b->held);
    forget_what_is_over(branches);
    forget_own(branches);
}

static int take_leg(struct ipmpi_branches *branches, uint64_t ref,
                    const struct ipmpi_gather_leg *leg)
{
    struct ipmpi_branch *branch;

    if (leg->parent < 0 || leg->parent >= ipmpi_comm_size(branches->comm) ||
        leg->parent == ipmpi_comm_rank(branches->comm) || leg->replies == 0 ||
        leg->open > ref)
        return IPMPI_EFRAME;
    if (leg->open > branches->open)
        branches->open = leg->open;
    forget_own(branches);
    forget_what_is_over(branches);
    branch = get(branches, leg->number);
    if (branch == NULL)
        return IPMPI_ENOMEM;
    branch->ref = ref;
    branch->parent = leg->parent;
    branch->expected = leg->replies;
    return 0;
}

int ipmpi_branches_join(struct ipmpi_branches *branches, uint64_t ref,
                        struct ipmpi_frames *frames)
{
    struct ipmpi_gather_leg leg;
    struct ipmpi_frame *last;

    if (frames->n <= IPMPI_WORK_AT_BUFFERS ||
        frames->at[frames->n - 1].len != sizeof(leg))
        return IPMPI_EFRAME;
    last = &frames->at[--frames->n];
    memcpy(&leg, last->data, sizeof(leg));
    ipmpi_buffer_release(&last->owner);
    return take_leg(branches, ref, &leg);
}

/* ---- sending -------------------------------------------------------- */

static int send_to(struct ipmpi_branches *branches, int rank, uint64_t number,
                   const struct ipmpi_gathered *what)
{
    const struct ipmpi_msg_head head = {.version = IPMPI_PROTOCOL_VERSION,
                                        .type = IPMPI_MSG_GATHERED,
                                        .ref = number};
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_copy(&out, &head, sizeof(head));

    if (err == 0)
        err = ipmpi_gathered_write(what, &out);
    if (err == 0)
        return ipmpi_comm_send(branches->comm, rank, &out);
    ipmpi_frames_clear(&out);
    return err;
}

/* Past a parent that is dead. What cannot be sent, rank 0 will ask for. */
static void send_up(struct ipmpi_branches *branches, int to, uint64_t number,
                    const struct ipmpi_gathered *what)
{
    int err = send_to(branches, to, number, what);

    if (err == IPMPI_EDEAD && to != 0)
        err = send_to(branches, 0, number, what);
    if (err != 0 && err != IPMPI_EDEAD)
        ipmpi_log_error("ENGINE-GATHER", "%zu replies cannot be passed on: %s",
                        what->n, ipmpi_strerror(err));
}

static void pass_up(struct ipmpi_branches *branches,
                    struct ipmpi_branch *branch, int to)
{
    send_up(branches, to, branch->number, &branch->held);
    ipmpi_gathered_clear(&branch->held);
    branch->due_us = 0;
}

/* `what` is empty afterwards, unless there is no memory. */
static int hold(struct ipmpi_branches *branches, struct ipmpi_branch *branch,
                struct ipmpi_gathered *what)
{
    const uint32_t n = (uint32_t)what->n;
    int err = ipmpi_gathered_merge(&branch->held, what);

    if (err != 0)
        return err;
    branch->seen += n;
    if (branch->due_us == 0)
        branch->due_us = ipmpi_clock_now_us() + HOLD_US;
    if (branch->ref != 0 && branch->seen >= branch->expected) {
        pass_up(branches, branch, branch->parent);
        forget_what_is_over(branches);
    }
    return 0;
}

int64_t ipmpi_branches_due_us(const struct ipmpi_branches *branches)
{
    int64_t due = 0;

    for (const struct ipmpi_branch *b = branches->first; b != NULL; b = b->next)
        if (b->due_us != 0 && (due == 0 || b->due_us < due))
            due = b->due_us;
    return due;
}

unsigned ipmpi_branches_turn(struct ipmpi_branches *branches, int64_t now_us)
{
    unsigned did = 0;

    for (struct ipmpi_branch *b = branches->first; b != NULL; b = b->next) {
        if (b->due_us == 0 || b->due_us > now_us)
            continue;
        pass_up(branches, b, b->parent);
        did++;
    }
    if (did > 0)
        forget_what_is_over(branches);
    return did;
}

/* ---- our own replies ------------------------------------------------ */

static size_t bytes_of(const struct ipmpi_item *reply)
{
    return reply->metadata.len + reply->content.len +
           ipmpi_frames_bytes(&reply->buffers);
}

bool ipmpi_branches_want(const struct ipmpi_branches *branches,
                         const struct ipmpi_item *reply)
{
    const struct ipmpi_branch *branch = find_by_ref(branches, reply->head.ref);

    return branch != NULL && !branch->straight && bytes_of(reply) < TREE_BYTES;
}

/* Of one reply; APART if it has no metadata. */
static int begin(const struct ipmpi_item *reply, bool apart,
                 struct ipmpi_gathered *out)
{
    const struct ipmpi_gathered_share share = {
        .ref = reply->head.ref,
        .status = reply->head.kind,
        .flags = apart ? IPMPI_SHARE_APART : 0,
    };

    return ipmpi_gathered_begin(&share, apart ? NULL : &reply->metadata,
                                &reply->content, &reply->buffers, out);
}

static int keep_own(struct ipmpi_branches *branches, uint64_t number,
                    const struct ipmpi_item *reply)
{
    struct ipmpi_own_reply *own = calloc(1, sizeof(*own));
    int err = own == NULL ? IPMPI_ENOMEM : begin(reply, false, &own->reply);

    if (err != 0) {
        free(own);
        return err;
    }
    own->ref = reply->head.ref;
    own->number = number;
    own->next = branches->own;
    branches->own = own;
    return 0;
}

static int add(struct ipmpi_branches *branches, struct ipmpi_branch *branch,
               const struct ipmpi_item *reply, bool apart)
{
    struct ipmpi_gathered one = {0};
    int err = begin(reply, apart, &one);

    if (err == 0)
        err = hold(branches, branch, &one);
    ipmpi_gathered_clear(&one);
    return err;
}

int ipmpi_branches_add(struct ipmpi_branches *branches,
                       const struct ipmpi_item *reply)
{
    struct ipmpi_branch *branch = find_by_ref(branches, reply->head.ref);
    int err = keep_own(branches, branch->number, reply);

    return err == 0 ? add(branches, branch, reply, false) : err;
}

int ipmpi_branches_apart(struct ipmpi_branches *branches,
                         const struct ipmpi_item *reply)
{
    struct ipmpi_branch *branch = find_by_ref(branches, reply->head.ref);

    return branch != NULL ? add(branches, branch, reply, true) : 0;
}

int ipmpi_branches_straight(struct ipmpi_branches *branches, uint64_t ref)
{
    struct ipmpi_branch *branch = find_by_ref(branches, ref);

    if (branch != NULL)
        branch->straight = true;
    for (const struct ipmpi_own_reply *own = branches->own; own != NULL;
         own = own->next)
        if (own->ref == ref)
            return send_to(branches, 0, own->number, &own->reply);
    return 0; /* it takes that way, or took it */
}

/* Rank 0 may have some of them already. */
void ipmpi_branches_leave(struct ipmpi_branches *branches)
{
    for (const struct ipmpi_own_reply *own = branches->own; own != NULL;
         own = own->next)
        send_up(branches, 0, own->number, &own->reply);
    for (struct ipmpi_branch *b = branches->first; b != NULL; b = b->next)
        if (b->held.n > 0)
            pass_up(branches, b, 0);
}

/* ---- from other engines --------------------------------------------- */

int ipmpi_branches_take(struct ipmpi_branches *branches,
                        const struct ipmpi_msg_head *head,
                        const struct ipmpi_frames *frames)
{
    struct ipmpi_gathered what = {0};
    struct ipmpi_branch *branch;
    int err = ipmpi_gathered_read(frames, &what);

    if (err != 0)
        return err;
    branch = get(branches, head->ref);
    err = branch != NULL ? hold(branches, branch, &what) : IPMPI_ENOMEM;
    ipmpi_gathered_clear(&what);
    return err;
}

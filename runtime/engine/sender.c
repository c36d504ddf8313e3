/* Items in, signed messages out.
 *
 * Invariant: before anything but text is sent, the text before it has been.
 * Threads:   the comm thread.
 *
 * Note [cannot send]. A reply that cannot be sent must not be lost in
 * silence: its client would wait for ever. The engine then leaves, and rank 0
 * reports what had started as it does for every engine that dies. */
#include "runtime/engine/sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    TEXT_CAP = 256 << 10,  /* most text in one message */
    EXIT_CANNOT_SEND = 71, /* EX_OSERR */
};

static const char *const stream_name[2] = {"stdout", "stderr"};

int ipmpi_sender_init(struct ipmpi_sender *sender)
{
    sender->content = malloc(6 * TEXT_CAP + 64);
    for (int i = 0; i < 2; i++)
        sender->stream[i].text = malloc(TEXT_CAP);
    if (sender->content != NULL && sender->stream[0].text != NULL &&
        sender->stream[1].text != NULL)
        return 0;
    ipmpi_sender_clear(sender);
    return IPMPI_ENOMEM;
}

void ipmpi_sender_clear(struct ipmpi_sender *sender)
{
    for (int i = 0; i < 2; i++) {
        ipmpi_buffer_release(&sender->stream[i].parent.owner);
        free(sender->stream[i].text);
        sender->stream[i] = (struct ipmpi_stream){0};
        ipmpi_echo_clear(&sender->echo[i]);
    }
    free(sender->content);
    sender->content = NULL;
    ipmpi_item_destroy(&sender->rest);
}

bool ipmpi_sender_is_behind(const struct ipmpi_sender *sender)
{
    return sender->rest != NULL;
}

bool ipmpi_sender_may_send(const struct ipmpi_sender *sender)
{
    return ipmpi_comm_unsent_bytes(sender->comm, 0) <= IPMPI_OUTBOX_BOUND;
}

static _Noreturn void leave(const char *reason)
{
    ipmpi_log_error("ENGINE-SEND", "cannot send a message: %s; leaving",
                    reason);
    _exit(EXIT_CANNOT_SEND); /* see note [cannot send] */
}

static _Noreturn void leave_without_memory(void)
{
    leave(ipmpi_strerror(IPMPI_ENOMEM));
}

static void send_frames(struct ipmpi_sender *sender,
                        struct ipmpi_frames *frames)
{
    /* Rank 0 is dead to us when it has said goodbye: then nobody listens. */
    int err = ipmpi_comm_send(sender->comm, 0, frames);

    if (err != 0 && !sender->parted)
        leave(ipmpi_strerror(err));
}

/* To another engine; what a dead one had to get concerns nobody. */
static void send_to_peer(struct ipmpi_sender *sender, int dest,
                         struct ipmpi_frames *frames)
{
    if (ipmpi_comm_send(sender->comm, dest, frames) == IPMPI_ENOMEM)
        leave_without_memory();
}

static void send_plain(struct ipmpi_sender *sender,
                       const struct ipmpi_item *item)
{
    struct ipmpi_frames out = {0};

    if (ipmpi_frames_add_copy(&out, &item->head, sizeof(item->head)) != 0 ||
        ipmpi_frames_add_from(&out, &item->buffers, 0, item->buffers.n) != 0)
        leave_without_memory();
    if (item->head.type == IPMPI_MSG_LEAVING)
        ipmpi_branches_leave(sender->branches);
    if (item->dest != 0)
        send_to_peer(sender, item->dest, &out);
    else
        send_frames(sender, &out);
}

static void send_message(struct ipmpi_sender *sender,
                         const struct ipmpi_item *item)
{
    struct ipmpi_frames out = {0};

    if (ipmpi_frames_add_copy(&out, &item->head, sizeof(item->head)) != 0 ||
        (item->topic.data != NULL &&
         ipmpi_frames_add_frame(&out, &item->topic) != 0) ||
        ipmpi_compose(sender->composer, item->msg_type, item->date_us,
                      &item->parent, &item->metadata, &item->content,
                      &out) != 0 ||
        ipmpi_frames_add_from(&out, &item->buffers, 0, item->buffers.n) != 0)
        leave_without_memory();
    send_frames(sender, &out);
}

/* A reply may go by a tree. */
static void send_reply(struct ipmpi_sender *sender,
                       const struct ipmpi_item *item)
{
    struct ipmpi_branches *branches = sender->branches;
    const bool wanted = ipmpi_branches_want(branches, item);
    int err;

    if (!wanted)
        send_message(sender, item);
    err = wanted ? ipmpi_branches_add(branches, item)
                 : ipmpi_branches_apart(branches, item);
    if (err != 0)
        leave(ipmpi_strerror(err));
}

/* ---- streams -------------------------------------------------------- */

static struct ipmpi_frame stream_content(struct ipmpi_sender *sender, int which,
                                         size_t len)
{
    char *start = sender->content, *at;

    at = stpcpy(start, "{\"name\":\"");
    at = stpcpy(at, stream_name[which]);
    at = stpcpy(at, "\",\"text\":\"");
    at += ipmpi_json_escape(sender->stream[which].text, len, at);
    at = stpcpy(at, "\"}");
    return (struct ipmpi_frame){(const uint8_t *)start, (size_t)(at - start),
                                NULL};
}

static void send_stream(struct ipmpi_sender *sender, int which, size_t len)
{
    struct ipmpi_frame content = stream_content(sender, which, len);
    struct ipmpi_publication publication = {.msg_type = "stream",
                                            .content = content};
    struct ipmpi_item *item;
    char topic[48];

    snprintf(topic, sizeof(topic), "engine.%d.%s", sender->speaker->engine_id,
             stream_name[which]);
    publication.topic = topic;
    if (ipmpi_speaker_publish(sender->speaker, &publication,
                              &sender->stream[which].parent, &item) != 0)
        leave_without_memory();
    send_message(sender, item);
    ipmpi_item_destroy(&item);
}

/* Sends what was gathered; the beginning of a character is kept for its rest,
 * unless none can come (`all`). */
static void flush(struct ipmpi_sender *sender, int which, bool all)
{
    struct ipmpi_stream *s = &sender->stream[which];
    const size_t len = all ? s->len : ipmpi_utf8_border(s->text, s->len);

    if (len == 0)
        return;
    send_stream(sender, which, len);
    memmove(s->text, s->text + len, s->len - len);
    s->len -= len;
}

static void flush_both(struct ipmpi_sender *sender, bool all)
{
    flush(sender, 0, all);
    flush(sender, 1, all);
}

static void gather(struct ipmpi_sender *sender, const struct ipmpi_item *item)
{
    const int which = item->fd - STDOUT_FILENO;
    struct ipmpi_stream *s = &sender->stream[which];

    if (s->parent.data != item->parent.data) {
        flush(sender, which, true);
        ipmpi_buffer_release(&s->parent.owner);
        ipmpi_frame_share(&s->parent, &item->parent);
    }
    for (size_t at = 0, n; at < item->len; at += n) {
        n = item->len - at;
        if (n > TEXT_CAP - s->len)
            n = TEXT_CAP - s->len;
        memcpy(s->text + s->len, item->text + at, n);
        s->len += n;
        if (s->len == TEXT_CAP)
            flush(sender, which, false);
    }
    if (item->captured)
        ipmpi_echo_add(&sender->echo[which], item->text, item->len);
}

/* ---- turns ---------------------------------------------------------- */

static void send_item(struct ipmpi_sender *sender,
                      const struct ipmpi_item *item)
{
    if (item->kind == IPMPI_ITEM_TEXT) {
        gather(sender, item);
        return;
    }
    flush_both(sender, item->kind != IPMPI_ITEM_FLUSH);
    if (item->kind == IPMPI_ITEM_MESSAGE && item->head.type == IPMPI_MSG_REPLY)
        send_reply(sender, item);
    else if (item->kind == IPMPI_ITEM_MESSAGE)
        send_message(sender, item);
    else if (item->kind == IPMPI_ITEM_PLAIN)
        send_plain(sender, item);
}

unsigned ipmpi_sender_turn(struct ipmpi_sender *sender, unsigned budget)
{
    struct ipmpi_item *item;
    unsigned did = 0;
    size_t sent = 0;

    if (sender->rest == NULL)
        sender->rest = ipmpi_outbox_take(sender->outbox, ipmpi_clock_now_us());
    ipmpi_comm_hold(sender->comm);
    while (did < budget && (item = sender->rest) != NULL &&
           ipmpi_sender_may_send(sender)) {
        sender->rest = item->next;
        item->next = NULL;
        send_item(sender, item);
        sent += item->cost;
        ipmpi_item_destroy(&item);
        did++;
    }
    if (did > 0 && sender->rest == NULL)
        flush_both(sender, false);
    ipmpi_comm_let_go(sender->comm);
    if (did == 0)
        return 0;
    ipmpi_outbox_sent(sender->outbox, sent);
    return did;
}

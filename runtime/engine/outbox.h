/* What Python's threads have for the comm thread to send, in order.
 *
 * Text is left here to gather: it becomes due after 0.1 s, when there is much,
 * or when something else was posted after it. The comm thread is woken only if
 * it sleeps, and not for text that its timer will see.
 *
 * Threads: post, wait_room and close on any; the rest on the comm thread. */
#ifndef IPMPI_ENGINE_OUTBOX_H
#define IPMPI_ENGINE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"
#include "runtime/engine/text.h"

#define IPMPI_OUTBOX_BOUND ((size_t)8 << 20) /* bytes that may wait */

enum ipmpi_item_kind {
    IPMPI_ITEM_TEXT,    /* output for `fd` */
    IPMPI_ITEM_FLUSH,   /* nothing but an end of the text before it */
    IPMPI_ITEM_MESSAGE, /* to compose: topic, if IOPUB; parts; buffers */
    IPMPI_ITEM_PLAIN,   /* the head and `buffers`, as they are */
};

struct ipmpi_item {
    struct ipmpi_item *next;
    enum ipmpi_item_kind kind;
    size_t cost;               /* bytes it counts against the bound */
    struct ipmpi_frame parent; /* has a share; text and messages */

    struct ipmpi_msg_head head; /* messages and plain ones */
    char msg_type[IPMPI_TYPE_CAP + 8];
    int dest;        /* plain ones: a rank of this world */
    int64_t date_us; /* 0: when it is composed */
    struct ipmpi_frame topic, metadata, content; /* data NULL: none */
    struct ipmpi_frames buffers;

    int fd;        /* text: 1 or 2 */
    bool captured; /* it came through the descriptor: echo it */
    size_t len, cap;
    char text[];
};

/* A new item that shares `parent` (NULL: it has none). NULL: no memory. */
struct ipmpi_item *ipmpi_item_create(enum ipmpi_item_kind kind,
                                     const struct ipmpi_frame *parent,
                                     size_t text_cap);
/* Frees a whole list and nulls it. */
void ipmpi_item_destroy(struct ipmpi_item **list);

struct ipmpi_outbox; /* opaque */

/* IPMPI_ENOMEM, IPMPI_ESYS. */
int ipmpi_outbox_open(struct ipmpi_outbox **outbox_out);
void ipmpi_outbox_destroy(struct ipmpi_outbox **outbox);

/* Appends a list of items, which are given; drops it when closed. */
void ipmpi_outbox_post(struct ipmpi_outbox *outbox, struct ipmpi_item **list);

/* As post, but leaves a comm thread asleep that wakes soon by itself
 * (before_sleep): what is posted next may then share its waking. */
void ipmpi_outbox_post_soon(struct ipmpi_outbox *outbox,
                            struct ipmpi_item **list);

/* Appends text, copied. The parent is shared. IPMPI_ENOMEM. */
int ipmpi_outbox_post_text(struct ipmpi_outbox *outbox,
                           const struct ipmpi_frame *parent, int fd,
                           bool captured, const char *text, size_t len);

/* 0: at most IPMPI_OUTBOX_BOUND bytes wait, or it is closed. Waits up to
 * `wait_ms` for that: IPMPI_ETIMEOUT. */
int ipmpi_outbox_wait_room(struct ipmpi_outbox *outbox, int wait_ms);

/* Waits up to `wait_ms` until all that was posted has been given to MPI, or
 * the outbox is closed. */
void ipmpi_outbox_wait_sent(struct ipmpi_outbox *outbox, int wait_ms);

/* Makes the comm thread look, asleep or not. Any thread. */
void ipmpi_outbox_ring(struct ipmpi_outbox *outbox);

/* From now on everything is dropped; what waits is, too. */
void ipmpi_outbox_close(struct ipmpi_outbox *outbox);

/* All items if they are due, NULL otherwise. The caller says when their bytes
 * have gone: ipmpi_outbox_sent. */
struct ipmpi_item *ipmpi_outbox_take(struct ipmpi_outbox *outbox,
                                     int64_t now_us);
void ipmpi_outbox_sent(struct ipmpi_outbox *outbox, size_t bytes);
/* Whether as much waits as may wait: then nothing more is read. */
bool ipmpi_outbox_is_full(struct ipmpi_outbox *outbox);

/* Before sleeping: from now on who posts rings. `is_short` promises to look
 * within a millisecond or two. Returns how many microseconds there are until
 * text is due; 0: items are due, -1: there is nothing. */
int64_t ipmpi_outbox_before_sleep(struct ipmpi_outbox *outbox, int64_t now_us,
                                  bool is_short);
int ipmpi_outbox_fd(const struct ipmpi_outbox *outbox); /* poll it */
void ipmpi_outbox_after_sleep(struct ipmpi_outbox *outbox);

#endif

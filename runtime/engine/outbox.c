/* The outbox: a list under a lock, and an eventfd.
 *
 * Invariant: `asleep` is true only while the comm thread is between
 *            before_sleep and after_sleep and nobody has rung since; whoever
 *            makes it false writes the eventfd. `waiting` is the cost of all
 *            items posted and not yet sent.
 * Threads:   see the header; the lock guards everything but the descriptor. */
#include "runtime/engine/outbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum {
    GATHER_US = 100 * 1000,  /* text waits that long for more */
    GATHER_BYTES = 64 << 10, /* or for that much */
    TEXT_CAP = 1024,         /* room in a new item, so that prints share it */
};

struct ipmpi_outbox {
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t room; /* waiting fell below the bound, or closed */
    struct ipmpi_item *head, **tail, *last;
    size_t waiting, text_bytes;
    int64_t text_since_us; /* when the oldest text came; 0: there is none */
    bool urgent;           /* something is not text */
    bool asleep, closed;
    bool is_short; /* this sleep is */
};

int ipmpi_outbox_open(struct ipmpi_outbox **outbox_out)
{
    struct ipmpi_outbox *outbox = calloc(1, sizeof(*outbox));
    pthread_condattr_t attr;

    if (outbox == NULL)
        return IPMPI_ENOMEM;
    outbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (outbox->fd < 0) {
        free(outbox);
        return IPMPI_ESYS;
    }
    pthread_mutex_init(&outbox->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&outbox->room, &attr);
    pthread_condattr_destroy(&attr);
    outbox->tail = &outbox->head;
    *outbox_out = outbox;
    return 0;
}

void ipmpi_outbox_destroy(struct ipmpi_outbox **outbox)
{
    if (*outbox == NULL)
        return;
    ipmpi_item_destroy(&(*outbox)->head);
    pthread_cond_destroy(&(*outbox)->room);
    pthread_mutex_destroy(&(*outbox)->lock);
    close((*outbox)->fd);
    free(*outbox);
    *outbox = NULL;
}

static void ring(struct ipmpi_outbox *outbox)
{
    const uint64_t one = 1;

    /* EAGAIN: the counter is at its end, so it is readable already. */
    if (write(outbox->fd, &one, sizeof(one)) < 0)
        return;
}

/* Under the lock: whether the sleeper has to be rung, which is then done. */
static bool rouse(struct ipmpi_outbox *outbox)
{
    const bool was_asleep = outbox->asleep;

    outbox->asleep = false;
    return was_asleep;
}

static void append(struct ipmpi_outbox *outbox, struct ipmpi_item *item)
{
    *outbox->tail = item;
    outbox->tail = &item->next;
    outbox->last = item;
    outbox->waiting += item->cost;
    if (item->kind != IPMPI_ITEM_TEXT)
        outbox->urgent = true;
}

static void post(struct ipmpi_outbox *outbox, struct ipmpi_item **list,
                 bool may_wait)
{
    struct ipmpi_item *item, *next;
    bool must_ring = false;

    pthread_mutex_lock(&outbox->lock);
    if (outbox->closed) {
        pthread_mutex_unlock(&outbox->lock);
        ipmpi_item_destroy(list);
        return;
    }
    for (item = *list; item != NULL; item = next) {
        next = item->next;
        item->next = NULL;
        append(outbox, item);
    }
    if (!may_wait || !outbox->is_short)
        must_ring = rouse(outbox);
    pthread_mutex_unlock(&outbox->lock);
    if (must_ring)
        ring(outbox);
    *list = NULL;
}

void ipmpi_outbox_post(struct ipmpi_outbox *outbox, struct ipmpi_item **list)
{
    post(outbox, list, false);
}

void ipmpi_outbox_post_soon(struct ipmpi_outbox *outbox,
                            struct ipmpi_item **list)
{
    post(outbox, list, true);
}

/* Whether text may be appended to the last item. */
static bool fits(const struct ipmpi_item *last,
                 const struct ipmpi_frame *parent, int fd, bool captured,
                 size_t len)
{
    return last != NULL && last->kind == IPMPI_ITEM_TEXT && last->fd == fd &&
           last->captured == captured && last->parent.data == parent->data &&
           len <= last->cap - last->len;
}

static struct ipmpi_item *text_item(const struct ipmpi_frame *parent, int fd,
                                    bool captured, size_t len)
{
    const size_t cap = len < TEXT_CAP ? TEXT_CAP : len;
    struct ipmpi_item *item = ipmpi_item_create(IPMPI_ITEM_TEXT, parent, cap);

    if (item != NULL) {
        item->fd = fd;
        item->captured = captured;
    }
    return item;
}

/* Under the lock. Returns whether the sleeper has to be rung. */
static bool add_text(struct ipmpi_outbox *outbox, struct ipmpi_item *item,
                     const char *text, size_t len)
{
    const bool was_little = outbox->text_bytes < GATHER_BYTES;
    const bool was_none = outbox->text_since_us == 0;

    memcpy(item->text + item->len, text, len);
    item->len += len;
    item->cost += len;
    outbox->waiting += len;
    outbox->text_bytes += len;
    if (was_none)
        outbox->text_since_us = ipmpi_clock_now_us();
    if (was_none || (was_little && outbox->text_bytes >= GATHER_BYTES))
        return rouse(outbox);
    return false;
}

int ipmpi_outbox_post_text(struct ipmpi_outbox *outbox,
                           const struct ipmpi_frame *parent, int fd,
                           bool captured, const char *text, size_t len)
{
    struct ipmpi_item *item;
    bool must_ring = false;
    int err = 0;

    if (len == 0)
        return 0;
    pthread_mutex_lock(&outbox->lock);
    if (outbox->closed)
        goto unlock;
    if (!fits(outbox->last, parent, fd, captured, len)) {
        item = text_item(parent, fd, captured, len);
        if (item == NULL) {
            err = IPMPI_ENOMEM;
            goto unlock;
        }
        append(outbox, item);
    }
    must_ring = add_text(outbox, outbox->last, text, len);
unlock:
    pthread_mutex_unlock(&outbox->lock);
    if (must_ring)
        ring(outbox);
    return err;
}

static struct timespec after_ms(int wait_ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += wait_ms / 1000;
    t.tv_nsec += wait_ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

static bool is_full(const struct ipmpi_outbox *outbox)
{
    return !outbox->closed && outbox->waiting > IPMPI_OUTBOX_BOUND;
}

int ipmpi_outbox_wait_room(struct ipmpi_outbox *outbox, int wait_ms)
{
    const struct timespec until = after_ms(wait_ms);
    int err = 0;

    pthread_mutex_lock(&outbox->lock);
    while (is_full(outbox) && err == 0)
        err = pthread_cond_timedwait(&outbox->room, &outbox->lock, &until);
    err = is_full(outbox) ? IPMPI_ETIMEOUT : 0;
    pthread_mutex_unlock(&outbox->lock);
    return err;
}

void ipmpi_outbox_wait_sent(struct ipmpi_outbox *outbox, int wait_ms)
{
    const struct timespec until = after_ms(wait_ms);
    int err = 0;

    pthread_mutex_lock(&outbox->lock);
    while (!outbox->closed && outbox->waiting > 0 && err == 0)
        err = pthread_cond_timedwait(&outbox->room, &outbox->lock, &until);
    pthread_mutex_unlock(&outbox->lock);
}

bool ipmpi_outbox_is_full(struct ipmpi_outbox *outbox)
{
    bool full;

    pthread_mutex_lock(&outbox->lock);
    full = is_full(outbox);
    pthread_mutex_unlock(&outbox->lock);
    return full;
}

void ipmpi_outbox_ring(struct ipmpi_outbox *outbox)
{
    ring(outbox);
}

/* Under the lock: the list is the caller's. */
static struct ipmpi_item *detach(struct ipmpi_outbox *outbox)
{
    struct ipmpi_item *list = outbox->head;

    outbox->head = outbox->last = NULL;
    outbox->tail = &outbox->head;
    outbox->text_bytes = 0;
    outbox->text_since_us = 0;
    outbox->urgent = false;
    return list;
}

void ipmpi_outbox_close(struct ipmpi_outbox *outbox)
{
    struct ipmpi_item *list;

    pthread_mutex_lock(&outbox->lock);
    outbox->closed = true;
    list = detach(outbox);
    pthread_cond_broadcast(&outbox->room);
    pthread_mutex_unlock(&outbox->lock);
    ipmpi_item_destroy(&list);
}

/* Microseconds until items are due; 0: now, -1: there are none. */
static int64_t due_in(const struct ipmpi_outbox *outbox, int64_t now_us)
{
    int64_t rest;

    if (outbox->head == NULL)
        return -1;
    if (outbox->urgent || outbox->text_bytes >= GATHER_BYTES)
        return 0;
    rest = outbox->text_since_us + GATHER_US - now_us;
    return rest > 0 ? rest : 0;
}

struct ipmpi_item *ipmpi_outbox_take(struct ipmpi_outbox *outbox,
                                     int64_t now_us)
{
    struct ipmpi_item *list = NULL;

    pthread_mutex_lock(&outbox->lock);
    if (due_in(outbox, now_us) == 0)
        list = detach(outbox);
    pthread_mutex_unlock(&outbox->lock);
    return list;
}

void ipmpi_outbox_sent(struct ipmpi_outbox *outbox, size_t bytes)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->waiting -= bytes;
    if (!is_full(outbox))
        pthread_cond_broadcast(&outbox->room);
    pthread_mutex_unlock(&outbox->lock);
}

int64_t ipmpi_outbox_before_sleep(struct ipmpi_outbox *outbox, int64_t now_us,
                                  bool is_short)
{
    int64_t rest;

    pthread_mutex_lock(&outbox->lock);
    rest = due_in(outbox, now_us);
    outbox->asleep = rest != 0;
    outbox->is_short = is_short;
    pthread_mutex_unlock(&outbox->lock);
    return rest;
}

int ipmpi_outbox_fd(const struct ipmpi_outbox *outbox)
{
    return outbox->fd;
}

void ipmpi_outbox_after_sleep(struct ipmpi_outbox *outbox)
{
    uint64_t count;

    pthread_mutex_lock(&outbox->lock);
    outbox->asleep = outbox->is_short = false;
    pthread_mutex_unlock(&outbox->lock);
    /* EAGAIN: nobody rang. */
    if (read(outbox->fd, &count, sizeof(count)) < 0)
        return;
}

/* The watcher's thread.
 *
 * Invariant: `lock` guards what both threads see (places, sentence, stop); no
 * request is made under it. */
#include "launch/marathon/watch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "launch/marathon/app.h"
#include "launch/channel/protocol.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    POLL_US = 1000 * 1000,            /* and up to as much again, by chance */
    SAFETY_US = 10 * IPMPI_SECOND_US, /* with a stream */
    SHORT_US = IPMPI_SECOND_US,       /* and while nodes are missing */
    QUEUE_US = 2 * IPMPI_SECOND_US,   /* how often the queue is read */
    RECONNECT_US = 5 * IPMPI_SECOND_US,
    SETTLE_US = 100 * 1000, /* events come in bursts */
    NAP_US = 50 * 1000,
};

struct ipmpi_watch {
    char id[IPMPI_APP_ID_CAP];
    bool container_network;
    struct ipmpi_marathon *asks, *listens; /* the thread's */
    pthread_t thread;
    int fd;

    bool streaming, missing, said;
    int64_t read_us, queue_us; /* when next */
    json_t *app, *queue;

    pthread_mutex_t lock;
    bool stop;
    struct ipmpi_place places[IPMPI_NODES_MAX];
    size_t nplaces;
    char sentence[1024];
};

static bool stopped(struct ipmpi_watch *watch)
{
    bool stop;

    pthread_mutex_lock(&watch->lock);
    stop = watch->stop;
    pthread_mutex_unlock(&watch->lock);
    return stop;
}

static void publish(struct ipmpi_watch *watch)
{
    json_t *tasks = json_object_get(watch->app, "tasks");
    const uint64_t one = 1;

    pthread_mutex_lock(&watch->lock);
    watch->nplaces = ipmpi_app_places(tasks, watch->container_network,
                                      watch->places, IPMPI_NODES_MAX);
    ipmpi_app_explain(watch->id, watch->app, watch->queue, watch->sentence,
                      sizeof(watch->sentence));
    pthread_mutex_unlock(&watch->lock);
    if (write(watch->fd, &one, sizeof(one)) < 0)
        return; /* full: it is readable already */
}

static void say_trouble(struct ipmpi_watch *watch,
                        const struct ipmpi_marathon_answer *answer)
{
    char text[512];

    ipmpi_marathon_explain(answer, text, sizeof(text));
    if (!watch->said)
        ipmpi_log_warn("MARATHON-READ", "%s; trying again", text);
    watch->said = true;
    pthread_mutex_lock(&watch->lock);
    snprintf(watch->sentence, sizeof(watch->sentence), "%s", text);
    pthread_mutex_unlock(&watch->lock);
}

static void read_queue(struct ipmpi_watch *watch)
{
    struct ipmpi_marathon_answer answer;

    if (ipmpi_marathon_call(watch->asks, "GET", "/v2/queue", NULL, &answer) ==
        0) {
        json_decref(watch->queue);
        watch->queue = json_incref(answer.body);
    }
    ipmpi_marathon_clear(&answer);
}

static void read_app(struct ipmpi_watch *watch)
{
    struct ipmpi_marathon_answer answer;
    const int64_t now_us = ipmpi_clock_now_us();
    char path[IPMPI_APP_ID_CAP + 64];
    json_t *app;

    snprintf(path, sizeof(path), "/v2/apps%s", watch->id);
    if (ipmpi_marathon_call(watch->asks, "GET", path, NULL, &answer) != 0) {
        say_trouble(watch, &answer);
        ipmpi_marathon_clear(&answer);
        return;
    }
    watch->said = false;
    app = json_object_get(answer.body, "app");
    if (json_is_object(app)) {
        json_decref(watch->app);
        watch->app = json_incref(app);
        watch->missing =
            json_integer_value(json_object_get(app, "tasksRunning")) <
            json_integer_value(json_object_get(app, "instances"));
        if (watch->missing && now_us >= watch->queue_us) {
            watch->queue_us = now_us + QUEUE_US;
            read_queue(watch);
        }
        publish(watch);
    }
    ipmpi_marathon_clear(&answer);
}

/* Reads when it is time; called from both ways of waiting. */
static bool tick(void *arg)
{
    struct ipmpi_watch *watch = arg;
    const int64_t now_us = ipmpi_clock_now_us();

    if (stopped(watch))
        return false;
    if (now_us >= watch->read_us) {
        read_app(watch);
        watch->read_us =
            now_us + (watch->missing     ? SHORT_US
                      : watch->streaming ? SAFETY_US
                                         : POLL_US + random() % POLL_US);
    }
    return true;
}

static void on_event(void *arg, const char *type, const char *data)
{
    struct ipmpi_watch *watch = arg;
    const int64_t soon_us = ipmpi_clock_now_us() + SETTLE_US;
    const bool attached = strcmp(type, "event_stream_attached") == 0;

    if (attached)
        watch->streaming = true;
    if ((attached || strstr(data, watch->id) != NULL) &&
        watch->read_us > soon_us)
        watch->read_us = soon_us;
}

static void *run(void *arg)
{
    struct ipmpi_watch *watch = arg;
    int64_t next_us;

    while (!stopped(watch)) {
        ipmpi_marathon_events(watch->listens, on_event, tick, watch);
        if (stopped(watch))
            break;
        if (watch->streaming)
            ipmpi_log_info("MARATHON-EVENTS",
                           "the event stream ended; asking instead");
        watch->streaming = false;
        watch->read_us = 0; /* what was missed */
        next_us = ipmpi_clock_now_us() + RECONNECT_US;
        while (ipmpi_clock_now_us() < next_us && tick(watch))
            usleep(NAP_US);
    }
    return NULL;
}

int ipmpi_watch_create(const struct ipmpi_marathon_access *access,
                       const char *id, bool container_network,
                       struct ipmpi_watch **watch_out)
{
    struct ipmpi_watch *watch = calloc(1, sizeof(*watch));
    int err;

    if (watch == NULL)
        return IPMPI_ENOMEM;
    snprintf(watch->id, sizeof(watch->id), "%s", id);
    watch->container_network = container_network;
    pthread_mutex_init(&watch->lock, NULL);
    watch->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    err = watch->fd < 0 ? IPMPI_ESYS : 0;
    if (err == 0)
        err = ipmpi_marathon_open(access, &watch->asks);
    if (err == 0)
        err = ipmpi_marathon_open(access, &watch->listens);
    if (err == 0 && pthread_create(&watch->thread, NULL, run, watch) != 0)
        err = IPMPI_ESYS;
    if (err != 0) {
        ipmpi_marathon_close(&watch->asks);
        ipmpi_marathon_close(&watch->listens);
        if (watch->fd >= 0)
            close(watch->fd);
        free(watch);
        return err;
    }
    pthread_setname_np(watch->thread, "watch");
    *watch_out = watch;
    return 0;
}

void ipmpi_watch_destroy(struct ipmpi_watch **watch)
{
    struct ipmpi_watch *gone = *watch;

    if (gone == NULL)
        return;
    pthread_mutex_lock(&gone->lock);
    gone->stop = true;
    pthread_mutex_unlock(&gone->lock);
    pthread_join(gone->thread, NULL);
    pthread_mutex_destroy(&gone->lock);
    ipmpi_marathon_close(&gone->asks);
    ipmpi_marathon_close(&gone->listens);
    json_decref(gone->app);
    json_decref(gone->queue);
    close(gone->fd);
    free(gone);
    *watch = NULL;
}

int ipmpi_watch_fd(const struct ipmpi_watch *watch)
{
    return watch->fd;
}

size_t ipmpi_watch_take(struct ipmpi_watch *watch, struct ipmpi_place *places,
                        size_t cap)
{
    uint64_t count;
    size_t n;

    if (read(watch->fd, &count, sizeof(count)) < 0)
        count = 0; /* nothing new: the same list again does no harm */
    pthread_mutex_lock(&watch->lock);
    n = watch->nplaces < cap ? watch->nplaces : cap;
    memcpy(places, watch->places, n * sizeof(*places));
    pthread_mutex_unlock(&watch->lock);
    return n;
}

void ipmpi_watch_explain(struct ipmpi_watch *watch, char *text, size_t cap)
{
    pthread_mutex_lock(&watch->lock);
    snprintf(text, cap, "%s", watch->sentence);
    pthread_mutex_unlock(&watch->lock);
}

/* Control requests: from the comm thread to one thread of Python and back.
 *
 * Invariant: while a control waits or is being served, no work starts: a
 * client that clears an engine and then submits sees it cleared. */
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/engine/state.h"

void ipmpi_controls_init(struct ipmpi_controls *controls)
{
    *controls = (struct ipmpi_controls){0};
    pthread_mutex_init(&controls->lock, NULL);
    pthread_cond_init(&controls->came, NULL);
    controls->tail = &controls->waiting;
}

void ipmpi_controls_clear(struct ipmpi_controls *controls)
{
    ipmpi_work_destroy(&controls->waiting);
    ipmpi_work_destroy(&controls->started);
    pthread_cond_destroy(&controls->came);
    pthread_mutex_destroy(&controls->lock);
}

void ipmpi_controls_push(struct ipmpi_controls *controls,
                         struct ipmpi_work **work)
{
    pthread_mutex_lock(&controls->lock);
    *controls->tail = *work;
    controls->tail = &(*work)->next;
    pthread_cond_signal(&controls->came);
    pthread_mutex_unlock(&controls->lock);
    *work = NULL;
}

void ipmpi_controls_end(struct ipmpi_controls *controls)
{
    pthread_mutex_lock(&controls->lock);
    controls->ended = true;
    pthread_cond_broadcast(&controls->came);
    pthread_mutex_unlock(&controls->lock);
}

bool ipmpi_controls_are_busy(struct ipmpi_controls *controls)
{
    bool busy;

    pthread_mutex_lock(&controls->lock);
    busy = controls->waiting != NULL || controls->started != NULL;
    pthread_mutex_unlock(&controls->lock);
    return busy;
}

int ipmpi_engine_take_control(struct ipmpi_engine *engine,
                              const struct ipmpi_work **work_out)
{
    struct ipmpi_controls *controls = &engine->controls;
    struct ipmpi_work *work = NULL;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    pthread_mutex_lock(&controls->lock);
    while (controls->waiting == NULL && !controls->ended)
        pthread_cond_wait(&controls->came, &controls->lock);
    if (!controls->ended) {
        work = controls->waiting;
        controls->waiting = work->next;
        if (controls->waiting == NULL)
            controls->tail = &controls->waiting;
        work->started_us = ipmpi_clock_wall_us();
        work->next = controls->started;
        controls->started = work;
    }
    pthread_mutex_unlock(&controls->lock);
    if (work == NULL)
        return IPMPI_ESTATE;
    *work_out = work;
    return 0;
}

/* Takes the work out of the started ones; NULL: it is not among them. */
static struct ipmpi_work *end_control(struct ipmpi_controls *controls,
                                      uint64_t ref)
{
    struct ipmpi_work *work;

    pthread_mutex_lock(&controls->lock);
    work = ipmpi_work_unlink(&controls->started, ref);
    pthread_mutex_unlock(&controls->lock);
    return work;
}

static void put_back(struct ipmpi_controls *controls, struct ipmpi_work *work)
{
    pthread_mutex_lock(&controls->lock);
    work->next = controls->started;
    controls->started = work;
    pthread_mutex_unlock(&controls->lock);
}

static int answer_control(struct ipmpi_engine *engine, uint64_t ref,
                          struct ipmpi_answer *answer)
{
    struct ipmpi_work *work;
    struct ipmpi_item *reply;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    work = end_control(&engine->controls, ref);
    if (work == NULL)
        return IPMPI_ENOENT;
    err = ipmpi_speaker_reply(&engine->speaker, work, answer,
                              IPMPI_MSG_CONTROL_REPLY, &reply);
    if (err != 0) {
        put_back(&engine->controls, work);
        return err;
    }
    ipmpi_outbox_post(engine->outbox, &reply);
    ipmpi_work_destroy(&work);
    if (!ipmpi_controls_are_busy(&engine->controls) &&
        ipmpi_queue_length(engine->queue) > 0)
        ipmpi_engine_wake(engine); /* work had to wait for us */
    return 0;
}

int ipmpi_engine_reply_control(struct ipmpi_engine *engine, uint64_t ref,
                               struct ipmpi_answer *answer)
{
    int err = answer_control(engine, ref, answer);

    ipmpi_frames_clear(&answer->content);
    ipmpi_frames_clear(&answer->buffers);
    return err;
}

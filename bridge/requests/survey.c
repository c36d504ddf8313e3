/* Surveys of engines' memory. */
#include "bridge/requests/survey.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "runtime/base/error.h"

/* An engine that does not answer in time, because its node is under water,
 * must not keep the rest from being shown. */
#define PATIENCE_US ((int64_t)500 * 1000)

struct inquiry {
    uint64_t number;
    struct ipmpi_request *request; /* a share */
    size_t missing;                /* answers */
    int64_t deadline_us;
    struct inquiry *prev, *next;
};

struct ipmpi_survey {
    ipmpi_survey_done_fn *done;
    uint64_t last;
    size_t n;
    struct inquiry *open; /* oldest first */
};

int ipmpi_survey_create(ipmpi_survey_done_fn *done,
                        struct ipmpi_survey **survey_out)
{
    struct ipmpi_survey *survey = calloc(1, sizeof(*survey));

    if (survey == NULL)
        return IPMPI_ENOMEM;
    survey->done = done;
    *survey_out = survey;
    return 0;
}

static void drop(struct ipmpi_survey *survey, struct inquiry *inquiry)
{
    DL_DELETE(survey->open, inquiry);
    survey->n--;
    ipmpi_request_release(&inquiry->request);
    free(inquiry);
}

void ipmpi_survey_destroy(struct ipmpi_survey **survey)
{
    if (*survey == NULL)
        return;
    while ((*survey)->open != NULL)
        drop(*survey, (*survey)->open);
    free(*survey);
    *survey = NULL;
}

/* Asks all elsewhere; how many. */
static size_t ask(struct ipmpi_hub *hub, uint64_t number, const char *here)
{
    const struct ipmpi_msg_head head = {
        .version = IPMPI_PROTOCOL_VERSION,
        .type = IPMPI_MSG_MEASURE,
        .ref = number,
    };
    struct ipmpi_engine *engine, *next;
    size_t n = 0;

    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        if (!ipmpi_engine_is_known(engine) || strcmp(engine->host, here) == 0)
            continue;
        ipmpi_hub_tell_engine(hub, engine, &head, NULL);
        n++;
    }
    return n;
}

int ipmpi_survey_begin(struct ipmpi_hub *hub, struct ipmpi_request *request,
                       const char *here)
{
    struct ipmpi_survey *survey = hub->survey;
    struct inquiry *inquiry;
    size_t asked;

    if (survey->n == IPMPI_SURVEYS_MAX)
        return IPMPI_EFULL;
    inquiry = calloc(1, sizeof(*inquiry));
    if (inquiry == NULL)
        return IPMPI_ENOMEM;
    asked = ask(hub, survey->last + 1, here);
    if (asked == 0) {
        free(inquiry);
        return IPMPI_EEMPTY;
    }
    inquiry->number = ++survey->last;
    inquiry->missing = asked;
    inquiry->request = ipmpi_request_share(request);
    inquiry->deadline_us = hub->out.now_us(hub->out.ctx) + PATIENCE_US;
    DL_APPEND(survey->open, inquiry);
    survey->n++;
    return 0;
}

static void finish(struct ipmpi_hub *hub, struct inquiry *inquiry)
{
    hub->survey->done(hub, inquiry->request, inquiry->number);
    drop(hub->survey, inquiry);
}

void ipmpi_survey_take(struct ipmpi_hub *hub, struct ipmpi_engine *engine,
                       const struct ipmpi_msg_head *head,
                       struct ipmpi_frames *frames)
{
    struct inquiry *inquiry;
    int64_t rss;

    if (frames->n < 2 || frames->at[1].len != sizeof(rss))
        return;
    memcpy(&rss, frames->at[1].data, sizeof(rss));
    engine->rss = rss;
    engine->survey = head->ref;
    DL_FOREACH (hub->survey->open, inquiry) {
        if (inquiry->number == head->ref)
            break;
    }
    if (inquiry != NULL && --inquiry->missing == 0)
        finish(hub, inquiry);
}

int64_t ipmpi_survey_deadline_us(const struct ipmpi_survey *survey)
{
    return survey->open != NULL ? survey->open->deadline_us : INT64_MAX;
}

void ipmpi_survey_turn(struct ipmpi_hub *hub)
{
    struct ipmpi_survey *survey = hub->survey;

    while (survey->open != NULL &&
           hub->out.now_us(hub->out.ctx) >= survey->open->deadline_us)
        finish(hub, survey->open);
}

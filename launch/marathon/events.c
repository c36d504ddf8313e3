/* Marathon's stream of events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/marathon/http_inside.h"
#include "runtime/base/error.h"

enum {
    EVENT_MAX = 4 * 1024 * 1024,
    SILENCE_S = 45, /* the heart-beat comes each 10 s */
};

struct stream {
    struct ipmpi_text line_text;
    char type[128];
    void (*on_event)(void *arg, const char *type, const char *data);
    void *arg;
};

static void take_line(struct stream *stream, char *line)
{
    const size_t len = strlen(line);

    if (len > 0 && line[len - 1] == '\r')
        line[len - 1] = 0;
    if (strncmp(line, "event:", 6) == 0)
        snprintf(stream->type, sizeof(stream->type), "%s",
                 line + 6 + strspn(line + 6, " "));
    else if (strncmp(line, "data:", 5) == 0)
        stream->on_event(stream->arg, stream->type,
                         line + 5 + strspn(line + 5, " "));
    else if (line[0] == 0)
        stream->type[0] = 0;
}

static size_t take_events(char *data, size_t size, size_t n, void *arg)
{
    struct stream *stream = arg;
    struct ipmpi_text *text = &stream->line_text;
    size_t start = 0;

    if (text->len + size * n > EVENT_MAX ||
        ipmpi_http_take(data, size, n, text) != size * n)
        return 0;
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == '\n') {
            text->data[i] = 0;
            take_line(stream, text->data + start);
            start = i + 1;
        }
    memmove(text->data, text->data + start, text->len - start);
    text->len -= start;
    return size * n;
}

/* A standby sends us to the leader. We follow only to an instance that we were
 * told of, if there are credentials: they are not for strangers. */
static bool follow(struct ipmpi_marathon *marathon, CURL *curl)
{
    const char *to = NULL;

    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &to);
    for (size_t i = 0; to != NULL && i < marathon->nurls; i++)
        if (strncmp(to, marathon->url[i], strlen(marathon->url[i])) == 0) {
            marathon->at = i;
            return true;
        }
    return false;
}

static bool stream_once(CURLM *multi, CURL *curl, bool (*tick)(void *arg),
                        struct stream *stream)
{
    int running = 1;
    bool stopped = false;

    curl_multi_add_handle(multi, curl);
    while (running > 0 && !stopped) {
        curl_multi_perform(multi, &running);
        stopped = !tick(stream->arg);
        if (running > 0 && !stopped)
            curl_multi_poll(multi, NULL, 0, 200, NULL);
    }
    curl_multi_remove_handle(multi, curl);
    return stopped;
}

int ipmpi_marathon_events(struct ipmpi_marathon *marathon,
                          void (*on_event)(void *arg, const char *type,
                                           const char *data),
                          bool (*tick)(void *arg), void *arg)
{
    struct stream stream = {.on_event = on_event, .arg = arg};
    struct curl_slist *headers = NULL, *at;
    CURLM *multi = curl_multi_init();
    CURL *curl = curl_easy_init();
    bool stopped = false;
    long status = 302;

    for (at = marathon->headers; at != NULL; at = at->next)
        headers = curl_slist_append(headers, at->data);
    headers = curl_slist_append(headers, "Accept: text/event-stream");
    for (int hops = 0; hops < 3 && status == 302 && !stopped && multi && curl;
         hops++) {
        char url[IPMPI_URL_CAP + 32];

        snprintf(url, sizeof(url), "%s/v2/events", marathon->url[marathon->at]);
        ipmpi_http_prepare(marathon, curl, url);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_events);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &stream);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
        stream.line_text.len = 0;
        stopped = stream_once(multi, curl, tick, &stream);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        if (status == 302 && !follow(marathon, curl))
            break;
        if (status == 0 && !stopped)
            marathon->at = (marathon->at + 1) % marathon->nurls;
    }
    curl_easy_cleanup(curl);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    free(stream.line_text.data);
    return stopped ? 0 : IPMPI_EIO;
}

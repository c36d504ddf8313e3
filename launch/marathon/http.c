/* HTTP to Marathon, by libcurl. Bodies always have a length: a standby that
 * passes a request on to the leader drops those without.
 *
 * Threads: a handle belongs to one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/marathon/http_inside.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum {
    BODY_MAX = 64 * 1024 * 1024,
    TRY_S = 10,
    TRIES_US = 20 * 1000 * 1000, /* for all tries of one call */
    PAUSE_FIRST_MS = 200,
    PAUSE_MOST_MS = 3000,
};

size_t ipmpi_http_take(char *data, size_t size, size_t n, void *arg)
{
    struct ipmpi_text *text = arg;
    const size_t len = size * n;
    char *grown;

    if (text->len + len > BODY_MAX) {
        text->too_big = true;
        return 0;
    }
    if (text->len + len + 1 > text->cap) {
        const size_t cap = (text->len + len + 1) * 2;

        grown = realloc(text->data, cap);
        if (grown == NULL)
            return 0;
        text->data = grown;
        text->cap = cap;
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = 0;
    return len;
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    static const char name[] = "Marathon-Deployment-Id:";
    struct ipmpi_marathon_answer *answer = arg;

    if (size * n > sizeof(name) &&
        strncasecmp(data, name, sizeof(name) - 1) == 0)
        sscanf(data + sizeof(name) - 1, " %63[0-9a-fA-F-]", answer->deployment);
    return size * n;
}

void ipmpi_http_prepare(struct ipmpi_marathon *marathon, CURL *curl,
                        const char *url)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, marathon->headers);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (marathon->basic != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERPWD, marathon->basic);
    }
    if (marathon->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, marathon->ca_file);
}

static void try_once(struct ipmpi_marathon *marathon, const char *method,
                     const char *path, const char *body,
                     struct ipmpi_marathon_answer *answer)
{
    CURL *curl = marathon->curl;
    struct ipmpi_text text = {0};
    char url[IPMPI_URL_CAP + 1024];
    CURLcode code;

    ipmpi_marathon_clear(answer);
    snprintf(url, sizeof(url), "%s%s", marathon->url[marathon->at], path);
    ipmpi_http_prepare(marathon, curl, url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TRY_S);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ipmpi_http_take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
    code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        snprintf(answer->text, sizeof(answer->text), "%s: %s",
                 marathon->url[marathon->at],
                 text.too_big ? "the answer is too large"
                              : curl_easy_strerror(code));
    } else {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
        answer->body = text.len > 0 ? json_loadb(text.data, text.len,
                                                 JSON_DECODE_ANY, NULL)
                                    : NULL;
        snprintf(answer->text, sizeof(answer->text), "%.200s",
                 text.data ? text.data : "");
    }
    free(text.data);
}

/* No leader, too many requests, or nobody there: another time, or another
 * instance, may do. */
static bool is_passing(const struct ipmpi_marathon_answer *answer)
{
    return answer->status == 0 || answer->status == 502 ||
           answer->status == 503 || answer->status == 504;
}

int ipmpi_marathon_call(struct ipmpi_marathon *marathon, const char *method,
                        const char *path, json_t *body,
                        struct ipmpi_marathon_answer *answer_out)
{
    const int64_t end_us = ipmpi_clock_now_us() + TRIES_US;
    const bool again = strcmp(method, "POST") != 0;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    long pause_ms = PAUSE_FIRST_MS;

    memset(answer_out, 0, sizeof(*answer_out));
    for (;;) {
        try_once(marathon, method, path, text, answer_out);
        if (!is_passing(answer_out))
            break;
        marathon->at = (marathon->at + 1) % marathon->nurls;
        if (!again || ipmpi_clock_now_us() + pause_ms * 1000 > end_us)
            break;
        usleep((useconds_t)pause_ms * 1000);
        pause_ms = pause_ms * 2 < PAUSE_MOST_MS ? pause_ms * 2 : PAUSE_MOST_MS;
    }
    free(text);
    return answer_out->status >= 200 && answer_out->status < 300 ? 0
                                                                 : IPMPI_EIO;
}

void ipmpi_marathon_clear(struct ipmpi_marathon_answer *answer)
{
    json_decref(answer->body);
    memset(answer, 0, sizeof(*answer));
}

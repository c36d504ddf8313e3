/* HTTP to Marathon, by libcurl. Bodies always have a length: a standby that
 * passes a request on to the leader drops those without.
 *
 * Threads: a handle belongs to one. */
#include "launch/marathon/http.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    URLS_MAX = 16,
    URL_CAP = 512,
    BODY_MAX = 64 * 1024 * 1024,
    TRY_S = 10,
    TRIES_US = 20 * 1000 * 1000, /* for all tries of one call */
    PAUSE_FIRST_MS = 200,
    PAUSE_MOST_MS = 3000,
    EVENT_MAX = 4 * 1024 * 1024,
    SILENCE_S = 45, /* the heart-beat comes each 10 s */
};

struct ipmpi_marathon {
    CURL *curl;
    char url[URLS_MAX][URL_CAP];
    size_t nurls, at;
    struct curl_slist *headers;
    char *basic; /* "user:password" */
    char *ca_file;
};

struct text {
    char *data;
    size_t len, cap;
    bool too_big;
};

/* -- opening -------------------------------------------------------------- */

/* All of a file that only its owner and group may read. */
static int read_private(const char *path, char *text, size_t cap)
{
    FILE *file = fopen(path, "re");
    struct stat st;
    size_t len;

    if (file == NULL) {
        ipmpi_log_error("MARATHON-FILE", "%s cannot be read", path);
        return IPMPI_ENOENT;
    }
    if (fstat(fileno(file), &st) != 0 || (st.st_mode & 07) != 0) {
        ipmpi_log_error("MARATHON-FILE", "others may read %s; chmod o-rwx",
                        path);
        fclose(file);
        return IPMPI_EAUTH;
    }
    len = fread(text, 1, cap - 1, file);
    text[len] = 0;
    fclose(file);
    return 0;
}

static int add_urls(struct ipmpi_marathon *marathon, const char *urls)
{
    const char *at = urls;

    while (at != NULL && *at != 0 && marathon->nurls < URLS_MAX) {
        size_t len = strcspn(at, ",");
        const char *next = at[len] != 0 ? at + len + 1 : NULL;

        while (len > 0 && at[len - 1] == '/')
            len--;
        if (len >= URL_CAP ||
            (strncmp(at, "http://", 7) != 0 && strncmp(at, "https://", 8) != 0))
            return IPMPI_EINVAL;
        snprintf(marathon->url[marathon->nurls++], URL_CAP, "%.*s", (int)len,
                 at);
        at = next;
    }
    return marathon->nurls > 0 ? 0 : IPMPI_EINVAL;
}

static bool in_clear(const char *url)
{
    return strncmp(url, "http://", 7) == 0 &&
           strncmp(url + 7, "127.", 4) != 0 &&
           strncmp(url + 7, "localhost", 9) != 0 &&
           strncmp(url + 7, "[::1]", 5) != 0;
}

static int add_headers(struct ipmpi_marathon *marathon, const char *path)
{
    char text[8192];
    const int err = read_private(path, text, sizeof(text));

    if (err != 0)
        return err;
    for (char *rest = NULL, *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest))
        if (strchr(line, ':') != NULL)
            marathon->headers = curl_slist_append(marathon->headers, line);
    explicit_bzero(text, sizeof(text));
    return 0;
}

static int add_basic(struct ipmpi_marathon *marathon, const char *path)
{
    char text[1024];
    const int err = read_private(path, text, sizeof(text));

    if (err != 0)
        return err;
    text[strcspn(text, "\r\n")] = 0;
    marathon->basic = strdup(text);
    explicit_bzero(text, sizeof(text));
    return marathon->basic != NULL ? 0 : IPMPI_ENOMEM;
}

int ipmpi_marathon_open(const struct ipmpi_marathon_access *access,
                        struct ipmpi_marathon **marathon_out)
{
    struct ipmpi_marathon *marathon = calloc(1, sizeof(*marathon));
    int err;

    if (marathon == NULL)
        return IPMPI_ENOMEM;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    err = add_urls(marathon, access->urls ? access->urls : "");
    if (err != 0)
        ipmpi_log_error("MARATHON-URL", "--marathon wants http:// or https:// "
                                        "addresses");
    if (err == 0 && access->header_file != NULL)
        err = add_headers(marathon, access->header_file);
    if (err == 0 && access->basic_file != NULL)
        err = add_basic(marathon, access->basic_file);
    for (size_t i = 0; err == 0 && i < marathon->nurls; i++)
        if ((access->header_file || access->basic_file) && !access->insecure &&
            in_clear(marathon->url[i])) {
            ipmpi_log_error("MARATHON-CLEAR",
                            "credentials would travel in clear to %s; use "
                            "https, or --insecure",
                            marathon->url[i]);
            err = IPMPI_EINVAL;
        }
    if (err == 0 && access->ca_file != NULL &&
        (marathon->ca_file = strdup(access->ca_file)) == NULL)
        err = IPMPI_ENOMEM;
    if (err == 0 && (marathon->curl = curl_easy_init()) == NULL)
        err = IPMPI_ENOMEM;
    marathon->headers = curl_slist_append(marathon->headers, "Expect:");
    marathon->headers =
        curl_slist_append(marathon->headers, "Content-Type: application/json");
    if (err != 0) {
        ipmpi_marathon_close(&marathon);
        return err;
    }
    *marathon_out = marathon;
    return 0;
}

void ipmpi_marathon_close(struct ipmpi_marathon **marathon)
{
    if (*marathon == NULL)
        return;
    curl_easy_cleanup((*marathon)->curl);
    curl_slist_free_all((*marathon)->headers);
    if ((*marathon)->basic != NULL)
        explicit_bzero((*marathon)->basic, strlen((*marathon)->basic));
    free((*marathon)->basic);
    free((*marathon)->ca_file);
    free(*marathon);
    *marathon = NULL;
}

/* -- one request ---------------------------------------------------------- */

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct text *text = arg;
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

static void set_common(struct ipmpi_marathon *marathon, CURL *curl,
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
    struct text text = {0};
    char url[URL_CAP + 1024];
    CURLcode code;

    ipmpi_marathon_clear(answer);
    snprintf(url, sizeof(url), "%s%s", marathon->url[marathon->at], path);
    set_common(marathon, curl, url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TRY_S);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
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

/* -- errors in words ------------------------------------------------------ */

static const char *message_of(const struct ipmpi_marathon_answer *answer)
{
    return json_string_value(json_object_get(answer->body, "message"));
}

/* Details of 422: [{path, errors: [..]}]; of 400: a string. */
static void add_details(json_t *details, char *text, size_t cap)
{
    size_t i, k, at = strlen(text);
    json_t *detail, *error;

    if (json_is_string(details)) {
        snprintf(text + at, cap - at, " (%s)", json_string_value(details));
        return;
    }
    json_array_foreach(details, i, detail)
    {
        const char *path = json_string_value(json_object_get(detail, "path"));

        json_array_foreach(json_object_get(detail, "errors"), k, error)
        {
            if (at >= cap)
                return;
            at += (size_t)snprintf(
                text + at, cap - at, "; %s: %s", path ? path : "/",
                json_string_value(error) ? json_string_value(error) : "?");
        }
    }
}

static const struct {
    long status;
    const char *words;
} meanings[] = {
    {400, "Marathon could not read our request"},
    {401, "Marathon wants other credentials (--header-file, --basic-file)"},
    {403, "Marathon does not allow it"},
    {404, "Marathon knows no such thing"},
    {405, "Marathon does not know this method here"},
    {409, "the application exists already"},
    {415, "Marathon did not take our request for JSON"},
    {422, "Marathon refuses the application"},
    {500, "Marathon failed"},
    {502, "Marathon has no leader at the moment"},
    {503, "Marathon is too busy, or its store does not answer"},
};

const char *ipmpi_marathon_lock(const struct ipmpi_marathon_answer *answer)
{
    json_t *list = json_object_get(answer->body, "deployments");

    if (answer->status != 409)
        return NULL;
    return json_string_value(json_object_get(json_array_get(list, 0), "id"));
}

void ipmpi_marathon_explain(const struct ipmpi_marathon_answer *answer,
                            char *text, size_t cap)
{
    const char *words = "Marathon gave an answer that we do not know";
    const char *message = message_of(answer);
    size_t at;

    if (answer->status == 0) {
        snprintf(text, cap, "no answer from Marathon: %s", answer->text);
        return;
    }
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].status == answer->status)
            words = meanings[i].words;
    if (ipmpi_marathon_lock(answer) != NULL)
        words = "a deployment holds the application";
    if (answer->status == 403 && message != NULL &&
        strstr(message, "running deployments") != NULL)
        words = "Marathon runs as many deployments as it may";
    at = (size_t)snprintf(text, cap, "%s [%ld]", words, answer->status);
    if (message != NULL && at < cap)
        at += (size_t)snprintf(text + at, cap - at, ": %s", message);
    else if (answer->body == NULL && answer->text[0] != 0 && at < cap)
        at += (size_t)snprintf(text + at, cap - at, ": %.120s", answer->text);
    if (at < cap)
        add_details(json_object_get(answer->body, "details"), text, cap);
    for (char *p = text; *p; p++) /* HTML has many lines */
        if (*p == '\n' || *p == '\r')
            *p = ' ';
}

/* -- events --------------------------------------------------------------- */

struct stream {
    struct text line_text;
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
    struct text *text = &stream->line_text;
    size_t start = 0;

    if (text->len + size * n > EVENT_MAX ||
        take_body(data, size, n, text) != size * n)
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
        char url[URL_CAP + 32];

        snprintf(url, sizeof(url), "%s/v2/events", marathon->url[marathon->at]);
        set_common(marathon, curl, url);
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

/* Inside of an access to Marathon: shared by requests and the event stream. */
#ifndef IPMPI_LAUNCH_MARATHON_HTTP_INSIDE_H
#define IPMPI_LAUNCH_MARATHON_HTTP_INSIDE_H

#include <curl/curl.h>

#include "launch/marathon/http.h"

enum { IPMPI_URLS_MAX = 16, IPMPI_URL_CAP = 512 };

struct ipmpi_marathon {
    CURL *curl;
    char url[IPMPI_URLS_MAX][IPMPI_URL_CAP];
    size_t nurls, at;
    struct curl_slist *headers;
    char *basic; /* "user:password" */
    char *ca_file;
};

/* Bytes as they come; `data` is the owner's to free. */
struct ipmpi_text {
    char *data;
    size_t len, cap;
    bool too_big;
};

/* A write function of curl whose argument is a struct ipmpi_text. */
size_t ipmpi_http_take(char *data, size_t size, size_t n, void *arg);

/* What each request has: address, credentials, time to connect. */
void ipmpi_http_prepare(struct ipmpi_marathon *marathon, CURL *curl,
                        const char *url);

#endif

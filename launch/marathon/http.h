/* Requests to Marathon: which of its instances, who we are, what to try again,
 * and its errors in words.
 *
 * Threads: each handle belongs to one; a handle may be copied for another.
 * Every call blocks, 10 s at most for one try. */
#ifndef IPMPI_LAUNCH_MARATHON_HTTP_H
#define IPMPI_LAUNCH_MARATHON_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct ipmpi_marathon; /* opaque */

struct ipmpi_marathon_access {
    const char *urls;        /* "http://a:8080,http://b:8080" */
    const char *header_file; /* lines "Name: value"; private to its owner */
    const char *basic_file;  /* one line "user:password"; private too */
    const char *ca_file;     /* NULL: the system's */
    bool insecure; /* send credentials over http to other hosts, too */
};

/* IPMPI_EINVAL: no URL, or credentials that would travel in clear (unless
 * `insecure`); IPMPI_ENOENT, IPMPI_EAUTH: a file is missing, or others may read
 * it; IPMPI_ENOMEM. What is wrong is logged. */
int ipmpi_marathon_open(const struct ipmpi_marathon_access *access,
                        struct ipmpi_marathon **marathon_out);
void ipmpi_marathon_close(struct ipmpi_marathon **marathon);

struct ipmpi_marathon_answer {
    long status;  /* 0: no answer at all; `text` tells why */
    json_t *body; /* NULL if it was not JSON */
    char text[256];
    char deployment[64]; /* Marathon-Deployment-Id */
};

/* One request, `body` lent or NULL. GET, PUT and DELETE are tried again for a
 * while when no leader answers; POST is not. 0 if the status is 2xx, else
 * IPMPI_EIO; the answer is filled in both cases and must be cleared. */
int ipmpi_marathon_call(struct ipmpi_marathon *marathon, const char *method,
                        const char *path, json_t *body,
                        struct ipmpi_marathon_answer *answer_out);
void ipmpi_marathon_clear(struct ipmpi_marathon_answer *answer);

/* An answer that is no success, in words. */
void ipmpi_marathon_explain(const struct ipmpi_marathon_answer *answer,
                            char *text, size_t cap);

/* Is it the lock of a running deployment (409)? Its id, or NULL. */
const char *ipmpi_marathon_lock(const struct ipmpi_marathon_answer *answer);

/* The event stream: calls on_event (type, data) from within until `stop` says
 * so or the stream ends. Blocks meanwhile; `tick` is called at least each
 * 200 ms. 0 when stopped, IPMPI_EIO when it ended or was refused. */
int ipmpi_marathon_events(struct ipmpi_marathon *marathon,
                          void (*on_event)(void *arg, const char *type,
                                           const char *data),
                          bool (*tick)(void *arg), void *arg);

#endif

/* What engines have said to the controller of controller.h about one request:
 * waiting for it, and taking it apart. Requests are named by the refs that
 * requests.h returns. */
#ifndef IPMPI_TESTS_ENGINE_TRANSCRIPT_H
#define IPMPI_TESTS_ENGINE_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/engine/protocol.h"

/* Everything that an engine said about one request, in the order it came. */
struct transcript {
    int n;                                         /* messages */
    int busy, reply, idle, last_stream, published; /* places; -1: none */
    int nreplies, nstreams;
    struct ipmpi_msg_head head; /* of the reply */
    char metadata[1024], content[1024], type[64];
    char *text[2]; /* stdout, stderr, joined */
    size_t text_len[2];
    size_t buffer_bytes; /* of the reply */
    int nbuffers;
    char publication[256];
};

/* Waits until idle (or, for controls, the reply) came for the request, and
 * tells all that was said. Every message's signature and parent is checked,
 * and the bytes of buffers against controller_work_buffers. The caller owns
 * the texts: transcript_clear. */
void controller_await(uint64_t ref, struct transcript *out);

/* Frees the texts and forgets the rest. */
void transcript_clear(struct transcript *t);

/* Waits until the request has started. */
void controller_await_busy(uint64_t ref);

/* These look at what has been received, and wait for nothing. */
/* Whether idle (or, for controls, the reply) has come. */
bool controller_is_done(uint64_t ref);
/* The engine that said that it runs the request; -1: none has. */
int controller_where(uint64_t ref);

#endif

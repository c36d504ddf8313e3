/* A client of any ipyparallel-compatible controller, as bare as one can be:
 * it sends signed no-op tasks and checks what comes back, so that what it
 * measures is the controller and not itself. Besides bridge/ and launch/ this
 * is the one door to zmq.h.
 *
 * Threads: one. Blocks only in open and wait. Whatever fails is told on
 * stderr here. */
#ifndef IPMPI_TESTS_BENCH_GENERATOR_CLIENT_H
#define IPMPI_TESTS_BENCH_GENERATOR_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"

struct bench_client; /* opaque */

struct bench_client_options {
    const char *connection_file;
    bool direct; /* to each engine in turn, not through the scheduler */
    bool iopub;  /* listen to the tasks' output, as ipyparallel's client does */
    size_t engines; /* wait until there are so many */
    int timeout_ms; /* for that */
};

/* Connects and asks for the engines. IPMPI_EIO, IPMPI_EJSON (no such file),
 * IPMPI_ETIMEOUT (no controller, or too few engines), IPMPI_ENOMEM,
 * IPMPI_ESYS. */
int bench_client_open(const struct bench_client_options *options,
                      struct bench_client **client_out);
void bench_client_close(struct bench_client **client);

size_t bench_client_engines(const struct bench_client *client);

/* Sends one apply_request with these buffers (lent). Tasks are numbered from 0
 * in the order sent. IPMPI_EFULL: ZMQ takes no more now; IPMPI_ENOMEM. */
int bench_client_send(struct bench_client *client,
                      const struct ipmpi_frames *call);

enum bench_event {
    BENCH_NOTHING,
    BENCH_REPLY,  /* signed and ok */
    BENCH_FAILED, /* signed, and says that the task failed */
    BENCH_FORGED, /* a signature that does not match, or no message at all */
    BENCH_IDLE,   /* an engine says that it is done with the task */
    BENCH_OTHER,  /* other output */
};

/* Takes the next message, if there is one; replies come first. *task_out is
 * the number of the task that it belongs to. */
enum bench_event bench_client_take(struct bench_client *client,
                                   uint64_t *task_out);

/* Waits until there is something to take, at most `wait_ms`. */
void bench_client_wait(struct bench_client *client, int wait_ms);

#endif

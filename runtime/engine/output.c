/* Capturing descriptors 1 and 2.
 *
 * Invariant: text enters the outbox under the lock, with the parent that was
 *            current when it was taken in.
 * Threads:   any; order of locks: ours, then the outbox's. */
#include "runtime/engine/output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum { CHUNK = 64 << 10, TAIL_CAP = 3 }; /* a pipe holds CHUNK bytes */

struct captured {
    int reader;   /* our end of the pipe */
    int writer;   /* a copy of the other, so that the pipe never ends */
    int original; /* where the descriptor went before */
    bool replaced;
    char tail[TAIL_CAP]; /* the beginning of a character */
    size_t tail_len;
};

struct ipmpi_output {
    struct ipmpi_outbox *outbox;
    pthread_mutex_t lock; /* guards what follows, and the order of text */
    struct ipmpi_frame parent;
    struct captured captured[2];
    struct ipmpi_log_limit lost;
    char chunk[TAIL_CAP + CHUNK];
};

static int capture(struct captured *c, int fd)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return IPMPI_ESYS;
    c->reader = ends[0];
    c->writer = ends[1];
    c->original = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (c->original < 0 && errno != EBADF)
        return IPMPI_ESYS;
    if (fcntl(c->reader, F_SETFL, O_NONBLOCK) < 0 || dup2(c->writer, fd) < 0)
        return IPMPI_ESYS;
    c->replaced = true;
    return 0;
}

static void restore(struct captured *c, int fd)
{
    if (!c->replaced)
        return;
    c->replaced = false;
    if (c->original >= 0)
        dup2(c->original, fd);
    else
        close(fd);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

int ipmpi_output_open(struct ipmpi_outbox *outbox,
                      struct ipmpi_output **output_out)
{
    struct ipmpi_output *output = calloc(1, sizeof(*output));
    int err = 0;

    if (output == NULL)
        return IPMPI_ENOMEM;
    output->outbox = outbox;
    pthread_mutex_init(&output->lock, NULL);
    for (int i = 0; i < 2; i++)
        output->captured[i] =
            (struct captured){.reader = -1, .writer = -1, .original = -1};
    fflush(stdout); /* what was printed before belongs to nobody */
    fflush(stderr);
    for (int i = 0; i < 2 && err == 0; i++)
        err = capture(&output->captured[i], STDOUT_FILENO + i);
    if (err != 0) {
        ipmpi_log_error("ENGINE-CAPTURE", "cannot capture output: %s",
                        strerror(errno));
        ipmpi_output_restore(output);
        ipmpi_output_destroy(&output);
        return err;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* a pipe would be fully buffered */
    *output_out = output;
    return 0;
}

void ipmpi_output_restore(struct ipmpi_output *output)
{
    ipmpi_output_drain(output, true);
    for (int i = 0; i < 2; i++)
        restore(&output->captured[i], STDOUT_FILENO + i);
    ipmpi_output_drain(output, true);
}

void ipmpi_output_destroy(struct ipmpi_output **output)
{
    struct ipmpi_output *o = *output;

    *output = NULL;
    if (o == NULL)
        return;
    for (int i = 0; i < 2; i++) {
        close_if_open(o->captured[i].reader);
        close_if_open(o->captured[i].writer);
        close_if_open(o->captured[i].original);
    }
    ipmpi_buffer_release(&o->parent.owner);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

int ipmpi_output_pipe(const struct ipmpi_output *output, int which)
{
    return output->captured[which].reader;
}

int ipmpi_output_original(const struct ipmpi_output *output, int which)
{
    return output->captured[which].original;
}

/* Under the lock: one read takes everything that a pipe can hold. */
static void take_in(struct ipmpi_output *output, int which, bool all)
{
    struct captured *c = &output->captured[which];
    char *text = output->chunk;
    size_t len = c->tail_len, whole;
    ssize_t got;

    memcpy(text, c->tail, len);
    do
        got = read(c->reader, text + len, CHUNK);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        len += (size_t)got;
    whole = all ? len : ipmpi_utf8_border(text, len);
    c->tail_len = len - whole;
    memcpy(c->tail, text + whole, c->tail_len);
    if (ipmpi_outbox_post_text(output->outbox, &output->parent,
                               STDOUT_FILENO + which, true, text, whole) != 0)
        ipmpi_log_limited(&output->lost, IPMPI_LOG_ERROR, "ENGINE-OUTPUT",
                          "out of memory: %zu bytes of output are lost", whole);
}

static void take_in_both(struct ipmpi_output *output, bool all)
{
    take_in(output, 0, all);
    take_in(output, 1, all);
}

void ipmpi_output_drain(struct ipmpi_output *output, bool all)
{
    pthread_mutex_lock(&output->lock);
    take_in_both(output, all);
    pthread_mutex_unlock(&output->lock);
}

void ipmpi_output_set_parent(struct ipmpi_output *output,
                             const struct ipmpi_frame *header)
{
    pthread_mutex_lock(&output->lock);
    take_in_both(output, true);
    ipmpi_buffer_release(&output->parent.owner);
    ipmpi_frame_share(&output->parent, header);
    pthread_mutex_unlock(&output->lock);
}

void ipmpi_output_parent(struct ipmpi_output *output,
                         struct ipmpi_frame *parent_out)
{
    pthread_mutex_lock(&output->lock);
    ipmpi_frame_share(parent_out, &output->parent);
    pthread_mutex_unlock(&output->lock);
}

int ipmpi_output_write(struct ipmpi_output *output, int fd, const char *text,
                       size_t len)
{
    int err;

    pthread_mutex_lock(&output->lock);
    take_in(output, fd - STDOUT_FILENO, false);
    err = ipmpi_outbox_post_text(output->outbox, &output->parent, fd, false,
                                 text, len);
    pthread_mutex_unlock(&output->lock);
    return err;
}

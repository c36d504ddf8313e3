/* An engine without Python, for test_serving: does what the content of each
 * request orders, through the functions that `_ipmpi` calls. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/engine/engine.h"

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "engine: line %d: %s\n", __LINE__, #condition); \
            _exit(3);                                                       \
        }                                                                   \
    } while (0)

static struct ipmpi_engine *engine;
static atomic_bool released; /* by SIGUSR1 */

static void on_signal(int number)
{
    (void)number;
    atomic_store(&released, true);
}

static void put(int fd, const char *text, size_t len)
{
    while (ipmpi_engine_wait_room(engine, 100) == IPMPI_ETIMEOUT)
        ;
    MUST(ipmpi_engine_write(engine, fd, text, len) == 0);
}

static void put_text(const char *text)
{
    put(1, text, strlen(text));
}

static void put_raw(const char *text, size_t len)
{
    MUST(write(STDOUT_FILENO, text, len) == (ssize_t)len);
}

/* 20 MiB of a letter of two bytes, cut anywhere. */
static void flood(void)
{
    enum { TOTAL = 20 << 20, PIECE = 65535 };
    static char text[PIECE + 1];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 ? '\xa9' : '\xc3';
    for (size_t at = 0, n; at < TOTAL; at += n) {
        n = TOTAL - at < PIECE ? TOTAL - at : PIECE;
        put(1, text + at % 2, n);
    }
}

static void hold(void)
{
    for (int i = 0; i < 3000 && !atomic_load(&released); i++)
        poll(NULL, 0, 10);
    MUST(atomic_exchange(&released, false));
}

static void publish(void)
{
    static const char content[] = "{\"data\":{}}";
    struct ipmpi_publication p = {
        .msg_type = "display_data",
        .content = {(const uint8_t *)content, sizeof(content) - 1, NULL},
    };

    put_text("before\n");
    MUST(ipmpi_frames_add_static(&p.buffers, "x", 1) == 0);
    MUST(ipmpi_engine_publish(engine, &p) == 0);
    p = (struct ipmpi_publication){.msg_type = "no word"};
    MUST(ipmpi_engine_publish(engine, &p) == IPMPI_EINVAL);
}

static void output(const char *order)
{
    if (strcmp(order, "print") == 0) {
        put_text("h\xc3\xa9llo\n");
        put(2, "oops\n", 5);
    } else if (strcmp(order, "printf") == 0) {
        printf("from C");
    } else if (strcmp(order, "child") == 0) {
        MUST(system("echo from a child") == 0);
    } else if (strcmp(order, "mixed") == 0) {
        put_text("1\n");
        MUST(system("echo 2") == 0);
        put_text("3\n");
    } else if (strcmp(order, "halves") == 0) {
        put(1, "\xe2\x82", 2);
        MUST(ipmpi_engine_flush(engine) == 0);
        put(1, "\xac", 1);
    } else if (strcmp(order, "pieces") == 0) {
        put_raw("\xe2", 1);
        put_raw("\x82", 1);
        put_raw("\xac", 1);
    } else if (strcmp(order, "broken") == 0) {
        put(1, "a\xff", 2);
    } else if (strcmp(order, "flood") == 0) {
        flood();
    } else if (strcmp(order, "publish") == 0) {
        publish();
    } else if (strcmp(order, "hold") == 0) {
        hold();
    }
}

/* Answers with copies of the buffers, and writes all over them. */
static void spoil(const struct ipmpi_work *work, struct ipmpi_answer *answer)
{
    for (size_t i = IPMPI_WORK_AT_BUFFERS; i < work->frames.n; i++) {
        const struct ipmpi_frame *frame = &work->frames.at[i];

        MUST(ipmpi_frames_add_copy(&answer->buffers, frame->data, frame->len) ==
             0);
        memset((void *)frame->data, 0xee, frame->len);
    }
}

static void fill_answer(const struct ipmpi_work *work, const char *order,
                        struct ipmpi_answer *answer)
{
    static const char error[] = "{\"status\":\"error\"}";

    if (strcmp(order, "fail") == 0) {
        answer->status = IPMPI_STATUS_ERROR;
        answer->abort_queued = true;
    } else if (strcmp(order, "unmet") == 0) {
        answer->status = IPMPI_STATUS_UNMET;
    } else if (strcmp(order, "unknown") == 0) {
        answer->status = IPMPI_STATUS_UNKNOWN;
    } else if (strcmp(order, "echo") == 0) {
        MUST(ipmpi_frames_add_from(
                 &answer->buffers, &work->frames, IPMPI_WORK_AT_BUFFERS,
                 work->frames.n - IPMPI_WORK_AT_BUFFERS) == 0);
    }
    if (strcmp(order, "spoil") == 0)
        spoil(work, answer);
    if (answer->status == IPMPI_STATUS_ERROR ||
        answer->status == IPMPI_STATUS_UNMET)
        MUST(ipmpi_frames_add_static(&answer->content, error,
                                     sizeof(error) - 1) == 0);
}

static void serve(const struct ipmpi_work *work)
{
    const struct ipmpi_frame *content = &work->frames.at[IPMPI_WORK_AT_CONTENT];
    struct ipmpi_answer answer = {0};
    char order[32] = "";
    const uint64_t ref = work->ref;

    sscanf((const char *)content->data, "{\"do\": \"%31[a-z]", order);
    output(order);
    if (work->kind == IPMPI_WORK_COMM) {
        MUST(ipmpi_engine_reply(engine, ref, &answer) == IPMPI_ESTATE);
        MUST(ipmpi_engine_finish(engine, ref) == 0);
        return;
    }
    fill_answer(work, order, &answer);
    MUST(ipmpi_engine_reply(engine, ref, &answer) == 0);
    MUST(ipmpi_engine_reply(engine, ref, &answer) == IPMPI_ENOENT);
    MUST(ipmpi_engine_finish(engine, ref) == IPMPI_ENOENT);
}

static void *serve_controls(void *none)
{
    const struct ipmpi_work *work;

    while (ipmpi_engine_take_control(engine, &work) == 0) {
        struct ipmpi_answer answer = {0};

        MUST(ipmpi_engine_reply_control(engine, work->ref, &answer) == 0);
    }
    return none;
}

static void serve_all(void)
{
    struct pollfd p = {ipmpi_engine_identity(engine)->wake_fd, POLLIN, 0};
    const struct ipmpi_work *work;

    while (ipmpi_engine_stop_requested(engine) == IPMPI_STOP_NOT) {
        if (poll(&p, 1, 50 * 1000) == 0)
            _exit(4); /* the test has gone wrong long ago */
        ipmpi_engine_clear_wake(engine);
        while (ipmpi_engine_take(engine, &work) == 0)
            serve(work);
    }
}

/* A forked child must not use what belongs to its parent's comm thread. */
static void check_fork(void)
{
    const struct ipmpi_work *work;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (ipmpi_engine_take(engine, &work) != IPMPI_ESTATE ||
            ipmpi_engine_write(engine, 1, "from a fork\n", 12) != 0)
            _exit(1);
        _exit(0);
    }
    MUST(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    const struct ipmpi_engine_identity *id;
    pthread_t controls;

    sigaction(SIGUSR1, &action, NULL);
    MUST(ipmpi_engine_join(&engine) == 0);
    id = ipmpi_engine_identity(engine);
    MUST(id->rank == id->engine_id && id->rank < id->size);
    MUST(strcmp(id->username, "somebody") == 0 && id->user_world != 0);
    MUST(pthread_create(&controls, NULL, serve_controls, NULL) == 0);
    check_fork();
    MUST(ipmpi_engine_ready(engine, "0.0") == 0);
    serve_all();
    MUST(ipmpi_engine_leave(engine) == 0);
    MUST(ipmpi_engine_leave(engine) == IPMPI_ESTATE);
    pthread_join(controls, NULL);
    MUST(ipmpi_engine_write(engine, 2, "", 0) == 0);
    ipmpi_engine_destroy(&engine);
    return 0;
}

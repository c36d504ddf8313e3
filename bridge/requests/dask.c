/* The dask scheduler process. It is given the scheduler's arguments as JSON on
 * its standard input and answers with one line of JSON,
 *     {"status": "ok", "ip": str, "address": str, "port": int}, or
 *     {"status": "error", "ename": str, "evalue": str};
 * it ends when its standard input is closed.
 *
 * Invariant: requests wait only while `answer` is NULL and the process runs. */
#include "bridge/requests/dask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

#include "bridge/requests/requests.h"
#include "bridge/wire/json.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum { START_US = 60 * 1000 * 1000, LINE_CAP = 65536 };

extern char **environ;

struct waiting {
    struct ipmpi_request *request; /* one share */
    struct waiting *next;
};

struct ipmpi_dask {
    const char *python, *package_dir; /* lent */
    pid_t pid;                        /* 0: not running */
    int to_child, from_child;         /* -1: closed */
    char line[LINE_CAP];
    size_t line_len;
    json_t *answer; /* the one of a scheduler that runs */
    struct waiting *waiting;
    int64_t deadline_us;
};

int ipmpi_dask_create(const char *python, const char *package_dir,
                      struct ipmpi_dask **dask_out)
{
    struct ipmpi_dask *dask = calloc(1, sizeof(*dask));

    if (dask == NULL)
        return IPMPI_ENOMEM;
    dask->python = python;
    dask->package_dir = package_dir;
    dask->to_child = dask->from_child = -1;
    dask->deadline_us = INT64_MAX;
    *dask_out = dask;
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A scheduler has nothing to save: it need not be asked. */
static void stop(struct ipmpi_dask *dask)
{
    close_fd(&dask->to_child);
    close_fd(&dask->from_child);
    if (dask->pid > 0) {
        kill(dask->pid, SIGKILL);
        waitpid(dask->pid, NULL, 0);
    }
    dask->pid = 0;
    json_decref(dask->answer);
    dask->answer = NULL;
    dask->line_len = 0;
    dask->deadline_us = INT64_MAX;
}

static void drop_waiting(struct ipmpi_dask *dask)
{
    struct waiting *first = dask->waiting;

    LL_DELETE(dask->waiting, first);
    ipmpi_request_release(&first->request);
    free(first);
}

void ipmpi_dask_destroy(struct ipmpi_dask **dask)
{
    if (*dask == NULL)
        return;
    while ((*dask)->waiting != NULL)
        drop_waiting(*dask);
    stop(*dask);
    free(*dask);
    *dask = NULL;
}

int ipmpi_dask_fd(const struct ipmpi_dask *dask)
{
    return dask->from_child;
}

int64_t ipmpi_dask_deadline_us(const struct ipmpi_dask *dask)
{
    return dask->deadline_us;
}

/* --- the process ----------------------------------------------------- */

static int spawn(struct ipmpi_dask *dask, int input, int output)
{
    char *argv[] = {(char *)dask->python, "-c",
                    "import sys; sys.path.append(sys.argv[1]); "
                    "from ipmpi_engine.dask_scheduler import main; main()",
                    (char *)dask->package_dir, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int bad;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    bad = posix_spawnp(&dask->pid, dask->python, &actions, &attributes, argv,
                       environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (bad != 0)
        dask->pid = 0;
    return bad != 0 ? IPMPI_ESYS : 0;
}

static int start(struct ipmpi_dask *dask, const json_t *args, int64_t now_us)
{
    char *text = json_dumps(args != NULL ? args : json_null(),
                            JSON_ENCODE_ANY | JSON_COMPACT);
    int input[2] = {-1, -1}, output[2] = {-1, -1};
    int err = IPMPI_ESYS;

    if (text == NULL)
        return IPMPI_ENOMEM;
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        goto done;
    err = spawn(dask, input[0], output[1]);
    if (err != 0)
        goto done;
    /* The arguments of a scheduler are small: they fit the pipe. */
    fcntl(input[1], F_SETFL, O_NONBLOCK);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    if (write(input[1], text, strlen(text)) < 0 || write(input[1], "\n", 1) < 0)
        err = IPMPI_ETOOBIG;
    dask->to_child = input[1];
    dask->from_child = output[0];
    input[1] = output[0] = -1;
    dask->deadline_us = now_us + START_US;
done:
    free(text);
    close_fd(&input[0]);
    close_fd(&input[1]);
    close_fd(&output[0]);
    close_fd(&output[1]);
    return err;
}

/* --- answers --------------------------------------------------------- */

static void answer_all(struct ipmpi_hub *hub, json_t *answer)
{
    struct ipmpi_dask *dask = hub->dask;

    while (dask->waiting != NULL) {
        ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, dask->waiting->request,
                        "become_dask_reply", NULL, answer, NULL);
        drop_waiting(dask);
    }
}

static void give_up(struct ipmpi_hub *hub, const char *ename,
                    const char *evalue)
{
    json_t *answer = ipmpi_json_error(ename, evalue);

    stop(hub->dask);
    answer_all(hub, answer);
    json_decref(answer);
}

static void take_line(struct ipmpi_hub *hub)
{
    struct ipmpi_dask *dask = hub->dask;
    const struct ipmpi_frame frame = {(const uint8_t *)dask->line,
                                      dask->line_len, NULL};
    json_t *answer;

    close_fd(&dask->from_child);
    dask->deadline_us = INT64_MAX;
    if (ipmpi_json_load(&frame, &answer) != 0) {
        give_up(hub, "RuntimeError", "the dask scheduler said nonsense");
        return;
    }
    if (strcmp(ipmpi_json_string(answer, "status", ""), "ok") != 0) {
        give_up(hub, ipmpi_json_string(answer, "ename", "RuntimeError"),
                ipmpi_json_string(answer, "evalue", ""));
        json_decref(answer);
        return;
    }
    ipmpi_log_info("HUB-DASK", "a dask scheduler runs at %s",
                   ipmpi_json_string(answer, "address", "?"));
    dask->answer = answer;
    answer_all(hub, answer);
}

void ipmpi_dask_turn(struct ipmpi_hub *hub)
{
    struct ipmpi_dask *dask = hub->dask;
    ssize_t n;

    if (dask->from_child < 0)
        return;
    n = read(dask->from_child, dask->line + dask->line_len,
             LINE_CAP - dask->line_len);
    if (n > 0)
        dask->line_len += (size_t)n;
    if (n > 0 && memchr(dask->line, '\n', dask->line_len) != NULL)
        take_line(hub);
    else if (n == 0 || dask->line_len == LINE_CAP ||
             (n < 0 && errno != EAGAIN))
        give_up(hub, "RuntimeError",
                "the dask scheduler ended before it was ready");
    else if (hub->out.now_us(hub->out.ctx) >= dask->deadline_us)
        give_up(hub, "TimeoutError",
                "the dask scheduler was not ready within 60 s");
}

/* --- requests -------------------------------------------------------- */

void ipmpi_request_become_dask(struct ipmpi_hub *hub,
                               struct ipmpi_request *request)
{
    const json_t *args =
        json_object_get(ipmpi_request_content(request), "scheduler_args");
    struct ipmpi_dask *dask = hub->dask;
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    int err = 0;

    if (waiting == NULL)
        return;
    waiting->request = ipmpi_request_share(request);
    LL_APPEND(dask->waiting, waiting);
    if (dask->answer != NULL && waitpid(dask->pid, NULL, WNOHANG) != 0) {
        dask->pid = 0; /* it has ended since: start another */
        stop(dask);
    }
    if (dask->answer != NULL) {
        answer_all(hub, dask->answer);
        return;
    }
    if (dask->pid == 0)
        err = start(dask, args, hub->out.now_us(hub->out.ctx));
    if (err != 0)
        give_up(hub, "RuntimeError", "the dask scheduler cannot be started");
}

void ipmpi_request_stop_dask(struct ipmpi_hub *hub,
                             struct ipmpi_request *request)
{
    json_t *content = json_pack("{s:s}", "status", "ok");

    stop(hub->dask);
    ipmpi_hub_reply(hub, IPMPI_DOOR_QUERY, request, "stop_distributed_reply",
                    NULL, content, NULL);
    json_decref(content);
}

/* test_end terminate | gone | flood | busy: how an engine ends that has a
 * nanny. terminate  the nanny is told to end: the engine leaves in good order
 *   gone       the nanny dies: the engine is gone at once
 *   flood      the job ends while more output waits than is ever read
 *   busy       the job ends while user code ignores it: the last resort
 * Rank 0 is the controller; every other rank is a nanny that forks its engine.
 * The nanny says "as expected" or what was not. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/engine/engine.h"
#include "runtime/process/link.h"
#include "tests/runtime/engine/controller.h"
#include "tests/runtime/engine/requests.h"
#include "tests/runtime/engine/transcript.h"

enum { WAIT_MS = 40 * 1000 };

static const char *mode;

static bool mode_is(const char *name)
{
    return strcmp(mode, name) == 0;
}

/* ---- the controller ------------------------------------------------- */

static int control(void)
{
    if (controller_open(NULL) != 0)
        return 1;
    controller_work(0, IPMPI_WORK_APPLY, "apply_request", "go");
    if (mode_is("terminate"))
        controller_await_type(0, IPMPI_MSG_LEAVING);
    if (mode_is("gone"))
        _exit(0); /* a rank is dead: there is no good end */
    if (mode_is("busy") || mode_is("flood"))
        controller_await_busy(1);
    controller_close(NULL);
    return 0;
}

/* ---- the engine ----------------------------------------------------- */

/* User code that does not stop, for an hour. */
static void ignore_everything(void)
{
    signal(SIGINT, SIG_IGN);
    for (int i = 0; i < 360; i++)
        poll(NULL, 0, 10 * 1000);
}

/* User code that prints until it is told to stop. */
static void print_for_ever(struct ipmpi_engine *engine)
{
    static char text[64 << 10];

    memset(text, 'x', sizeof(text));
    while (ipmpi_engine_stop_requested(engine) == IPMPI_STOP_NOT)
        if (ipmpi_engine_wait_room(engine, 100) == 0)
            ipmpi_engine_write(engine, 1, text, sizeof(text));
}

static int serve(void)
{
    struct ipmpi_engine *engine;
    const struct ipmpi_work *work;
    struct pollfd p = {.events = POLLIN};

    if (ipmpi_engine_join(&engine) != 0 || ipmpi_engine_ready(engine, "0") != 0)
        return 1;
    p.fd = ipmpi_engine_identity(engine)->wake_fd;
    while (ipmpi_engine_stop_requested(engine) == IPMPI_STOP_NOT) {
        if (poll(&p, 1, WAIT_MS) == 0)
            return 2;
        ipmpi_engine_clear_wake(engine);
        while (ipmpi_engine_take(engine, &work) == 0) {
            struct ipmpi_answer answer = {0};

            if (mode_is("busy"))
                ignore_everything();
            if (mode_is("flood"))
                print_for_ever(engine);
            ipmpi_engine_reply(engine, work->ref, &answer);
        }
    }
    ipmpi_engine_leave(engine);
    return 0;
}

/* ---- the nanny ------------------------------------------------------ */

static bool await_packet(int fd, uint32_t type,
                         struct ipmpi_link_packet *packet)
{
    struct pollfd p = {fd, POLLIN, 0};

    return poll(&p, 1, WAIT_MS) == 1 && ipmpi_link_receive(fd, packet) == 0 &&
           packet->type == type;
}

static const char *watch(int fd, pid_t pid)
{
    struct ipmpi_link_packet packet;
    int status, expected = 0;

    if (!await_packet(fd, IPMPI_LINK_JOINED, &packet) || packet.rank != 1 ||
        packet.controller.host[0] == '\0')
        return "JOINED did not come";
    if (mode_is("terminate")) {
        packet = (struct ipmpi_link_packet){.type = IPMPI_LINK_TERMINATE,
                                            .code = SIGTERM};
        ipmpi_link_send(fd, &packet);
    } else if (mode_is("gone")) {
        close(fd);
        expected = 75;
    }
    if (!mode_is("gone") &&
        (!await_packet(fd, IPMPI_LINK_LEAVING, &packet) || packet.code != 0))
        return "LEAVING did not come";
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != expected)
        return "the engine ended in another way";
    return "as expected";
}

static int nurse(void)
{
    int ends[2];
    char text[16];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
        return 1;
    snprintf(text, sizeof(text), "%d", ends[1]);
    setenv(IPMPI_LINK_ENV, text, 1);
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        _exit(serve());
    }
    close(ends[1]);
    printf("nanny: %s\n", watch(ends[0], pid));
    return 0;
}

int main(int argc, char **argv)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");

    if (argc < 2 || rank == NULL)
        return 2;
    mode = argv[1];
    return atoi(rank) == 0 ? control() : nurse();
}

/* `ipmpi rank -- PROGRAM ARG...`: what mpirun starts in the place of each
 * rank's program. It gives the rank one of the node's declared ports to
 * listen on and becomes the program. To rank 0 it also gives the clients' key,
 * and it tells the agent when rank 0 begins and how it ends.
 *
 * Invariant: the key reaches rank 0 by a file on its own node and its own
 * environment, so mpirun never sees it and never sends it.
 * Threads:   one. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/verb.h"
#include "runtime/base/log.h"

static int number_of(const char *const names[])
{
    for (; *names != NULL; names++) {
        const char *value = getenv(*names);

        if (value != NULL)
            return atoi(value);
    }
    return -1;
}

/* Open MPI binds without SO_REUSEADDR, so a port in TIME_WAIT is no use. */
static bool port_free(long port)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_free =
        fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0;

    if (fd >= 0)
        close(fd);
    return is_free;
}

/* Of the list "31005,31777,.." local rank i of n owns places i, i + n, ..;
 * it takes the first that is free. */
static void choose_port(int local_rank, int local_size)
{
    const char *list = getenv("IPMPI_RANK_PORTS");
    char text[24];
    int place = 0;

    if (list == NULL || local_rank < 0 || local_size < 1)
        return;
    for (const char *at = list; at != NULL && *at != 0; place++) {
        const long port = strtol(at, NULL, 10);

        if (place % local_size == local_rank && port > 0 &&
            port <= UINT16_MAX && port_free(port)) {
            snprintf(text, sizeof(text), "%ld", port);
            setenv("OMPI_MCA_btl_tcp_port_min_v4", text, 1);
            setenv("OMPI_MCA_btl_tcp_port_range_v4", "1", 1);
            return;
        }
        at = strchr(at, ',');
        if (at != NULL)
            at++;
    }
    ipmpi_log_warn("RANK-PORT", "none of this rank's declared ports is free; "
                                "it listens on any");
}

static void tell_agent(const char *dir, const char *what, int number)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[64];
    int len;

    snprintf(name.sun_path, sizeof(name.sun_path), "%.90s/socket", dir);
    len = snprintf(text, sizeof(text), "%s %d", what, number);
    if (fd < 0 || sendto(fd, text, (size_t)len, 0, (struct sockaddr *)&name,
                         sizeof(name)) < 0)
        ipmpi_log_warn("RANK-AGENT", "the agent cannot be told of rank 0: %s",
                       strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void prepare_rank0(const char *dir)
{
    char path[256], key[128];
    FILE *file;

    snprintf(path, sizeof(path), "%.200s/key", dir);
    file = fopen(path, "re");
    if (file != NULL && fgets(key, sizeof(key), file) != NULL)
        setenv("IPP_SESSION_KEY", key, 1);
    if (file != NULL)
        fclose(file);
    explicit_bzero(key, sizeof(key));
    snprintf(path, sizeof(path), "%.200s/profile", dir);
    setenv("IPP_PROFILE_DIR", path, 1);
    snprintf(path, sizeof(path), "%.200s/bell", dir);
    setenv("IPMPI_BELL_FILE", path, 1); /* see agent_loss.c */
}

static int become(char **argv)
{
    unsetenv("IPMPI_AGENT_DIR"); /* the job's programs have no use for it */
    execvp(argv[0], argv);
    ipmpi_log_error("RANK-EXEC", "%s: %s", argv[0], strerror(errno));
    return errno == ENOENT ? 127 : 126;
}

/* Rank 0 runs beside us, so that its end can be told. Signals come to the
 * whole group, hence to it; ours is only to outlive it. */
static int watch(const char *dir, char **argv)
{
    static const int theirs[] = {SIGTERM, SIGINT,  SIGHUP, SIGQUIT,
                                 SIGUSR1, SIGUSR2, SIGTSTP};
    int status = 0;
    pid_t pid;

    prepare_rank0(dir);
    pid = fork();
    if (pid < 0)
        return become(argv);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        _exit(become(argv));
    }
    for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++)
        signal(theirs[i], SIG_IGN);
    tell_agent(dir, "rank0", (int)pid);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    tell_agent(dir, "ended", status);
    return status;
}

int ipmpi_verb_rank(int argc, char **argv)
{
    static const char *const rank_names[] = {"OMPI_COMM_WORLD_RANK",
                                             "PMIX_RANK", NULL};
    static const char *const local_names[] = {"OMPI_COMM_WORLD_LOCAL_RANK",
                                              NULL};
    static const char *const size_names[] = {"OMPI_COMM_WORLD_LOCAL_SIZE",
                                             NULL};
    const char *dir = getenv("IPMPI_AGENT_DIR");

    if (argc < 3 || strcmp(argv[1], "--") != 0) {
        puts("usage: ipmpi rank -- PROGRAM ARG...\n\nPrepares one rank of a "
             "job that an agent runs, and becomes its program.");
        return argc >= 2 && strcmp(argv[1], "--help") == 0 ? IPMPI_EXIT_OK
                                                           : IPMPI_EXIT_USAGE;
    }
    ipmpi_log_set_name("rank");
    choose_port(number_of(local_names), number_of(size_names));
    if (number_of(rank_names) == 0 && dir != NULL &&
        getenv("IPMPI_SPAWNED") == NULL) /* rank 0 of the job, not of more */
        return watch(dir, argv + 2);
    return become(argv + 2);
}
